//! Why access was denied.

use thiserror::Error;

use crate::msp::MspError;
use crate::policies::PolicyError;

/// Why access was denied. The texts are Fabric 1.4's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AclError {
    /// No policy guards a resource of that name.
    #[error("Unmapped policy for {0}")]
    Unmapped(String),
    /// A part of the proposal cannot be read.
    #[error("{what} during {during}: [error unmarshaling {part}: {source}]")]
    Proposal {
        /// What failed.
        what: &'static str,
        /// In which check.
        during: String,
        /// The part.
        part: &'static str,
        /// Why not.
        source: prost::DecodeError,
    },
    /// The envelope's payload cannot be read.
    #[error("{0}")]
    Payload(prost::DecodeError),
    /// The envelope's payload has no header.
    #[error("Missing Header")]
    NoHeader,
    /// The envelope's signature header cannot be read.
    #[error("GetSignatureHeaderFromBytes failed, err {0}")]
    SignatureHeader(prost::DecodeError),
    /// A channel's policy was asked for without a channel.
    #[error("Invalid channel ID name during check policy on signed data. Name must be different from nil.")]
    NoChannel,
    /// This peer has not joined the channel.
    #[error("Failed to get policy manager for channel [{0}]")]
    UnknownChannel(String),
    /// The creator does not satisfy the channel's policy.
    #[error(
        "Failed evaluating policy on signed data during check policy on channel [{channel}] with policy \
         [{policy}]: [{source}]"
    )]
    Policy {
        /// The channel.
        channel: String,
        /// The policy's path.
        policy: String,
        /// Why not.
        source: PolicyError,
    },
    /// The creator does not satisfy the policy that the channel's ACLs name.
    #[error("failed evaluating policy on signed data during check policy [{policy}]: [{source}]")]
    ConfiguredPolicy {
        /// The policy's path.
        policy: String,
        /// Why not.
        source: PolicyError,
    },
    /// The channel's ACLs name a policy that the channel does not have.
    #[error("failed evaluating policy on signed data during check policy [{0}]: [policy {0} not found]")]
    NoConfiguredPolicy(String),
    /// What was sent to the orderer cannot be read.
    #[error("could not convert message to signedData: {0}")]
    OrdererEnvelope(Box<AclError>),
    /// The channel lacks the policy that its orderer asks.
    #[error("could not find policy {0}")]
    NoOrdererPolicy(String),
    /// The creator does not satisfy the policy that the orderer asks.
    #[error("{0}: permission denied")]
    OrdererPolicy(PolicyError),
    /// The creator is nobody in the peer's own MSP.
    #[error("Failed deserializing proposal creator during channelless check policy with policy [{policy}]: [{source}]")]
    LocalCreator {
        /// The policy.
        policy: String,
        /// Why not.
        source: MspError,
    },
    /// A channel's policy was asked for without a channel, and the peer's own MSP has no such role.
    #[error(
        "Failed getting local MSP principal during channelless check policy with policy [{0}]: [MSP Principal role \
         [{0}] not recognized]"
    )]
    LocalPrincipal(String),
    /// The creator lacks the role in the peer's own MSP.
    #[error(
        "Failed verifying that proposal's creator satisfies local MSP principal during channelless check \
         policy with policy [{policy}]: [{source}]"
    )]
    LocalRole {
        /// The policy.
        policy: String,
        /// Why not.
        source: MspError,
    },
    /// The creator has the role in the peer's own MSP and did not sign.
    #[error("{0}")]
    LocalSignature(MspError),
}
