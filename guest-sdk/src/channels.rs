//! The capabilities `channel-config` and `channel-admin`: the peer's channels, and joining another.
//!
//! The host checks the caller's rights itself, with a resource for each function. Everything comes and goes as a
//! [`Blob`], so a configuration block of any size passes through.

use crate::Blob;

/// Why a question about channels has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The creator of the proposal may not ask; the text names policy and reason.
    #[error("{0}")]
    AccessDenied(String),
    /// This peer has not joined such a channel.
    #[error("no such channel")]
    UnknownChannel,
    /// The update would be refused, or the store failed.
    #[error("{0}")]
    Refused(String),
}

/// Why a channel was not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The bytes are no block; the text is the decoder's.
    #[error("{0}")]
    NoBlock(String),
    /// The block names no channel.
    #[error("{0}")]
    NoChannel(String),
    /// The block holds no configuration of an application channel.
    #[error("channel {channel}: {reason}")]
    NoConfiguration {
        /// The channel that the block names.
        channel: String,
        /// What is missing.
        reason: String,
    },
    /// The creator of the proposal is no administrator of the peer's own organisation.
    #[error("channel {channel}: {reason}")]
    AccessDenied {
        /// The channel that the block names.
        channel: String,
        /// The policy and why it is not satisfied.
        reason: String,
    },
    /// The channel cannot be made of the block, or exists.
    #[error("{0}")]
    Refused(String),
}

/// What can be asked about channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelQuery<'a> {
    /// The names of all, as a marshalled `protos.ChannelQueryResponse`.
    Channels,
    /// The newest configuration block of a channel, a marshalled `common.Block`.
    ConfigBlock(&'a str),
    /// The newest configuration of a channel, a marshalled `protos.ConfigTree`.
    ConfigTree(&'a str),
}

impl crate::Stub {
    /// Something about the peer's channels. Needs the capability `channel-config`.
    ///
    /// # Errors
    /// [`ChannelError`], an unknown channel only where the caller might have asked about it.
    pub fn channel_config(&self, query: ChannelQuery<'_>) -> Result<Blob, ChannelError> {
        self.peer.channel_config(query)
    }

    /// Whether a channel would take an update, a marshalled `common.Envelope` of type CONFIG_UPDATE. Nothing changes. Needs
    /// the capability `channel-config`.
    ///
    /// # Errors
    /// [`ChannelError::Refused`] says why it would not.
    pub fn simulate_config_update(&self, channel: &str, update: &Blob) -> Result<(), ChannelError> {
        self.peer.simulate_config_update(channel, update)
    }

    /// Joins the channel whose block 0 is given, a marshalled `common.Block`. A join that has begun is finished whatever
    /// happens to this transaction. Needs the capability `channel-admin`.
    ///
    /// # Errors
    /// [`JoinError`]; the channel is not joined then.
    pub fn join_channel(&self, genesis: &Blob) -> Result<(), JoinError> {
        self.peer.join_channel(genesis)
    }
}
