//! The stub: what a chaincode knows of its transaction, and what it can ask of the peer. Fabric's
//! `ChaincodeStubInterface`; each method of the peer's side says which ChaincodeMessage it sends in `wit/chaincode`.

mod private_data;
mod state;
mod transaction;

use std::fmt;

use crate::peer::Current;
#[cfg(target_family = "wasm")]
use crate::peer::Peer;
use crate::{Error, Response};

/// A transaction's access to the peer.
pub struct Stub {
    pub(crate) peer: Current,
}

/// The time in the proposal's channel header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Since 1970.
    pub seconds: i64,
    /// Of the second.
    pub nanos: i32,
}

/// The proposal as the client signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedProposal {
    /// A marshalled `protos.Proposal`.
    pub proposal_bytes: Vec<u8>,
    /// Over those bytes, by the creator.
    pub signature: Vec<u8>,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// Normal events.
    Info,
    /// Something to look at.
    Warn,
    /// A failure.
    Error,
}

impl Stub {
    /// Invokes another chaincode (INVOKE_CHAINCODE); an empty channel means this one. On the same channel its writes join
    /// this transaction's; on another it can only read. Its event is lost, as in Fabric.
    ///
    /// The error is that of the call; a chaincode that refuses answers with a status of 400 or more.
    pub fn invoke_chaincode(&self, name: &str, args: &[impl AsRef<[u8]>], channel: &str) -> Result<Response, Error> {
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
        self.peer.invoke_chaincode(name, &args, channel)
    }

    /// Sets the transaction's one event; a second call replaces the first.
    pub fn set_event(&self, name: &str, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        if name.is_empty() {
            return Err(Error::EmptyEventName);
        }
        self.peer.set_event(name, payload.as_ref())
    }

    /// A line in the peer's log, under the chaincode's name. The peer limits size and rate.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.peer.log(level, message.as_ref());
    }

    /// A value from `config` in a system chaincode's own section of core.yaml; chaincode of users in the sandbox has none. As a
    /// process, it is the variable `CHAINCODE_CONFIG_` and the key in capitals.
    pub fn config(&self, key: &str) -> Option<String> {
        self.peer.config(key)
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").field("channel", &self.channel_id()).field("txid", &self.txid()).finish()
    }
}
