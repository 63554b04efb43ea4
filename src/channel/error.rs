//! Why a channel cannot be served.

use thiserror::Error;

use super::ConfigError;
use super::capabilities::UnsupportedCapability;

/// Why a channel configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The channel's name breaks Fabric's rule.
    #[error(
        "invalid channel name '{0}': it must have 1 to 249 characters, begin with a lower-case letter and contain only \
         lower-case letters, digits, '.' and '-'"
    )]
    Name(String),
    /// The block holds no configuration.
    #[error("block {number} is no configuration block: {cause}")]
    NotConfig {
        /// The block's number.
        number: u64,
        /// What is missing or cannot be decoded.
        cause: String,
    },
    /// The configuration cannot be a channel's.
    #[error("configuration of channel {channel}: {source}")]
    Config {
        /// The channel.
        channel: String,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// The channel has no peers.
    #[error("[channel {channel}] does not have application config so is incompatible")]
    NoApplication {
        /// The channel.
        channel: String,
    },
    /// The channel asks for what this node does not have.
    #[error("[channel {channel}] incompatible: {source}")]
    Incompatible {
        /// The channel.
        channel: String,
        /// What it asks for, and what to do.
        source: UnsupportedCapability,
    },
    /// The system has no randomness to give.
    #[error("could not draw a nonce: the system's random source failed")]
    Random,
}
