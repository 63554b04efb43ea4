//! Why a channel cannot be made.

use thiserror::Error;

use crate::channel::ChannelError;

/// Why a channel cannot be made. The texts are Fabric's, and clients of an orderer see them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreationError {
    /// A part of the transaction cannot be decoded.
    #[error("Failing initial channel config creation because of {what} unmarshaling error: {source}")]
    Undecodable {
        /// The part.
        what: &'static str,
        /// Why not.
        source: prost::DecodeError,
    },
    /// The transaction has no header.
    #[error("Failed initial channel config creation because config update header was missing")]
    NoHeader,
    /// The transaction's channel header cannot be decoded.
    #[error("Failed initial channel config creation because channel header was malformed: {0}")]
    Header(prost::DecodeError),
    /// The update is for another channel than the transaction.
    #[error("Failing initial channel config creation: mismatched channel IDs: '{update}' != '{transaction}'")]
    Mismatch {
        /// The update's.
        update: String,
        /// The transaction's.
        transaction: String,
    },
    /// Nothing is written.
    #[error("Config update has an empty writeset")]
    NoWriteSet,
    /// The channel would have no peers.
    #[error("Config update has missing application group")]
    NoApplication,
    /// No creation, because a new channel has the group already.
    #[error("Config update for channel creation does not set application group version to 1, was {0}")]
    ApplicationVersion(u64),
    /// Nobody is named who may decide.
    #[error("Consortium config value missing")]
    NoConsortium,
    /// The consortium's name cannot be decoded.
    #[error("Error reading unmarshaling consortium name: {0}")]
    Consortium(prost::DecodeError),
    /// There is no such consortium.
    #[error("Unknown consortium name: {name}; this ordering service knows {known}")]
    UnknownConsortium {
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The channel would have no organisation.
    #[error("Proposed configuration has no application group members, but consortium contains members")]
    NoMembers,
    /// An organisation is not in the consortium.
    #[error("Attempted to include a member which is not in the consortium ({name}; its members are {members})")]
    NoMember {
        /// Its group.
        name: String,
        /// Those that there are.
        members: String,
    },
    /// No channel can have that name.
    #[error("initializing configtx manager failed: bad channel ID: {0}")]
    Name(String),
    /// The configuration that the channel would begin with cannot be a channel's.
    #[error("{0}")]
    Template(ChannelError),
}

impl CreationError {
    pub(super) fn template(error: ChannelError) -> Self {
        match error {
            ChannelError::Name(name) if name.is_empty() => Self::Name("channel ID illegal, cannot be empty".to_owned()),
            ChannelError::Name(name) if name.len() > 249 => {
                Self::Name("channel ID illegal, cannot be longer than 249".to_owned())
            }
            ChannelError::Name(name) => Self::Name(format!(
                "channel ID '{name}' contains illegal characters; a name begins with a lower-case letter and has no others \
                 than lower-case letters, digits, '.' and '-'"
            )),
            other => Self::Template(other),
        }
    }
}
