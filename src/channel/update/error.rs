//! Why a configuration may not follow another.

use prost::DecodeError;
use thiserror::Error;

use crate::channel::ChannelError;
use crate::policies::PolicyError;

/// Why an item's name is none. The texts are Fabric's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// No name at all.
    #[error("config ID illegal, cannot be empty")]
    Empty,
    /// A name that is too long.
    #[error("config ID illegal, cannot be longer than {0}")]
    Long(usize),
    /// A name that means something else.
    #[error("name '{0}' for config ID is not allowed")]
    Reserved(String),
    /// A name with other characters than ASCII letters, digits, dots and hyphens.
    #[error("config ID '{0}' contains illegal characters")]
    Characters(String),
    /// A tree that is too large: not Fabric's text, which has no such limit.
    #[error("the paths of the config's items take more than {0} bytes; use shorter names or fewer levels of groups")]
    Paths(usize),
    /// An item of a tree has such a name. Fabric names the kind of item only.
    #[error("Illegal characters in key: {kind} ({path}: {source})")]
    Item {
        /// The kind of item.
        kind: &'static str,
        /// The item's group, and its name.
        path: String,
        /// What is wrong with the name.
        source: Box<Self>,
    },
}

/// Why an update was refused. The texts are Fabric's, and clients of an orderer see them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigUpdateError {
    /// The envelope holds no update.
    #[error("error converting envelope to config update: {0}")]
    NotUpdate(#[source] Box<Self>),
    /// The update may not be made.
    #[error("error authorizing update: {0}")]
    Unauthorized(#[source] Box<Self>),
    /// Something of the update cannot be decoded.
    #[error("error unmarshaling {what}: {source}")]
    Undecodable {
        /// What.
        what: &'static str,
        /// Why not.
        source: DecodeError,
    },
    /// An envelope without a header.
    #[error("envelope must have a Header")]
    NoHeader,
    /// An envelope of another type.
    #[error("invalid type {received}, expected CONFIG_UPDATE")]
    Type {
        /// Its type.
        received: String,
    },
    /// An update of another channel.
    #[error("ConfigUpdate for channel '{update}' but envelope for channel '{channel}'")]
    OtherChannel {
        /// The channel that the update names.
        update: String,
        /// The channel that it was sent to.
        channel: String,
    },
    /// The read set or the write set has a name that none may have.
    #[error("error mapping {set}: {source}")]
    Names {
        /// Which of them.
        set: &'static str,
        /// The name.
        source: KeyError,
    },
    /// The update read what is not there.
    #[error("error validating ReadSet: existing config does not contain element for {0} but was in the read set")]
    NotThere(String),
    /// The update read another version.
    #[error(
        "error validating ReadSet: proposed update requires that key {key} be at version {required}, but it is \
         currently at version {current}"
    )]
    Version {
        /// The item.
        key: String,
        /// The version that the update read.
        required: u64,
        /// The version that is there.
        current: u64,
    },
    /// An item that the update writes may not be written.
    #[error("error validating DeltaSet: {0}")]
    Delta(#[from] DeltaError),
    /// A group names an item that is nowhere.
    #[error("could not turn configMap back to channelGroup: Missing {kind} at path: {key}")]
    Missing {
        /// What is missing.
        kind: &'static str,
        /// Where.
        key: String,
    },
    /// There is no configuration in the envelope.
    #[error("config envelope has nil config")]
    NoConfig,
    /// Not the configuration that is next.
    #[error("config currently at sequence {current}, cannot validate config at sequence {received}")]
    Sequence {
        /// The sequence number that the channel is at.
        current: u64,
        /// The one that came.
        received: u64,
    },
    /// The configuration is another one than its update makes.
    #[error("ConfigEnvelope LastUpdate did not produce the supplied config result")]
    Different,
    /// The configuration cannot be a channel's, or not on this node.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The configuration may not follow this one.
    #[error(transparent)]
    Transition(#[from] TransitionError),
}

/// Why an item may not be written. The texts are Fabric's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// Nothing is written.
    #[error("delta set was empty -- update would have no effect")]
    Empty,
    /// The item comes without a policy for its next change.
    #[error("invalid mod_policy for element {0}: mod_policy not set")]
    NoModPolicy(String),
    /// The path of that policy is none.
    #[error("invalid mod_policy for element {key}: path element at {index} is invalid: {source}")]
    ModPolicy {
        /// The item.
        key: String,
        /// The part of the path.
        index: usize,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A new item with a version.
    #[error("attempted to set key {key} to version {version}, but key does not exist")]
    NewVersion {
        /// The item.
        key: String,
        /// Its version.
        version: u64,
    },
    /// Not the version that is next.
    #[error("attempt to set key {key} to version {version}, but key is at version {current}")]
    NextVersion {
        /// The item.
        key: String,
        /// The version that it would get.
        version: u64,
        /// The version that it has.
        current: u64,
    },
    /// The item's policy is not there.
    #[error("unexpected missing policy {policy} for item {key}")]
    MissingPolicy {
        /// The policy.
        policy: String,
        /// The item.
        key: String,
    },
    /// The signatures do not satisfy the item's policy.
    #[error("policy for {key} not satisfied: {source}")]
    Policy {
        /// The item.
        key: String,
        /// Why not.
        source: PolicyError,
    },
}

/// Why a configuration may not follow this one, whoever signed. The texts are Fabric's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransitionError {
    /// A group went away.
    #[error("current config has {0} section, but new config does not")]
    Lost(&'static str),
    /// The channel would become one that others are made from.
    #[error("current config has no consortiums section, but new config does")]
    Consortiums,
    /// Another type of consensus, on a channel that does not allow the change.
    #[error("attempted to change consensus type from {from} to {to}")]
    ConsensusType {
        /// The present type.
        from: String,
        /// The next type.
        to: String,
    },
    /// An organisation would become another one.
    #[error("{group} org {organisation} attempted to change MSP ID from {from} to {to}")]
    MspId {
        /// The kind of organisation.
        group: &'static str,
        /// Its group.
        organisation: String,
        /// The present id.
        from: String,
        /// The next id.
        to: String,
    },
}
