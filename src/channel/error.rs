//! What can be wrong with a channel's configuration.

use thiserror::Error;

use crate::msp::MspError;
use crate::policies::PolicyDefinitionError;

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
    /// An organisation of the channel cannot be used.
    #[error("organisation {organisation} of channel {channel}: {source}")]
    Organisation {
        /// The channel.
        channel: String,
        /// The organisation's group.
        organisation: String,
        /// What is wrong with its MSP.
        source: MspError,
    },
    /// A policy of the channel cannot be used.
    #[error("channel {channel}: {source}")]
    Policy {
        /// The channel.
        channel: String,
        /// Which, and what is wrong with it.
        source: PolicyDefinitionError,
    },
    /// The system has no randomness to give.
    #[error("could not draw a nonce: the system's random source failed")]
    Random,
}
