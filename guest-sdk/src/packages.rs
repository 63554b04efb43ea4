//! The capabilities `packages` and `package-admin`: the chaincode packages that were installed on this peer by lscc, and
//! installing another.
//!
//! The host checks the caller's rights itself, with a resource for each function. Code comes and goes as a [`Blob`].

use crate::Blob;

/// Why a package is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The creator of the proposal may not ask; the text names policy and reason.
    #[error("{0}")]
    AccessDenied(String),
    /// There is no such package, or it cannot be read; the text is Fabric's.
    #[error("{0}")]
    Unavailable(String),
}

/// An installed package, in a list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// The chaincode's name.
    pub name: String,
    /// The chaincode's version.
    pub version: String,
    /// Where the source was when it was packaged.
    pub path: String,
    /// The fingerprint.
    pub id: Vec<u8>,
}

/// What a package says of its chaincode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageDescription {
    /// Where the source was when it was packaged.
    pub path: String,
    /// A marshalled `ChaincodeInput`; none where the package has none.
    pub input: Option<Vec<u8>>,
}

/// How a package is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageForm {
    /// A ChaincodeDeploymentSpec.
    Plain,
    /// A SignedChaincodeDeploymentSpec in an envelope.
    Signed,
}

/// A package whole.
#[derive(Debug)]
pub struct ChaincodePackage {
    /// The chaincode's name.
    pub name: String,
    /// The chaincode's version.
    pub version: String,
    /// Where the source was when it was packaged.
    pub path: String,
    /// How it is made.
    pub form: PackageForm,
    /// The hashes that lscc writes to the ledger: a marshalled `CDSData`, or `SignedCDSData` of a signed package.
    pub data: Vec<u8>,
    /// The fingerprint: SHA-256 over those hashes.
    pub id: Vec<u8>,
    /// The marshalled ChaincodeDeploymentSpec, byte for byte as it was installed.
    pub deployment_spec: Blob,
}

/// What a deploy or upgrade makes of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageDefinition {
    /// A marshalled `CDSData` or `SignedCDSData`.
    pub data: Vec<u8>,
    /// The fingerprint: SHA-256 over those hashes.
    pub id: Vec<u8>,
    /// Who may instantiate it, a marshalled `SignaturePolicyEnvelope`: the package's own policy, or the channel's default.
    pub instantiation_policy: Vec<u8>,
}

/// Why a package was not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The creator of the proposal is no administrator of the peer's own organisation; the text names policy and reason.
    #[error("{0}")]
    AccessDenied(String),
    /// It is no package, or one that this peer does not take, or one of its name and version is there. The text is Fabric's.
    #[error("{0}")]
    Refused(String),
}

/// The installed packages.
#[derive(Debug)]
pub struct Packages<'a> {
    stub: &'a crate::Stub,
}

impl crate::Stub {
    /// The packages that were installed on this peer. Needs the capability `packages`.
    pub fn packages(&self) -> Packages<'_> {
        Packages { stub: self }
    }
}

impl Packages<'_> {
    /// All that can be read. For administrators of the peer's organisation.
    ///
    /// # Errors
    /// When the creator is none.
    pub fn list(&self) -> Result<Vec<InstalledPackage>, PackageError> {
        self.stub.peer.list_packages()
    }

    /// One package without its code, for whoever may use lscc/GetInstantiatedChaincodes on `channel`.
    ///
    /// # Errors
    /// When the creator may not, or there is no such package.
    pub fn describe(&self, channel: &str, name: &str, version: &str) -> Result<PackageDescription, PackageError> {
        self.stub.peer.describe_package(channel, name, version)
    }

    /// One package with its code, for whoever may use lscc/GetDeploymentSpec on `channel`.
    ///
    /// # Errors
    /// When the creator may not, or there is no such package.
    pub fn get(&self, channel: &str, name: &str, version: &str) -> Result<ChaincodePackage, PackageError> {
        self.stub.peer.get_package(channel, name, version)
    }
    /// What a deploy or upgrade on the transaction's own channel makes of a package, for whoever satisfies the package's
    /// instantiation policy.
    ///
    /// # Errors
    /// [`PackageError::Unavailable`] when there is no such package, else [`PackageError::AccessDenied`] when the creator does
    /// not satisfy the policy.
    pub fn definition(&self, name: &str, version: &str) -> Result<PackageDefinition, PackageError> {
        self.stub.peer.package_definition(name, version)
    }

    /// Installs a package under the name and version in it. For administrators of the peer's organisation. An install that has
    /// begun is finished whatever happens to this transaction. Needs the capability `package-admin`.
    ///
    /// # Errors
    /// [`InstallError`]; nothing is installed then.
    pub fn install(&self, package: &Blob) -> Result<(), InstallError> {
        self.stub.peer.install_package(package)
    }
}
