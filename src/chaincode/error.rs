//! Everything that can go wrong between a proposal and its chaincode. The texts are Fabric's; clients match on them.
//!
//! From the outside in: [`ExecuteError`] is what a client sees, [`InvokeError`] what a calling chaincode sees behind
//! `execute failed:`, [`SendingError`] what happened at the stream, [`LaunchError`] why there is no stream, and
//! [`RequestError`] what a chaincode is told about its own request.

use std::fmt;
use std::sync::Arc;

use prost::DecodeError;
use selvedge_proto::MAX_MESSAGE_SIZE;
use thiserror::Error;

use super::environment::{DefinitionError, Denied};
use crate::container::{Ccid, VmError};
use crate::ledger::LedgerError;

/// Why an execution has no response. Displays what the client sees in `Response.message`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The chaincode was not reached, or did not answer.
    #[error("failed to execute transaction {txid}: {source}")]
    Failed {
        /// The transaction.
        txid: String,
        /// What happened.
        source: Box<InvokeError>,
    },
    /// The chaincode to be initialised could not be launched.
    #[error(transparent)]
    Launch(#[from] InvokeError),
    /// The chaincode answered with ERROR.
    #[error("transaction returned with failure: {0}")]
    Returned(String),
    /// The chaincode's answer holds no response.
    #[error("failed to unmarshal response for transaction {txid}: {source}")]
    MalformedResponse {
        /// The transaction.
        txid: String,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// Why a chaincode did not execute.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// It has no definition.
    #[error("[channel {channel}] failed to get chaincode container info for {ccid}: {source}")]
    ContainerInfo {
        /// The channel of the call.
        channel: String,
        /// The chaincode.
        ccid: Ccid,
        /// Why not.
        source: DefinitionError,
    },
    /// It did not start.
    #[error("[channel {channel}] could not launch chaincode {ccid}: {source}")]
    Launch {
        /// The channel of the call.
        channel: String,
        /// The chaincode.
        ccid: Ccid,
        /// Why not.
        source: LaunchError,
    },
    /// It did not start for its INIT.
    #[error(transparent)]
    LaunchInit(LaunchError),
    /// It started and was gone again.
    #[error("[channel {channel}] claimed to start chaincode container for {ccid} but could not find handler")]
    NoHandler {
        /// The channel of the call.
        channel: String,
        /// The chaincode.
        ccid: Ccid,
    },
    /// It runs, but gave no answer.
    #[error("error sending: {0}")]
    Sending(#[from] SendingError),
}

impl InvokeError {
    /// Whether another endorser might not meet this failure, so that the whole transaction must fail with it.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::ContainerInfo { source, .. } => source.is_local(),
            Self::Sending(SendingError::Exists { .. }) => false,
            _ => true,
        }
    }
}

/// Why the chaincode at the other end of a stream gave no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendingError {
    /// The chaincode executes this transaction already: it called itself, on the same channel.
    #[error("txid: {txid}({channel}) exists")]
    Exists {
        /// The transaction.
        txid: String,
        /// Its channel.
        channel: String,
    },
    /// A proposal came without what the client signed.
    #[error("failed getting proposal context. Signed proposal is nil")]
    NoSignedProposal,
    /// `chaincode.executetimeout` has passed.
    #[error("timeout expired while executing transaction")]
    Timeout,
    /// The chaincode's stream ended first.
    #[error("chaincode stream terminated")]
    StreamTerminated,
    /// Calls are nested too deep.
    #[error(
        "chaincode calls are nested {depth} deep, chaincode.wasm.limits.callDepth allows {limit}: \
         shorten the chain of calls or raise the limit on every endorser"
    )]
    CallDepth {
        /// How deep this call is.
        depth: u32,
        /// The limit.
        limit: u32,
    },
    /// Whoever wanted the transaction has gone.
    #[error("the transaction was given up")]
    Cancelled,
    /// A part of the transaction failed for a reason of this peer's own, so all of it fails.
    #[error("{0}")]
    Doomed(String),
}

/// Why a chaincode did not come up. Shared by everyone who waited for it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// Its code is not to be had.
    #[error("failed to get chaincode package: {0}")]
    Package(String),
    /// The VM refused.
    #[error("error starting container: {0}")]
    Start(Arc<VmError>),
    /// It started and did not register.
    #[error("chaincode registration failed: {0}")]
    Registration(RegistrationError),
    /// `chaincode.startuptimeout` has passed.
    #[error("timeout expired while starting chaincode {id} for transaction{}", Said(.output))]
    Timeout {
        /// The chaincode.
        id: String,
        /// The end of what it wrote; may be empty. Boxed, because this error is part of many.
        output: Box<str>,
    },
    /// The launch ended without an outcome: the peer is going down, or a VM panicked.
    #[error("the launch of chaincode {0} was abandoned")]
    Abandoned(String),
}

/// What a chaincode wrote before it failed, behind Fabric's text and nothing where there is nothing.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            output => write!(f, "; the end of its output:\n{output}"),
        }
    }
}

/// Why a chaincode is not registered.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The name is taken by a live stream.
    #[error("duplicate chaincodeID: {0}")]
    Duplicate(String),
    /// Nobody launched it.
    #[error("peer will not accept external chaincode connection {0} (except in dev mode)")]
    Unsolicited(String),
    /// REGISTERED or READY could not be sent.
    #[error("{0}")]
    Send(String),
    /// The container ended first.
    #[error("container exited with {code}{}", Said(.output))]
    Exited {
        /// What it left with.
        code: i32,
        /// The end of what it wrote; may be empty.
        output: Box<str>,
    },
    /// Nobody knows whether the container ended.
    #[error("failed to wait on container exit: {0}")]
    Wait(Arc<VmError>),
    /// The connection to its service ended first.
    #[error("{0}")]
    Terminated(Arc<VmError>),
    /// The stream ended first.
    #[error("chaincode stream terminated")]
    StreamTerminated,
}

/// Why a request of the chaincode failed; what follows `<TYPE> failed: transaction ID: <txid>: ` in the ERROR message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No such transaction is being executed here, or it has no simulator.
    #[error("no ledger context")]
    NoLedgerContext,
    /// The same, for a call of another chaincode.
    #[error("could not get valid transaction")]
    NoTransaction,
    /// The same, for a call of a system chaincode outside any channel.
    #[error("failed to get transaction context")]
    NoContext,
    /// The payload is not the message that the type promises.
    #[error("unmarshal failed: {0}")]
    Decode(#[from] DecodeError),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Private data in an INIT.
    #[error("private data APIs are not allowed in chaincode Init()")]
    PrivateDataInInit,
    /// The creator is no member of the collection.
    #[error(
        "tx creator does not have {access} access permission on privatedata in chaincodeName:{chaincode} collectionName: {collection}"
    )]
    NoCollectionAccess {
        /// `read` or `write`.
        access: &'static str,
        /// The namespace.
        chaincode: String,
        /// The collection.
        collection: String,
    },
    /// The channel has no application configuration.
    #[error("application config does not exist for {0}")]
    NoApplicationConfig(String),
    /// The channel lacks the capability.
    #[error("key level endorsement is not enabled, channel application capability of V1_3 or later is required")]
    NoKeyLevelEndorsement,
    /// The channel lacks the capability.
    #[error("purge private data is not enabled, channel application capability of V2_5 or later is required")]
    NoPurge,
    /// PURGE_PRIVATE_DATA without a collection.
    #[error("only applicable for private data")]
    PublicPurge,
    /// PUT_STATE_METADATA without an entry.
    #[error("the request holds no metadata entry")]
    NoMetadata,
    /// A record of WRITE_BATCH_STATE is no write.
    #[error("unknown operation type")]
    UnknownOperation,
    /// A list of values or rows that does not fit into a message. (Fabric makes it, fails to send it and ends the stream.)
    #[error(
        "the answer has more than {MAX_MESSAGE_SIZE} bytes, which is all that a message can hold: ask for less at a time"
    )]
    TooLarge,
    /// The history database is off.
    #[error("history database not enabled")]
    NoHistory,
    /// QUERY_STATE_NEXT after the end.
    #[error("query iterator not found")]
    NoIterator,
    /// A query by an execution that has too many others open. Fabric knows no limit, so an endorser of another make may not
    /// see it.
    #[error(
        "{limit} query iterators are open, the most that one execution may have: close those that are no longer read"
    )]
    OpenIterators {
        /// The most there may be.
        limit: usize,
    },
    /// INVOKE_CHAINCODE whose specification has no `ChaincodeID`.
    #[error("chaincode invocation spec did not contain a chaincode ID")]
    NoChaincodeId,
    /// INVOKE_CHAINCODE whose specification has no `ChaincodeInput`.
    #[error("chaincode input did not contain any input")]
    NoChaincodeInput,
    /// The target is for clients only.
    #[error("system chaincode {0} cannot be invoked with a cc2cc invocation")]
    NotInvokableCc2Cc(String),
    /// A call that no client asked for.
    #[error("signed proposal must not be nil from caller [{0}]")]
    NoSignedProposal(String),
    /// The access control list refused, or a collection's rules could not be read.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The peer is not in the target's channel.
    #[error("failed to find ledger for channel: {0}")]
    NoLedger(String),
    /// The target has no definition.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The target did not execute.
    #[error("execute failed: {0}")]
    Invoke(#[from] Box<InvokeError>),
    /// The peer's own code panicked.
    #[error("panic during execution")]
    Panic,
}

impl RequestError {
    /// Whether another endorser might not meet this failure, so that the whole transaction must fail with it.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Panic | Self::OpenIterators { .. } => true,
            Self::Ledger(LedgerError::Query(error)) => error.is_local(),
            Self::Ledger(error) => error.is_fault(),
            Self::Invoke(error) => error.is_local(),
            Self::Definition(error) => error.is_local(),
            _ => false,
        }
    }
}
