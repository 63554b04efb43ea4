//! The stream of `ChaincodeMessage`s between the peer and one chaincode (Fabric: `ccintf.ChaincodeStream`).
//!
//! Neither end learns what the other is made of. The peer's end (the Handler) is a [`PeerEnd`]: each transport (gRPC, a
//! host channel) gives it the chaincode's messages in their order. The chaincode's end is a [`ChaincodeStream`]: the
//! Handler sends into it and never waits.
//!
//! What a message causes and takes time becomes a [`Pending`] that the giver of the message runs. A gRPC stream spawns a
//! chaincode's request, so that a slow one holds up no other; a wasm guest awaits it, and the Handler awaits the guest:
//! nothing crosses a thread between proposal and response.

use std::pin::Pin;
use std::sync::Arc;

use selvedge_proto::protos::ChaincodeMessage;
use thiserror::Error;

use super::{Budget, Ccid};

/// Work that a message causes. Whoever gave the message runs it; dropping the future abandons it.
pub type Pending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The chaincode's end of the stream, as the Handler holds it.
pub trait ChaincodeStream: Send + Sync + 'static {
    /// Queues a message to the chaincode without waiting.
    ///
    /// # Errors
    /// [`StreamError`] when the chaincode's end is gone; the message is lost.
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError>;

    /// The same for INIT and TRANSACTION, with what the execution may spend. Where the chaincode runs in this process,
    /// its execution comes back as work: the caller runs it while it waits for the answer, so that a transaction is one
    /// task from proposal to response. A stream that leaves the process drops the budget and returns none.
    ///
    /// # Errors
    /// [`StreamError`] when the chaincode's end is gone; the message is lost.
    fn execute(&self, message: ChaincodeMessage, budget: Budget) -> Result<Option<Pending>, StreamError>;
}

/// The peer's end of the stream, as a transport holds it.
pub trait PeerEnd: Send + Sync + 'static {
    /// Takes one message of the chaincode. REGISTER, COMPLETED, ERROR and KEEPALIVE are done on return, and so is a request
    /// that takes no time; another comes back as work for the transport to run.
    ///
    /// # Errors
    /// [`EndStream`] when the message is illegal in the handler's state: the transport closes the stream with that text.
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream>;

    /// Says that no message will come any more: executions that wait are woken with `chaincode stream terminated`.
    /// Called once, by the transport, however the stream ended.
    fn closed(&self);
}

/// Gives every new stream a handler (Fabric: `ccintf.CCSupport.HandleChaincodeStream`).
pub trait StreamAcceptor: Send + Sync + 'static {
    /// Makes the peer's end for a stream that just opened.
    fn accept(&self, stream: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd>;

    /// The same for a stream that this peer opened to the service of a chaincode, which may register on it whether or not
    /// a launch waits for it. The transport lets it register as that chaincode only.
    ///
    /// # Errors
    /// [`StreamError`] when no service may be this chaincode.
    fn accept_dialled(&self, stream: Arc<dyn ChaincodeStream>, ccid: &Ccid) -> Result<Arc<dyn PeerEnd>, StreamError> {
        let _ = ccid;
        Ok(self.accept(stream))
    }
}

/// A message could not be sent: the other end is gone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct StreamError(pub String);

/// A message broke the protocol; the stream ends with this text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("error handling message, ending stream: {0}")]
pub struct EndStream(pub String);
