//! The sources that a package of GOLANG has (Fabric: `golang.Platform.GetDeploymentPayload`, `findSource`,
//! `vendorDependencies`).
//!
//! The chaincode's own package and everything that it imports and Go or the builder does not bring: that from elsewhere in
//! GOPATH goes to the package's `vendor` folder. Which packages these are is asked of the `go` tool. Without the tool, the
//! package has what is in the chaincode's folder, all the way down, and so whatever is vendored there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tool::{GoPaths, GoTool};
use crate::platforms::PlatformError;
use crate::platforms::folder::{Sources, is_hidden, walk};
use crate::platforms::packaging::Packager;

/// What is source code, by the end of its name.
const ENDINGS: [&str; 6] = [".c", ".h", ".s", ".go", ".yaml", ".json"];
/// What the builder's image has.
const PROVIDED: [&str; 2] =
    ["github.com/hyperledger/fabric/core/chaincode/shim", "github.com/hyperledger/fabric/protos/peer"];

/// A file, before it is known where it goes.
struct Found {
    path: PathBuf,
    metadata: bool,
}

/// Files by their path below GOPATH.
type Files = BTreeMap<String, Found>;

pub(in crate::platforms) fn sources(packager: &Packager, package: &str) -> Result<Sources, PlatformError> {
    let paths = GoPaths::find(packager)?;
    let Some(gopath) = paths.gopath.first() else { return Err(PlatformError::NoGopath) };
    let folder = gopath.join("src").join(package);
    // An absolute path would take the place of GOPATH.
    if package.starts_with('/') || !folder.is_dir() {
        let place = format!("{}/src/{}", gopath.display(), package.trim_start_matches('/'));
        let path = package.to_owned();
        let meant = if Path::new(package).exists() {
            PlatformError::FolderForGo { place, path }
        } else {
            PlatformError::NoPath(place)
        };
        return Err(meant);
    }
    let package = package.trim_end_matches('/');
    let mut files = Files::new();
    let mut remarks = Vec::new();
    match &paths.tool {
        Some((goroot, tool)) => {
            find(&mut files, &folder, package, Part::Chaincode)?;
            for dependency in dependencies(tool, goroot, package)? {
                for gopath in &paths.gopath {
                    let folder = gopath.join("src").join(&dependency);
                    if folder.is_dir() {
                        find(&mut files, &folder, &dependency, Part::Dependency)?;
                    }
                }
            }
        }
        None => {
            find(&mut files, &folder, package, Part::Everything)?;
            remarks.push(format!(
                "there is no go tool to ask what {package} imports: the package holds what is in {} with its vendor folder, \
                 and nothing from elsewhere in GOPATH",
                folder.display()
            ));
        }
    }
    Ok(arrange(files, package, remarks))
}

/// What of a folder belongs to the package.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Its own files, because one folder is one package of Go, and metadata.
    Chaincode,
    /// Its own files.
    Dependency,
    /// All that is below it.
    Everything,
}

fn find(files: &mut Files, folder: &Path, package: &str, part: Part) -> Result<(), PlatformError> {
    let mut visit = |below: &str, path: &Path| {
        if ENDINGS.contains(&ending(below)) {
            let metadata = part != Part::Dependency && is_metadata(below);
            files.insert(format!("src/{package}/{below}"), Found { path: path.to_owned(), metadata });
        }
    };
    let skip = |below: &str| match (below.strip_suffix('/'), part) {
        (None, _) => !ENDINGS.contains(&ending(below)),
        (Some(_), Part::Dependency) => true,
        (Some(_), Part::Chaincode) => !is_metadata(below),
        (Some(folder), Part::Everything) => is_hidden(folder),
    };
    walk(folder, "", &mut visit, &skip)
}

fn is_metadata(below: &str) -> bool {
    below.starts_with("META-INF")
}

fn ending(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rfind('.').map_or("", |dot| &file[dot..])
}

/// What the package needs and neither Go nor the builder has; system packages may be among them.
fn dependencies(tool: &GoTool, goroot: &Path, package: &str) -> Result<BTreeSet<String>, PlatformError> {
    let mut all = BTreeSet::new();
    for import in tool.imports(package)? {
        // "C" is no package.
        let known = import == "C" || PROVIDED.contains(&import.as_str()) || goroot.join("src").join(&import).exists();
        if !known {
            all.extend(tool.dependencies(&import)?);
            all.insert(import);
        }
    }
    all.remove(package);
    Ok(all)
}

/// Puts what is from elsewhere below `vendor`, sorts as Fabric does, and takes metadata to where peers look for them.
fn arrange(files: Files, package: &str, remarks: Vec<String>) -> Sources {
    let own = format!("src/{package}");
    // Every `vendor` folder from GOPATH down to the package is within its reach.
    let mut reach = vec![own.clone()];
    let mut folder = "src".to_owned();
    for part in package.split('/') {
        folder = format!("{folder}/{part}");
        reach.push(format!("{folder}/vendor"));
    }
    let vendored = |name: String| match reach.iter().any(|start| name.starts_with(start)) {
        true => name,
        false => name.replacen("src", &format!("{own}/vendor"), 1),
    };
    let files: Files = files.into_iter().map(|(name, found)| (vendored(name), found)).collect();
    let mut sources = Sources { remarks, ..Sources::default() };
    for (name, found) in files {
        let metadata = name.strip_prefix(&own).filter(|_| found.metadata).map(|below| below.trim_start_matches('/'));
        match metadata {
            Some(below) if is_hidden(below) => {
                sources.remarks.push(format!("Ignoring hidden file in metadata directory: {below}"));
            }
            Some(below) => sources.add(below, found.path),
            None => sources.add(name, found.path),
        }
    }
    sources
}
