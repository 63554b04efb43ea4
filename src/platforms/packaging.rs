//! Making a code package of what an author has (Fabric: `Platform.GetDeploymentPayload` of each platform).

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::archive::MAX_UNPACKED;
use super::folder::{Content, Source, Sources};
use super::metadata::validate_metadata_file;
use super::tarball::Tarball;
use super::{CodePackage, Platform, PlatformError, ccaas, check_package_code, golang, java, node, rust, wasm};
use crate::chaincode::packages::MAX_PACKAGE_SIZE;

/// How code is packaged on this machine.
#[derive(Clone, Debug)]
pub struct Packager {
    /// The `go` tool, for GOLANG.
    pub go: PathBuf,
    /// GOPATH, where the `go` tool is not there to say it.
    pub gopath: Option<OsString>,
    /// Whether a package of NODE brings `node_modules` along, so that its build needs no network.
    pub node_modules: bool,
}

/// A code package, and what its maker should know.
#[derive(Clone, Debug)]
pub struct Packaged {
    /// The package.
    pub code: CodePackage,
    /// What was left out, and the like; a sentence each.
    pub remarks: Vec<String>,
}

impl Packager {
    /// That of this process: `go` of the PATH, GOPATH or Go's default for it.
    pub fn of_process() -> Self {
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join("go").into_os_string());
        let gopath = std::env::var_os("GOPATH").filter(|paths| !paths.is_empty()).or_else(home);
        Self { go: "go".into(), gopath, node_modules: false }
    }

    /// Packages what is at `path`: an import path for GOLANG, else a folder or a file. Tells `progress` how many files are
    /// done, of how many. Blocks the thread.
    ///
    /// # Errors
    /// When there is nothing to package, or a peer would not install it.
    pub fn package(
        &self,
        platform: Platform,
        path: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Packaged, PlatformError> {
        if path.is_empty() {
            return Err(PlatformError::EmptyPath);
        }
        let Sources { files, remarks } = match platform {
            Platform::Golang => golang::sources(self, path)?,
            Platform::Node => node::sources(existing(path)?, self.node_modules)?,
            Platform::Java => java::sources(existing(path)?)?,
            Platform::Rust => rust::sources(existing(path)?)?,
            Platform::Wasm => wasm::sources(existing(path)?)?,
            Platform::Ccaas => ccaas::sources(existing(path)?)?,
        };
        let bytes = pack(&files, progress)?;
        check_package_code(platform, &bytes)?;
        Ok(Packaged { code: CodePackage { platform, path: path.to_owned(), bytes }, remarks })
    }
}

fn existing(path: &str) -> Result<&Path, PlatformError> {
    match Path::new(path) {
        found if found.exists() => Ok(found),
        _ => Err(PlatformError::NoPath(path.to_owned())),
    }
}

fn pack(files: &[Source], progress: &mut dyn FnMut(u64, u64)) -> Result<Bytes, PlatformError> {
    let mut tarball = Tarball::new();
    let mut unpacked = 0;
    for (done, Source { name, content }) in files.iter().enumerate() {
        progress(done as u64, files.len() as u64);
        let content = match content {
            Content::File(path) => &read(path, MAX_UNPACKED - unpacked)?,
            Content::Bytes(bytes) => bytes,
        };
        unpacked += content.len() as u64;
        if name.starts_with("META-INF") {
            validate_metadata_file(name, content).map_err(PlatformError::Metadata)?;
        }
        tarball.add(name, content).map_err(PlatformError::Damaged)?;
        if tarball.size() > MAX_PACKAGE_SIZE {
            return Err(PlatformError::TooLarge { what: "bytes, compressed", limit: MAX_PACKAGE_SIZE });
        }
    }
    tarball.finish().map(Bytes::from).map_err(PlatformError::Damaged)
}

/// A whole file, if there is room for it.
pub(super) fn read(path: &Path, limit: u64) -> Result<Bytes, PlatformError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|cause| PlatformError::Read { path: path.to_owned(), cause })?;
    match bytes.len() as u64 > limit {
        true => Err(PlatformError::TooLarge { what: "bytes", limit: MAX_UNPACKED }),
        false => Ok(bytes.into()),
    }
}

#[cfg(test)]
mod tests;
