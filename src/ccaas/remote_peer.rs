//! A peer elsewhere, as a container sees it: its end of the stream.
//!
//! Invariant: a request's work is done when its answer has been given to the container, or when the stream is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::container::{ChaincodeStream, EndStream, PeerEnd, Pending, StreamAcceptor};

/// What goes to the peer: messages, and at most one status that ends the stream.
pub(super) type Outbox = mpsc::UnboundedSender<Result<ChaincodeMessage, Status>>;

pub(super) struct RemotePeer {
    outbox: Outbox,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By channel and transaction id. A transaction has one request at a time.
    answers: HashMap<(String, String), oneshot::Sender<()>>,
    closed: bool,
}

impl RemotePeer {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { outbox, waiting: Mutex::default() }
    }

    /// Sends a message that has no answer. A peer that is gone needs none.
    pub(super) fn tell(&self, message: ChaincodeMessage) {
        let _ = self.outbox.send(Ok(message));
    }

    /// Gives the container an answer, and its transaction leave to go on.
    ///
    /// # Errors
    /// A text, when no transaction waits for one.
    pub(super) fn answer(&self, container: &dyn ChaincodeStream, message: ChaincodeMessage) -> Result<(), String> {
        let key = (message.channel_id.clone(), message.txid.clone());
        let waiter = self.waiting().answers.remove(&key);
        let waiter = waiter.ok_or_else(|| format!("[{}] nothing waits for an answer", message.txid))?;
        container.send(message).map_err(|error| error.to_string())?;
        // Dropped with its transaction.
        let _ = waiter.send(());
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerEnd for RemotePeer {
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
        if matches!(message.r#type(), Type::Register | Type::Completed | Type::Error | Type::Keepalive) {
            self.tell(message);
            return Ok(None);
        }
        let (waiter, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(EndStream("the stream to the peer has ended".to_owned()));
            }
            waiting.answers.insert((message.channel_id.clone(), message.txid.clone()), waiter);
        }
        self.tell(message);
        Ok(Some(Box::pin(async move {
            // Closed without an answer: the container finds none.
            let _ = answered.await;
        })))
    }

    fn closed(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.answers.clear();
    }
}

/// Accepts a container's stream in the name of one peer.
pub(super) struct Only(Arc<RemotePeer>);

impl Only {
    pub(super) fn new(peer: Arc<RemotePeer>) -> Self {
        Self(peer)
    }
}

impl StreamAcceptor for Only {
    fn accept(&self, _: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd> {
        Arc::clone(&self.0) as Arc<dyn PeerEnd>
    }
}
