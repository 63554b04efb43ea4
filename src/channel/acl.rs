//! Access control lists: which policy guards which resource (Fabric: `core/aclmgmt/defaultaclprovider.go`,
//! `core/policy`).
//!
//! The map is Fabric's default one; what a channel configures under `Application/ACLs` is not read yet. Invariant:
//! nothing is allowed whose signature was not verified by the [`Authenticator`].

use std::sync::Arc;

use prost::Message;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, Payload, SignatureHeader};
use selvedge_proto::protos::{Proposal, SignedProposal};
use thiserror::Error;

use super::Authenticator;
use crate::msp::{Identity, MspError};
use crate::policies::PolicyError;

/// Names of resources that parts outside system chaincodes ask for.
pub mod resource {
    /// To send a proposal for user chaincode.
    pub const PROPOSE: &str = "peer/Propose";
    /// To call user chaincode from chaincode.
    pub const CHAINCODE_TO_CHAINCODE: &str = "peer/ChaincodeToChaincode";
    /// To receive whole blocks.
    pub const BLOCK_EVENT: &str = "event/Block";
    /// To receive blocks without their content.
    pub const FILTERED_BLOCK_EVENT: &str = "event/FilteredBlock";
    /// To send transactions to the embedded orderer. Not a resource in Fabric, and not to be configured.
    pub const BROADCAST: &str = "orderer/Broadcast";
    /// To receive blocks from the embedded orderer. Not a resource in Fabric, and not to be configured.
    pub const ORDERER_DELIVER: &str = "orderer/Deliver";
}

const READERS: &str = "/Channel/Application/Readers";
const WRITERS: &str = "/Channel/Application/Writers";
/// What Fabric's orderer asks instead of a resource's policy.
const ORDERER_READERS: &str = "/Channel/Readers";
const ORDERER_WRITERS: &str = "/Channel/Writers";

/// A policy of the peer's own MSP, for what belongs to no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalPolicy {
    /// An administrator of the peer's MSP.
    Admins,
    /// Any member of the peer's MSP.
    Members,
}

impl LocalPolicy {
    fn name(self) -> &'static str {
        match self {
            Self::Admins => "Admins",
            Self::Members => "Members",
        }
    }
}

enum Rule {
    Channel(&'static str),
    Local(LocalPolicy),
}

fn rule(resource: &str) -> Option<Rule> {
    Some(match resource {
        "peer/Propose" | "peer/ChaincodeToChaincode" | "cscc/SimulateConfigTreeUpdate" => Rule::Channel(WRITERS),
        "event/Block"
        | "event/FilteredBlock"
        | "lscc/ChaincodeExists"
        | "lscc/GetDeploymentSpec"
        | "lscc/GetChaincodeData"
        | "lscc/GetInstantiatedChaincodes"
        | "lscc/GetCollectionsConfig"
        | "cscc/GetConfigBlock"
        | "cscc/GetConfigTree"
        | "cscc/GetChannelConfig"
        | "qscc/GetChainInfo"
        | "qscc/GetBlockByNumber"
        | "qscc/GetBlockByHash"
        | "qscc/GetTransactionByID"
        | "qscc/GetBlockByTxID" => Rule::Channel(READERS),
        resource::BROADCAST => Rule::Channel(ORDERER_WRITERS),
        resource::ORDERER_DELIVER => Rule::Channel(ORDERER_READERS),
        "lscc/Install" | "lscc/GetInstalledChaincodes" | "cscc/JoinChain" => Rule::Local(LocalPolicy::Admins),
        "cscc/GetChannels" => Rule::Local(LocalPolicy::Members),
        _ => return None,
    })
}

/// Why access was denied. The texts are Fabric 1.4's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AclError {
    /// No policy guards a resource of that name.
    #[error("Unmapped policy for {0}")]
    Unmapped(String),
    /// The proposal or envelope cannot be read.
    #[error("Invalid signed proposal during check policy on channel [{channel}] with policy [{policy}]")]
    Malformed {
        /// The channel asked about; may be empty.
        channel: String,
        /// The policy.
        policy: &'static str,
    },
    /// A channel's policy was asked for an envelope without a channel.
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
        policy: &'static str,
        /// Why not.
        source: PolicyError,
    },
    /// The creator is nobody in the peer's own MSP.
    #[error("Failed deserializing proposal creator during channelless check policy with policy [{policy}]: [{source}]")]
    LocalCreator {
        /// The policy.
        policy: &'static str,
        /// Why not.
        source: MspError,
    },
    /// A channel's policy was asked for without a channel. Fabric then looks for a role of that name in the peer's own MSP.
    #[error(
        "Failed getting local MSP principal during channelless check policy with policy [{0}]: [MSP Principal role [{0}] \
         not recognized]"
    )]
    LocalPolicy(&'static str),
    /// The creator lacks the role in the peer's own MSP.
    #[error(
        "Failed verifying that proposal's creator satisfies local MSP principal during channelless check \
         policy with policy [{policy}]: [{source}]"
    )]
    LocalRole {
        /// The policy.
        policy: &'static str,
        /// Why not.
        source: MspError,
    },
}

/// Decides whether a creator may use a resource.
#[derive(Clone)]
pub struct AclChecker {
    authenticator: Arc<Authenticator>,
}

/// Something signed, taken apart.
struct Signed<'a> {
    creator: &'a [u8],
    message: &'a [u8],
    signature: &'a [u8],
}

impl AclChecker {
    /// A checker that asks `authenticator` who somebody is. Sharing one with the endorser means that a proposal's
    /// signature is verified once.
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    /// Whether the creator of `signed` may use `resource` on `channel`. The channel may be another one than the
    /// proposal's.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check(&self, resource: &str, channel: &str, signed: &SignedProposal) -> Result<(), AclError> {
        let rule = rule(resource).ok_or_else(|| AclError::Unmapped(resource.to_owned()))?;
        let policy = match rule {
            Rule::Channel(policy) => policy,
            Rule::Local(local) => local.name(),
        };
        let malformed = || AclError::Malformed { channel: channel.to_owned(), policy };
        let creator = creator_of_proposal(signed).ok_or_else(malformed)?;
        let signed = Signed { creator: &creator, message: &signed.proposal_bytes, signature: &signed.signature };
        match rule {
            Rule::Channel(policy) if channel.is_empty() => {
                let creator = |source| AclError::LocalCreator { policy, source };
                self.authenticator.identify("", signed.creator).map_err(creator)?;
                Err(AclError::LocalPolicy(policy))
            }
            Rule::Channel(policy) => self.check_channel(channel, policy, &signed),
            Rule::Local(policy) => self.check_member(policy, &signed),
        }
    }

    /// The same for an envelope, as deliver streams and the orderer get it.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_envelope(&self, resource: &str, channel: &str, envelope: &Envelope) -> Result<(), AclError> {
        let Some(Rule::Channel(policy)) = rule(resource) else { return Err(AclError::Unmapped(resource.to_owned())) };
        let malformed = || AclError::Malformed { channel: channel.to_owned(), policy };
        let (_, creator) = envelope_headers(envelope).ok_or_else(malformed)?;
        let signed = Signed { creator: &creator.creator, message: &envelope.payload, signature: &envelope.signature };
        self.check_channel(channel, policy, &signed)
    }

    /// Whether an identity that was authenticated on `channel` already may use `resource` there.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_identity(&self, resource: &str, channel: &str, identity: &Identity) -> Result<(), AclError> {
        let Some(Rule::Channel(policy)) = rule(resource) else { return Err(AclError::Unmapped(resource.to_owned())) };
        self.check_policy(channel, policy, std::slice::from_ref(identity))
    }

    /// Whether the creator of `signed` satisfies a policy of the peer's own MSP (Fabric: `CheckPolicyNoChannel`).
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_local(&self, policy: LocalPolicy, signed: &SignedProposal) -> Result<(), AclError> {
        let malformed = || AclError::Malformed { channel: String::new(), policy: policy.name() };
        let creator = creator_of_proposal(signed).ok_or_else(malformed)?;
        let signed = Signed { creator: &creator, message: &signed.proposal_bytes, signature: &signed.signature };
        self.check_member(policy, &signed)
    }

    fn check_channel(&self, channel: &str, policy: &'static str, signed: &Signed<'_>) -> Result<(), AclError> {
        if channel.is_empty() {
            return Err(AclError::NoChannel);
        }
        if self.authenticator.channels().msp_manager(channel).is_none() {
            return Err(AclError::UnknownChannel(channel.to_owned()));
        }
        let identity = self.authenticator.authenticate(channel, signed.creator, signed.message, signed.signature);
        // A signature that does not verify is dropped from the set, and the policy finds nobody in it.
        let identity = identity.inspect_err(|cause| tracing::debug!(channel, policy, %cause, "signature not counted"));
        self.check_policy(channel, policy, identity.as_ref().map_or(&[], std::slice::from_ref))
    }

    fn check_policy(&self, channel: &str, policy: &'static str, signers: &[Identity]) -> Result<(), AclError> {
        self.authenticator.channels().evaluate(channel, policy, signers).map_err(|source| AclError::Policy {
            channel: channel.to_owned(),
            policy,
            source,
        })
    }

    fn check_member(&self, policy: LocalPolicy, signed: &Signed<'_>) -> Result<(), AclError> {
        let name = policy.name();
        let creator = |source| AclError::LocalCreator { policy: name, source };
        let role = |source| AclError::LocalRole { policy: name, source };
        let identity = self.authenticator.identify("", signed.creator).map_err(creator)?;
        if policy == LocalPolicy::Admins {
            identity.require_admin().map_err(role)?;
        }
        self.authenticator.authenticate("", signed.creator, signed.message, signed.signature).map_err(role)?;
        Ok(())
    }
}

/// The channel header and the signature header of an envelope's payload.
fn envelope_headers(envelope: &Envelope) -> Option<(ChannelHeader, SignatureHeader)> {
    let header = Payload::decode(envelope.payload.clone()).ok()?.header?;
    Some((ChannelHeader::decode(header.channel_header).ok()?, SignatureHeader::decode(header.signature_header).ok()?))
}

fn creator_of_proposal(signed: &SignedProposal) -> Option<prost::bytes::Bytes> {
    let proposal = Proposal::decode(signed.proposal_bytes.clone()).ok()?;
    let header = Header::decode(proposal.header).ok()?;
    Some(SignatureHeader::decode(header.signature_header).ok()?.creator)
}
