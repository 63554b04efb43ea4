//! The files of a folder that go into a package, in the order in which Go walks them (Fabric:
//! `core/container/util.WriteFolderToTarPackage`).
//!
//! Invariant: nothing but regular files is read. A link to a file counts as the file, as in Fabric; a link to a folder is
//! an error, where Fabric fails with less of an explanation.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::PlatformError;

/// Where a folder has what a package holds beside the code.
const METADATA: &str = "META-INF";

/// A file for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Its name in the package.
    pub(super) name: String,
    /// Its content.
    pub(super) content: Content,
}

/// The content of a file for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// What this file holds.
    File(PathBuf),
    /// This.
    Bytes(Bytes),
}

/// Files for a package, and what the packager should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) files: Vec<Source>,
    pub(super) remarks: Vec<String>,
}

impl Sources {
    pub(super) fn add(&mut self, name: impl Into<String>, path: impl Into<PathBuf>) {
        self.files.push(Source { name: name.into(), content: Content::File(path.into()) });
    }

    /// Adds the file at `path`, which is `below` in its folder: metadata under its name, everything else under `src`.
    fn place(&mut self, below: &str, path: &Path) {
        if !below.starts_with(METADATA) {
            return self.add(format!("src/{below}"), path);
        }
        if is_hidden(below) {
            return self.remarks.push(format!("Ignoring hidden file in metadata directory: {below}"));
        }
        self.add(below, path);
    }
}

/// Whether the last part of a name begins with a dot: systems put such files where nobody sees them.
pub(super) fn is_hidden(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| file.starts_with('.'))
}

/// All files of a folder but those that `skip` names, by their path below it.
///
/// # Errors
/// When the folder cannot be read, or holds what cannot be packaged.
pub(super) fn sources_of(folder: &Path, skip: impl Fn(&str) -> bool) -> Result<Sources, PlatformError> {
    let mut sources = Sources::default();
    walk(
        folder,
        "",
        &mut |below, path| {
            if !skip(below) {
                sources.place(below, path);
            }
        },
        &skip,
    )?;
    match sources.files.is_empty() {
        true => Err(PlatformError::NoSources(folder.display().to_string())),
        false => Ok(sources),
    }
}

/// The metadata beside `file`, where there is any.
pub(super) fn metadata_beside(file: &Path) -> Result<Sources, PlatformError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut sources = Sources::default();
    if folder.join(METADATA).is_dir() {
        walk(&folder.join(METADATA), METADATA, &mut |below, path| sources.place(below, path), &|_| false)?;
    }
    Ok(sources)
}

/// Calls `visit` for each file below `folder`: names in the order of their bytes, a folder's files where its name is. A
/// folder that `skip` names (with a slash after it) is not looked into.
pub(super) fn walk(
    folder: &Path,
    below: &str,
    visit: &mut impl FnMut(&str, &Path),
    skip: &impl Fn(&str) -> bool,
) -> Result<(), PlatformError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| PlatformError::Read { path, cause }
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        names.push(entry.file_name().into_string().map_err(|_| PlatformError::Name(entry.path()))?);
    }
    names.sort_unstable();
    for name in names {
        let path = folder.join(&name);
        let below = if below.is_empty() { name } else { format!("{below}/{name}") };
        let link = fs::symlink_metadata(&path).map_err(failed(&path))?.is_symlink();
        if link && skip(&below) {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(failed(&path))?;
        if metadata.is_dir() {
            if skip(&format!("{below}/")) {
                continue;
            }
            if link {
                return Err(PlatformError::LinkedFolder(path));
            }
            walk(&path, &below, visit, skip)?;
        } else if metadata.is_file() {
            visit(&below, &path);
        } else if !skip(&below) {
            return Err(PlatformError::NoRegularFile(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &Sources) -> Vec<&str> {
        sources.files.iter().map(|source| source.name.as_str()).collect()
    }

    #[test]
    fn files_come_in_the_order_of_gos_walk() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a/z", "a.js", "a-b", "META-INF/statedb/i.json", "META-INF/.hidden", "skipped/x", "b/skipped/y"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let sources = sources_of(folder.path(), |below| below.starts_with("skipped/")).unwrap();
        assert_eq!(names(&sources), ["META-INF/statedb/i.json", "src/a/z", "src/a-b", "src/a.js", "src/b/skipped/y"]);
        assert_eq!(sources.remarks, ["Ignoring hidden file in metadata directory: META-INF/.hidden"]);
        let beside = metadata_beside(&folder.path().join("a.js")).unwrap();
        assert_eq!(names(&beside), ["META-INF/statedb/i.json"]);
    }

    #[test]
    fn a_link_is_the_file_that_it_names_and_never_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "content").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        assert_eq!(names(&sources_of(folder.path(), |_| false).unwrap()), ["src/file", "src/link"]);
        std::os::unix::fs::symlink(".", folder.path().join("loop")).unwrap();
        let refused = sources_of(folder.path(), |_| false).unwrap_err().to_string();
        assert!(refused.ends_with("loop is a link to a folder, which cannot be packaged; put the folder itself there"));
    }

    #[test]
    fn an_empty_folder_is_nothing_to_package() {
        let folder = tempfile::tempdir().unwrap();
        let refused = sources_of(folder.path(), |_| false).unwrap_err().to_string();
        assert_eq!(refused, format!("no source files found in '{}'", folder.path().display()));
    }
}
