//! The platforms that chaincode of users is written for (Fabric 1.4: `core/chaincode/platforms`): what a package must look
//! like, how it is made of a folder, and how it becomes something that runs.
//!
//! One small module for each platform, and what they share: [`check_package_code`] before an install, [`plan`] before an
//! image is built, and [`check_metadata`] for what a package has for the state database.

mod archive;
mod ccaas;
mod elf;
mod error;
mod folder;
mod golang;
mod java;
mod metadata;
mod node;
mod packaging;
mod plan;
mod rust;
mod settings;
mod tarball;
#[cfg(test)]
mod tests;
mod validation;
mod wasm;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use selvedge_proto::protos::chaincode_spec::Type;
use thiserror::Error;

pub use archive::{MAX_FILES, MAX_UNPACKED, read_file};
pub(crate) use archive::{read_content, walk};
pub use ccaas::{CONNECTION, MAX_CONNECTION};
pub use error::PlatformError;
pub use java::JAVA_START;
pub use metadata::{MetadataError, check_metadata, validate_metadata_file};
pub use packaging::{Packaged, Packager};
pub use plan::{BuildPlan, Packaging, plan};
pub use settings::{BASE_VERSION, BuildSettings, FABRIC_VERSION, expand_image};
pub use validation::{check_package_code, validate_code_package};
pub use wasm::{MAX_WASM_MODULE, WASM_MODULE};

use crate::container::VmType;

/// A platform (Fabric: `ChaincodeSpec.Type`; the last three are ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Platform {
    /// Go, built in a container.
    Golang,
    /// Node.js, built in a container.
    Node,
    /// Java, built in a container.
    Java,
    /// A Rust crate on the SDK, or a static program.
    Rust,
    /// A WebAssembly module, which runs in the peer's sandbox.
    Wasm,
    /// Somebody else's service, which the peer dials.
    Ccaas,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Golang, Self::Node, Self::Java, Self::Rust, Self::Wasm, Self::Ccaas];

    /// The number in a ChaincodeSpec.
    pub fn spec_type(self) -> Type {
        match self {
            Self::Golang => Type::Golang,
            Self::Node => Type::Node,
            Self::Java => Type::Java,
            Self::Rust => Type::Rust,
            Self::Wasm => Type::Wasm,
            Self::Ccaas => Type::Ccaas,
        }
    }

    /// The platform of a ChaincodeSpec.
    ///
    /// # Errors
    /// [`UnknownPlatform`] for CAR, which nothing builds any more, and for what is no type at all.
    pub fn of_spec(number: i32) -> Result<Self, UnknownPlatform> {
        let known = Self::ALL.into_iter().find(|platform| platform.spec_type() as i32 == number);
        known.ok_or_else(|| match Type::try_from(number) {
            Ok(kind) => UnknownPlatform(kind.as_str_name().to_owned()),
            Err(_) => UnknownPlatform(number.to_string()),
        })
    }

    /// What runs it.
    pub fn vm(self) -> VmType {
        match self {
            Self::Golang | Self::Node | Self::Java | Self::Rust => VmType::Docker,
            Self::Wasm => VmType::System,
            Self::Ccaas => VmType::Server,
        }
    }
}

/// Fabric's spelling, in capitals.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec_type().as_str_name())
    }
}

/// In any case of letters, as Fabric's tools take it.
impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(name: &str) -> Result<Self, UnknownPlatform> {
        let name = name.to_uppercase();
        let known = Self::ALL.into_iter().find(|platform| platform.spec_type().as_str_name() == name);
        known.ok_or(UnknownPlatform(name))
    }
}

/// No platform of this peer. Fabric's text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Unknown chaincodeType: {0}")]
pub struct UnknownPlatform(pub String);

/// The code of a chaincode, as its package has it.
#[derive(Clone, PartialEq, Eq)]
pub struct CodePackage {
    /// What it is written for.
    pub platform: Platform,
    /// Where the source was when it was packaged; for Go, the path of the package to build.
    pub path: String,
    /// The code: a gzipped tar.
    pub bytes: Bytes,
}

impl fmt::Debug for CodePackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({} bytes)", self.platform, self.path, self.bytes.len())
    }
}
