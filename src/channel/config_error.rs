//! Why a configuration tree cannot be a channel's.

use thiserror::Error;

use super::update::KeyError;
use crate::msp::MspError;
use crate::policies::PolicyDefinitionError;

/// Why a configuration tree cannot be a channel's. The texts are Fabric's, and clients of an orderer see them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no tree.
    #[error("config must contain a channel group")]
    NoChannelGroup,
    /// Capabilities that the ordering service was not asked for first.
    #[error("cannot enable {0} capabilities without orderer support first")]
    CapabilitiesWithoutOrderer(&'static str),
    /// The values of the tree are wrong somewhere.
    #[error("initializing channelconfig failed: {0}")]
    Channel(#[source] Box<Self>),
    /// A policy of the tree is wrong.
    #[error("initializing policymanager failed: {0}")]
    Policies(#[from] PolicyDefinitionError),
    /// An item of the tree has a name that none may have.
    #[error("initializing configtx manager failed: error converting config to map: {0}")]
    Names(#[from] KeyError),
    /// A group below the root is wrong.
    #[error("could not create channel {group} sub-group config: {source}")]
    Group {
        /// The group.
        group: &'static str,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// A value of a group cannot be read.
    #[error("failed to deserialize values: {0}")]
    Values(#[source] Box<Self>),
    /// A group that a channel does not have.
    #[error("Disallowed channel group: {0}")]
    UnknownGroup(String),
    /// A value that the group does not have.
    #[error("Unexpected key {0}")]
    UnknownValue(String),
    /// A value that is not what its name says.
    #[error("value {key} cannot be decoded: {source}")]
    Undecodable {
        /// The value's name.
        key: &'static str,
        /// Why not.
        source: prost::DecodeError,
    },
    /// A hash that no channel uses.
    #[error("Unknown hashing algorithm type: {0}")]
    HashingAlgorithm(String),
    /// A Merkle tree over the transactions of a block.
    #[error("BlockDataHashStructure width only supported at MaxUint32 in this version")]
    HashingWidth,
    /// Nobody could find the ordering service.
    #[error("Must set some OrdererAddresses")]
    NoOrdererAddresses,
    /// ACLs on a channel that does not have them.
    #[error("ACLs may not be specified without the required capability")]
    AclsWithoutCapability,
    /// Groups in an organisation.
    #[error("{0} config does not allow sub-groups")]
    SubGroups(&'static str),
    /// Addresses of an ordering organisation on a channel that does not have them.
    #[error("Orderer Org {0} cannot contain endpoints value until V1_4_2+ capabilities have been enabled")]
    EndpointsWithoutCapability(String),
    /// A batch of nothing.
    #[error("Attempted to set the batch size {0} to an invalid value: 0")]
    BatchSize(&'static str),
    /// A preferred size that is larger than the largest.
    #[error(
        "Attempted to set the batch size preferred max bytes ({preferred}) greater than the absolute max bytes \
         ({absolute})."
    )]
    PreferredBytes {
        /// The preferred size.
        preferred: u32,
        /// The largest.
        absolute: u32,
    },
    /// A timeout that is none.
    #[error("Attempted to set the batch timeout to a invalid value: '{value}' {cause}")]
    BatchTimeout {
        /// What stands there.
        value: String,
        /// Why it is none.
        cause: String,
    },
    /// A timeout of nothing.
    #[error("Attempted to set the batch timeout to a non-positive value: 0s")]
    NoBatchTimeout,
    /// A Kafka broker without a usable address.
    #[error("Invalid broker entry: {0}")]
    Broker(String),
    /// An organisation's MSP cannot be used.
    #[error("organisation {organisation}: setting up the MSP manager failed: {source}")]
    Msp {
        /// The organisation's group.
        organisation: String,
        /// What is wrong with its MSP.
        source: Box<MspError>,
    },
    /// Two organisations whose MSPs have one name and differ.
    #[error("Attempted to define two different versions of MSP: {0}")]
    TwoMsps(String),
}
