//! Why a proposal was not endorsed. The texts are Fabric 1.4's, which clients match on.

use thiserror::Error;

use crate::chaincode::{DefinitionError, ExecuteError};
use crate::channel::AclError;
use crate::decode::Undecodable;
use crate::ledger::LedgerError;
use crate::msp::MspError;
use crate::platforms::PlatformError;
use crate::private_data::DistributionError;

/// Where a client finds an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The call fails with gRPC's code Unknown and the text.
    Grpc,
    /// The call succeeds; its `Response` has status 500 and the text.
    Response,
}

/// Why a proposal was not endorsed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndorserError {
    /// The peer has as many proposals in work as `peer.limits.concurrency.endorserService` allows.
    #[error("too many requests for /protos.Endorser, exceeding concurrency limit ({0})")]
    TooManyRequests(usize),
    /// A message that is read before anything else cannot be decoded.
    #[error("failed parsing {part}: {source}")]
    Parse {
        /// Fabric's name for the part.
        part: &'static str,
        /// The decoder's error.
        source: Undecodable,
    },
    /// A later message cannot be decoded.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// The creator's certificate has run out.
    #[error("identity expired")]
    IdentityExpired,
    /// The header is of a type that no proposal has.
    #[error("invalid header type {0}")]
    HeaderType(String),
    /// The epoch is not 0.
    #[error("invalid Epoch in ChannelHeader. Expected 0, got [{0}]")]
    Epoch(u64),
    /// There is no nonce.
    #[error("invalid nonce specified in the header")]
    Nonce,
    /// There is no creator.
    #[error("invalid creator specified in the header")]
    Creator,
    /// The creator is unknown to the channel, or did not sign the proposal. One text for all causes; the log has the
    /// cause.
    #[error("access denied: channel [{channel}] creator org [{mspid}]")]
    AccessDenied {
        /// The channel; may be empty.
        channel: String,
        /// The MSP that the creator claims.
        mspid: String,
    },
    /// The transaction id is not the hash of nonce and creator.
    #[error("invalid txid. got [{got}], expected [{expected}]")]
    TxId {
        /// What the header says.
        got: String,
        /// What it has to be.
        expected: String,
    },
    /// The header's type is known but not for chaincode.
    #[error("unsupported proposal type {0}")]
    ProposalType(i32),
    /// The header's extension cannot be decoded.
    #[error("invalid header extension for type CHAINCODE")]
    HeaderExtension,
    /// The header's extension names no chaincode.
    #[error("ChaincodeHeaderExtension.ChaincodeId is nil")]
    NoChaincodeId,
    /// The client asks for a visibility, of which there is only one.
    #[error("invalid payload visibility field")]
    PayloadVisibility,
    /// A system chaincode that is not for clients.
    #[error("chaincode {0} cannot be invoked through a proposal")]
    NotInvokable(String),
    /// The transaction is in a block already.
    #[error("duplicate transaction found [{txid}]. Creator [{creator}]")]
    Duplicate {
        /// The transaction.
        txid: String,
        /// The creator's bytes in hexadecimal.
        creator: String,
    },
    /// The channel's access control refuses.
    #[error(transparent)]
    Acl(#[from] AclError),

    /// This peer has no ledger for the channel.
    #[error("Channel does not exist: {0}")]
    NoLedger(String),
    /// The proposal's payload holds no input. Fabric 1.4 ends its process here; the text is 2.5's.
    #[error("{0}")]
    NoInput(&'static str),
    /// The proposal's payload cannot be decoded.
    #[error(transparent)]
    Payload(Undecodable),
    /// The chaincode is not on the channel.
    #[error("make sure the chaincode {name} has been successfully instantiated and try again: {source}")]
    NotInstantiated {
        /// The chaincode.
        name: String,
        /// Why it was not found.
        source: DefinitionError,
    },
    /// What is installed here may not run as the chaincode that the channel has.
    #[error(transparent)]
    Policy(#[from] DefinitionError),
    /// The chaincode gave no answer.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// What lscc was asked to deploy is for no platform of this peer, or its code is no package of its platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The package of the chaincode that lscc deployed cannot be read.
    #[error("cannot deploy a chaincode which is not installed: could not get chaincode from fs: {0}")]
    NotInstalled(String),
    /// The chaincode that lscc deployed has the name of one of the system's.
    #[error("attempting to deploy a system chaincode {name}/{channel}")]
    DeploySystemChaincode {
        /// The name.
        name: String,
        /// The channel.
        channel: String,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An Init wrote private data, whose collections are not on the channel before it is committed.
    #[error("Private data is forbidden to be used in instantiate")]
    PrivateDataInInstantiate,
    /// The chaincode wrote private data and has no collections.
    #[error("failed to obtain collections config: no collection config for chaincode {0:?}")]
    NoCollections(String),
    /// What is there as the chaincode's collections is something else.
    #[error(
        "failed to obtain collections config: invalid configuration for collection criteria {chaincode:?}: {source}"
    )]
    Collections {
        /// The chaincode.
        chaincode: String,
        /// The decoder's error.
        source: prost::DecodeError,
    },
    /// Private data did not get to where it has to be.
    #[error(transparent)]
    Distribution(#[from] DistributionError),
    /// The chaincode's definition asks for another endorsement plug-in.
    #[error("plugin with name {0} could not be used: plugin with name {0} wasn't found")]
    Plugin(String),
    /// The peer could not sign.
    #[error("signing the proposal response failed: {0}")]
    Sign(#[source] MspError),
}

impl EndorserError {
    /// Where the client finds this error.
    pub fn placement(&self) -> Placement {
        match self {
            Self::NoLedger(_)
            | Self::NoInput(_)
            | Self::Payload(_)
            | Self::NotInstantiated { .. }
            | Self::Policy(_)
            | Self::Execute(_)
            | Self::Platform(_)
            | Self::NotInstalled(_)
            | Self::DeploySystemChaincode { .. }
            | Self::Ledger(_)
            | Self::PrivateDataInInstantiate
            | Self::NoCollections(_)
            | Self::Collections { .. }
            | Self::Distribution(_)
            | Self::Plugin(_)
            | Self::Sign(_) => Placement::Response,
            _ => Placement::Grpc,
        }
    }
}
