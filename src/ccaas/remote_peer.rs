//! A peer elsewhere, as a container sees it: its end of the stream.
//!
//! Invariant: a request's work is done when its answer has been given to the container, or when the stream is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeMessage, Response};
use tokio::sync::oneshot;

use super::running::Running;
use super::stream::shown;
use crate::container::grpc::Outbox;
use crate::container::{ChaincodeStream, EndStream, PeerEnd, Pending, StreamAcceptor};

/// From this status on, a response to INIT is an ERROR (Fabric: `shim.ERROR`).
const ERROR: i32 = 500;

/// Requests of one stream that have no answer. An honest peer answers those too whose transactions are over.
const UNANSWERED: usize = 32_768;

pub(super) struct RemotePeer {
    outbox: Outbox,
    /// Its transactions here.
    pub(super) running: Running,
    waiting: Mutex<Waiting>,
}

/// Channel and transaction id.
type Key = (String, String);

#[derive(Default)]
struct Waiting {
    /// Requests without an answer. A transaction has one at a time.
    answers: HashMap<Key, oneshot::Sender<()>>,
    closed: bool,
}

impl RemotePeer {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { outbox, running: Running::default(), waiting: Mutex::default() }
    }

    /// Sends a message that has no answer. A peer that is gone needs none.
    pub(super) fn tell(&self, message: ChaincodeMessage) {
        let _ = self.outbox.send(message);
    }

    /// Resolves when the peer has taken most of what is for it. Dropping the future is free.
    pub(super) async fn room(&self) {
        self.outbox.room().await;
    }

    /// Whether it has.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Gives the container an answer, and its transaction leave to go on.
    ///
    /// # Errors
    /// A text, when no transaction waits for one.
    pub(super) fn answer(&self, container: &dyn ChaincodeStream, message: ChaincodeMessage) -> Result<(), String> {
        let waiter = self.waiting().answers.remove(&key(&message));
        let waiter = waiter.ok_or_else(|| format!("[{}] nothing waits for an answer", shown(&message.txid)))?;
        container.send(message).map_err(|error| error.to_string())?;
        // Dropped with its transaction.
        let _ = waiter.send(());
        Ok(())
    }

    /// The last message of an execution. Peers before 2.0 do not look at the status of an INIT that is COMPLETED: what its
    /// chaincode refused would be instantiated.
    fn ended(&self, message: ChaincodeMessage) -> ChaincodeMessage {
        if self.running.answered(&message) != Some(Type::Init) || message.r#type() != Type::Completed {
            return message;
        }
        match Response::decode(message.payload.clone()) {
            Ok(response) if response.status >= ERROR => {
                ChaincodeMessage { r#type: Type::Error.into(), payload: Bytes::from(response.message), ..message }
            }
            _ => message,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(message: &ChaincodeMessage) -> Key {
    (message.channel_id.clone(), message.txid.clone())
}

impl PeerEnd for RemotePeer {
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
        if matches!(message.r#type(), Type::Register | Type::Completed | Type::Error | Type::Keepalive) {
            self.tell(self.ended(message));
            return Ok(None);
        }
        let (waiter, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(EndStream("the stream to the peer has ended".to_owned()));
            }
            if waiting.answers.len() >= UNANSWERED {
                return Err(EndStream(format!("the peer leaves {UNANSWERED} requests unanswered")));
            }
            let key = key(&message);
            if waiting.answers.contains_key(&key) {
                // It was asked by an earlier execution that ran out of time, and its answer may still come.
                return Err(EndStream(format!("[{}] the peer has not answered an earlier request", shown(&key.1))));
            }
            waiting.answers.insert(key, waiter);
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio_stream::StreamExt;

    use super::*;
    use crate::container::grpc::outbox;
    use crate::container::{Budget, StreamError};

    fn message(kind: Type, payload: Vec<u8>) -> ChaincodeMessage {
        let (txid, channel_id) = ("t".to_owned(), "c".to_owned());
        ChaincodeMessage { r#type: kind.into(), payload: payload.into(), txid, channel_id, ..Default::default() }
    }

    #[tokio::test]
    async fn an_init_that_the_chaincode_refuses_is_an_error_and_an_invoke_is_not() {
        let (outbox, mut sent) = outbox();
        let peer = RemotePeer::new(outbox);
        let completed = |status| {
            let response = Response { status, message: "no".to_owned(), ..Default::default() };
            message(Type::Completed, response.encode_to_vec())
        };
        for (kind, status, expected) in [
            (Type::Init, 500, message(Type::Error, b"no".to_vec())),
            (Type::Init, 499, completed(499)),
            (Type::Transaction, 500, completed(500)),
        ] {
            let budget = || Budget::root(Instant::now() + Duration::from_secs(1), None);
            let running = peer.running.begin(&message(kind, Vec::new()), 0, budget);
            assert!(peer.receive(completed(status)).is_ok());
            assert_eq!(sent.next().await.unwrap().unwrap(), expected, "{kind:?} {status}");
            drop(running);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_late_goes_to_nobody_else() {
        let (outbox, _sent) = outbox();
        let peer = RemotePeer::new(outbox);
        let request = || peer.receive(message(Type::GetState, Vec::new()));
        // The execution that asked is dropped.
        drop(request());
        assert!(request().is_err(), "the answer to the first may still come");
        peer.closed();
        assert!(request().is_err());
    }

    /// A container that takes whatever it is sent.
    struct Taking;

    impl ChaincodeStream for Taking {
        fn send(&self, _: ChaincodeMessage) -> Result<(), StreamError> {
            Ok(())
        }

        fn execute(&self, _: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn there_is_an_end_to_what_a_peer_leaves_unanswered() {
        let (outbox, _sent) = outbox();
        let peer = RemotePeer::new(outbox);
        let of = |number: usize| ChaincodeMessage { txid: number.to_string(), ..message(Type::GetState, Vec::new()) };
        for number in 0..UNANSWERED {
            // The executions that asked are over.
            drop(peer.receive(of(number)).unwrap());
        }
        let Err(end) = peer.receive(of(UNANSWERED)) else { panic!("it is not bounded") };
        assert_eq!(end.0, "the peer leaves 32768 requests unanswered");
        peer.answer(&Taking, of(7)).unwrap();
        assert!(peer.receive(of(UNANSWERED)).is_ok(), "an answer makes room for another");
    }
}
