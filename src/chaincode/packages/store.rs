//! The folder of installed packages: files `<name>.<version>` with the bytes that were installed, as Fabric 1.4 keeps them
//! (`chaincodeInstallPath`).
//!
//! Invariant: a file under a chaincode's name is whole, and is never replaced. All methods block the thread; one node at a
//! time uses a folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use selvedge_proto::MAX_MESSAGE_SIZE;
use tracing::{info, warn};

use super::error::InstallError;
use super::{ChaincodePackage, PackageError};

/// No package can be larger than the message that installs it.
pub const MAX_PACKAGE_SIZE: u64 = MAX_MESSAGE_SIZE as u64;

/// What is being written; no chaincode's name begins so.
const DRAFT: &str = ".installing";

/// The installed packages.
#[derive(Debug)]
pub struct PackageStore {
    folder: PathBuf,
    /// Held while a package is written: between the look whether it is there and the rename nobody else may come.
    writing: Mutex<()>,
}

/// An installed package, in a list of all (Fabric: the fields that `getinstalledchaincodes` fills).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The chaincode's name.
    pub name: String,
    /// The chaincode's version.
    pub version: String,
    /// Where the source was when it was packaged.
    pub path: String,
    /// The fingerprint.
    pub id: [u8; 32],
}

impl PackageStore {
    /// Opens the folder, making it when missing, and removes what an interrupted install left.
    ///
    /// # Errors
    /// The system's, with the folder's name.
    pub fn open(folder: &Path) -> Result<Self, PackageError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(PackageError::open(folder))?;
        let draft = folder.join(DRAFT);
        remove(&draft).map_err(PackageError::open(&draft))?;
        Ok(Self { folder: folder.to_owned(), writing: Mutex::default() })
    }

    /// Reads a package. The file's own name and version are the caller's to compare: somebody may have renamed it.
    ///
    /// # Errors
    /// When there is none, or it is no package.
    pub fn get(&self, name: &str, version: &str) -> Result<ChaincodePackage, PackageError> {
        ChaincodePackage::parse_installed(&read(&self.path(name, version)?)?)
    }

    /// All packages, by name of their file. What cannot be read or bears another name than its file is left out, and the log
    /// says so. Every package is read and hashed, one after the other.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Installed>, PackageError> {
        let entries = fs::read_dir(&self.folder).map_err(PackageError::open(&self.folder))?;
        let mut files = Vec::new();
        for entry in entries {
            let file = entry.map_err(PackageError::read(&self.folder))?.file_name();
            // A name that is no text is nobody's.
            files.extend(file.into_string());
        }
        files.sort_unstable();
        let named = files.iter().filter_map(|file| file.split_once('.')).filter(|(name, _)| !name.is_empty());
        Ok(named.filter_map(|(name, version)| self.installed(name, version)).collect())
    }

    fn installed(&self, name: &str, version: &str) -> Option<Installed> {
        let package = match self.get(name, version) {
            Ok(package) => package,
            Err(cause) => {
                warn!("Unreadable chaincode file found on filesystem: {name}.{version}: {cause}");
                return None;
            }
        };
        if (package.name(), package.version()) != (name, version) {
            warn!("Chaincode file's name/version has been modified on the filesystem: {name}.{version}");
            return None;
        }
        let (path, id) = (package.path().to_owned(), package.fingerprint().id);
        Some(Installed { name: name.to_owned(), version: version.to_owned(), path, id })
    }

    /// Stores a package under the name and version in it. Returns when the disk has it.
    ///
    /// # Errors
    /// When it is no package, its name or version cannot be a file's, or one is there already.
    pub fn put(&self, bytes: &Bytes) -> Result<ChaincodePackage, PackageError> {
        let package = ChaincodePackage::parse(bytes)?;
        let (name, version) = (package.name().to_owned(), package.version().to_owned());
        let path = self.path(&name, &version)?;
        let size = bytes.len() as u64;
        if size > MAX_PACKAGE_SIZE {
            return Err(PackageError::TooLarge { path, size, limit: MAX_PACKAGE_SIZE });
        }
        match self.write(&path, bytes) {
            Ok(()) => {
                info!("Installed Chaincode [{name}] Version [{version}] to peer");
                Ok(package)
            }
            Err(cause) => Err(PackageError::Install { name, version, cause }),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), InstallError> {
        let failed = |cause| InstallError::Write { path: path.to_owned(), cause };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // A dangling link is there too.
        if fs::symlink_metadata(path).is_ok() {
            return Err(InstallError::Exists(path.to_owned()));
        }
        let draft = self.folder.join(DRAFT);
        let write = || {
            remove(&draft)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|cause| {
            // A full disk has no use for half a package. What cannot be removed now is before the next one is written.
            let _ = remove(&draft);
            failed(cause)
        })
    }

    /// The file of a chaincode. Older versions of Fabric let more names pass than 1.4 does, so what is refused here is only
    /// what could lead out of the folder.
    fn path(&self, name: &str, version: &str) -> Result<PathBuf, PackageError> {
        let allowed = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !allowed(name, "_-") {
            return Err(PackageError::Name(name.to_owned()));
        }
        if !allowed(version, "_.+-") {
            return Err(PackageError::Version(version.to_owned()));
        }
        Ok(self.folder.join(format!("{name}.{version}")))
    }
}

/// Removes a file that need not be there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// A whole file, if it is one (reading a pipe might never end) and not too large.
fn read(path: &Path) -> Result<Bytes, PackageError> {
    let metadata = fs::metadata(path).map_err(PackageError::open(path))?;
    if !metadata.is_file() {
        return Err(PackageError::Read { path: path.to_owned(), cause: io::Error::other("is no regular file") });
    }
    let file = File::open(path).map_err(PackageError::open(path))?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_PACKAGE_SIZE)).unwrap_or(0));
    file.take(MAX_PACKAGE_SIZE + 1).read_to_end(&mut bytes).map_err(PackageError::read(path))?;
    let size = metadata.len().max(bytes.len() as u64);
    if size > MAX_PACKAGE_SIZE {
        return Err(PackageError::TooLarge { path: path.to_owned(), size, limit: MAX_PACKAGE_SIZE });
    }
    Ok(bytes.into())
}
