//! Why a package cannot be read or stored. Where Fabric 1.4 has a text, it is Fabric's: lscc passes it on to clients.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::platforms::{PlatformError, UnknownPlatform};

/// Why a package cannot be read or stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The name could not be that of a file of the store.
    #[error(
        "invalid chaincode name '{0}'. Names must start with an alphanumeric character and can only consist of \
         alphanumerics, '_', and '-'"
    )]
    Name(String),
    /// The version could not be part of the name of a file of the store. The two blanks are Fabric's.
    #[error(
        "invalid chaincode version '{0}'. Versions must not be empty and can only consist of alphanumerics, '_',  '-', \
         '+', and '.'"
    )]
    Version(String),
    /// There is no such file, or it cannot be opened.
    #[error("open {}: {}", .path.display(), go_text(.cause))]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// It cannot be read.
    #[error("read {}: {}", .path.display(), go_text(.cause))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// It is larger than any package that can be installed.
    #[error("chaincode package {} has {size} bytes, the limit is {limit}", .path.display())]
    TooLarge {
        /// The file, or where it would be.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It is no ChaincodeDeploymentSpec.
    #[error("failed to unmarshal deployment spec from bytes")]
    NoDeploymentSpec,
    /// The spec has no chaincode id. (Fabric ends its process here.)
    #[error("deployment spec names no chaincode")]
    NoChaincodeId,
    /// A name that is no text, as a message of another kind gives one.
    #[error("invalid chaincode name: {0:?}")]
    NotPrintable(String),
    /// It is no envelope.
    #[error("failed to unmarshal envelope from bytes")]
    NoEnvelope,
    /// The envelope's payload, its header or its data cannot be decoded.
    #[error("{0}")]
    Undecodable(#[from] prost::DecodeError),
    /// The envelope's payload has no header.
    #[error("channel header cannot be nil")]
    NoHeader,
    /// The envelope is for something else.
    #[error("invalid type of envelope for chaincode package")]
    EnvelopeType,
    /// The envelope's spec is no ChaincodeDeploymentSpec.
    #[error("error getting deployment spec")]
    NoSignedDeploymentSpec,
    /// A signed package without a policy.
    #[error("instantiation policy cannot be nil for chaincode ({name}:{version})")]
    NoInstantiationPolicy {
        /// The chaincode.
        name: String,
        /// Its version.
        version: String,
    },
    /// What is to be installed is a package of neither form.
    #[error("could not unmarshal chaincode package to CDS or SignedCDS")]
    NoPackage,
    /// Nobody can install under the name of a system chaincode.
    #[error("cannot install: {0} is the name of a system chaincode")]
    SystemChaincode(String),
    /// It is for a platform that this peer does not have. (Fabric says no more than the first words.)
    #[error("invalid deployment spec: {0}")]
    Platform(UnknownPlatform),
    /// There is nothing to search for what is for the state database.
    #[error("nil code package")]
    NoCode,
    /// The code cannot be unpacked, or does not fit its platform or the state database.
    #[error(transparent)]
    Code(PlatformError),
    /// A fault of this peer.
    #[error("the peer failed while it installed the package; its log has the cause")]
    Panicked,
    /// It was not stored.
    #[error("error installing chaincode code {name}:{version}({cause})")]
    Install {
        /// The chaincode.
        name: String,
        /// Its version.
        version: String,
        /// Why not.
        cause: InstallError,
    },
}

/// Why a package was not stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InstallError {
    /// One of that name and version is there.
    #[error("chaincode {} exists", .0.display())]
    Exists(PathBuf),
    /// The system's error.
    #[error("open {}: {}", .path.display(), go_text(.cause))]
    Write {
        /// The file that was to be.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl PackageError {
    pub(super) fn open(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Open { path: path.to_owned(), cause }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Read { path: path.to_owned(), cause }
    }
}

/// The system's text without Rust's "(os error 2)", as Go has it.
fn go_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
