//! What the chaincode side asks of the rest of the peer, as traits (Fabric: the interfaces at the top of `handler.go`).
//!
//! The composition root fills an [`Environment`]; nothing here knows who stands behind a trait.

use std::sync::Arc;

use async_trait::async_trait;
use selvedge_proto::protos::{ChaincodeData, SignedProposal};
use thiserror::Error;

use super::Authenticator;
use crate::container::{Ccid, VmType};
use crate::ledger::{Ledger, LedgerProvider, SharedSimulator};
use crate::platforms::CodePackage;

/// The parts of the peer that running chaincode needs.
#[derive(Clone)]
pub struct Environment {
    /// The channels' ledgers.
    pub ledgers: Arc<dyn Ledgers>,
    /// What is known about a chaincode before it runs.
    pub definitions: Arc<dyn Definitions>,
    /// Which chaincodes are the system's, and what they allow.
    pub system_chaincodes: Arc<dyn SystemChaincodes>,
    /// The access control lists.
    pub access: Arc<dyn AccessControl>,
    /// The channels' application configuration.
    pub application: Arc<dyn ApplicationConfig>,
    /// The rules of private data collections.
    pub collections: Arc<dyn Collections>,
    /// The code of the chaincodes that are installed.
    pub packages: Arc<dyn Packages>,
    /// Makes the certificates that chaincode registers with; none where it registers without TLS.
    pub authenticator: Option<Arc<Authenticator>>,
}

/// The ledgers of the channels this peer is in.
pub trait Ledgers: Send + Sync + 'static {
    /// The channel's ledger; none if the peer is not in the channel.
    fn ledger(&self, channel: &str) -> Option<Arc<Ledger>>;
}

impl Ledgers for LedgerProvider {
    fn ledger(&self, channel: &str) -> Option<Arc<Ledger>> {
        self.get(channel)
    }
}

/// What a launch needs to know (Fabric: `ccprovider.ChaincodeContainerInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Name and version.
    pub ccid: Ccid,
    /// Where it runs.
    pub vm: VmType,
    /// Where its code is.
    pub code: CodeSource,
}

/// Where the code of a chaincode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeSource {
    /// With its VM, since the peer started: a system chaincode.
    System,
    /// In its package, which is installed: a chaincode of users.
    Package,
}

/// Definitions of chaincodes (Fabric: `chaincode.Lifecycle`). What is read through the simulator is part of the
/// transaction's read set.
#[async_trait]
pub trait Definitions: Send + Sync + 'static {
    /// What to launch for a name.
    async fn container_info(
        &self,
        name: &str,
        simulator: Option<&SharedSimulator>,
    ) -> Result<ContainerInfo, DefinitionError>;

    /// What the channel has agreed on for a chaincode of users.
    async fn definition(
        &self,
        name: &str,
        simulator: Option<&SharedSimulator>,
    ) -> Result<ChaincodeData, DefinitionError>;

    /// Whether the package that is installed here lets the chaincode run as it is defined: a signed package brings the
    /// instantiation policy that its owners agreed on. Asked before each call of a chaincode of users.
    async fn check_instantiation_policy(&self, name: &str, definition: &ChaincodeData) -> Result<(), DefinitionError>;

    /// What to launch for an INIT, when nothing is defined yet: what is installed under that name and version.
    ///
    /// # Errors
    /// The text of what keeps the package from being read.
    async fn installed(&self, ccid: &Ccid) -> Result<ContainerInfo, String>;
}

/// Why there is no definition. The texts are Fabric's (`lscc`).
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A launch outside any channel. The line break is Fabric's.
    #[error("could not get container info for chaincode {0} without a ledger context\n")]
    NoLedgerForInfo(String),
    /// A call outside any channel. The line break is Fabric's.
    #[error("could not get definition for chaincode {0} without a ledger context\n")]
    NoLedgerForDefinition(String),
    /// Not instantiated on this channel.
    #[error("chaincode {0} not found")]
    NotFound(String),
    /// No package is installed here that instantiation policies could be compared with.
    /// Names the chaincode as `name/version`, and says why.
    #[error("cannot retrieve package for chaincode {0}")]
    NoPackage(String),
    /// The package of this chaincode (`name/version`) that is installed here has another instantiation policy than the
    /// channel.
    #[error("Instantiation policy mismatch for cc {0}")]
    PolicyMismatch(String),
    /// The package that is installed here cannot be launched: it is not there, or not the one that was instantiated.
    #[error("could not get chaincode code: {0}")]
    Code(String),
    /// Anything else, already worded for the client.
    #[error("{0}")]
    Other(String),
}

impl DefinitionError {
    /// Whether another endorser might not meet this failure.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::NoPackage(_) | Self::PolicyMismatch(_) | Self::Code(_))
    }
}

/// The code of installed chaincodes (Fabric: `chaincode.PackageProvider`).
#[async_trait]
pub trait Packages: Send + Sync + 'static {
    /// The code of a chaincode, as its package says which platform it is for.
    ///
    /// # Errors
    /// The text of what keeps it from being read.
    async fn code_package(&self, ccid: &Ccid) -> Result<CodePackage, String>;
}

/// What is asked about system chaincodes (Fabric: `sysccprovider.SystemChaincodeProvider`).
pub trait SystemChaincodes: Send + Sync + 'static {
    /// Whether the name is a system chaincode's, enabled or not.
    fn is_sys_cc(&self, name: &str) -> bool;
    /// Whether the name is that of a system chaincode which clients must not call.
    fn is_sys_cc_and_not_invokable_external(&self, name: &str) -> bool;
    /// Whether the name is that of a system chaincode which other chaincodes must not call.
    fn is_sys_cc_and_not_invokable_cc2cc(&self, name: &str) -> bool;
    /// The version of every system chaincode.
    fn version(&self) -> &str;
    /// How a system chaincode is launched; none for one that does not run here, and for any other chaincode.
    fn container_info(&self, _name: &str) -> Option<ContainerInfo> {
        None
    }
}

/// The access control lists of the channels (Fabric: `aclmgmt.ACLProvider`).
pub trait AccessControl: Send + Sync + 'static {
    /// Whether the proposal's creator may use the resource on the channel.
    ///
    /// # Errors
    /// [`Denied`] with the text that the client sees.
    fn check(&self, resource: &str, channel: &str, signed: &SignedProposal) -> Result<(), Denied>;
}

/// Access was refused, for the reason given.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Denied(pub String);

/// The application part of the channels' configuration.
pub trait ApplicationConfig: Send + Sync + 'static {
    /// The channel's application capabilities; none for a channel without application configuration.
    fn capabilities(&self, channel: &str) -> Option<ApplicationCapabilities>;
}

/// The application capabilities that decide about requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplicationCapabilities {
    /// Keys have endorsement policies of their own (V1_3 and later).
    pub key_level_endorsement: bool,
    /// Private data can be purged (V2_5 and later).
    pub purge_private_data: bool,
}

/// What is done with a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading values, ranges or metadata. Hashes are free to read.
    Read,
    /// Writing, deleting or purging. Fabric 1.4 checks nothing here; `member_only_write` is of 2.0.
    Write,
}

/// Whether somebody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Granted,
    /// No.
    Refused,
}

/// The rules of private data collections (Fabric: `privdata.CollectionStore`).
pub trait Collections: Send + Sync + 'static {
    /// Whether the proposal's creator has this access to the collection. Definitions are read through the simulator.
    ///
    /// # Errors
    /// [`Denied`] when the collection's rules cannot be read, with the text that the chaincode sees.
    fn permission(
        &self,
        access: Access,
        channel: &str,
        namespace: &str,
        collection: &str,
        signed: Option<&SignedProposal>,
        simulator: &SharedSimulator,
    ) -> Result<Permission, Denied>;
}
