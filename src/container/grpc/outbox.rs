//! The messages that a chaincode in another process has not taken yet; in [`crate::ccaas`], those that a peer has not.
//!
//! The Handler puts them in without waiting; the transport takes them out as fast as the other side reads. Invariant: they
//! are bounded by who causes them. The reader of a chaincode's stream takes no request while there is no room
//! ([`Outbox::room`]), so a chaincode that asks and never listens keeps itself waiting, and the peer's memory is safe.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use selvedge_proto::protos::ChaincodeMessage;
use tokio::sync::{Notify, mpsc};
use tokio_stream::Stream;
use tonic::Status;

use super::super::{Budget, ChaincodeStream, Pending, StreamError};

/// Bytes of messages above which nothing more is asked of the Handler. Small beside what the transactions of one busy
/// chaincode hold, large enough that a chaincode which listens never meets it.
const FULL: usize = 32 << 20;

/// About what a message takes beside its payload.
const MESSAGE: usize = 256;

type Sent = Result<ChaincodeMessage, Status>;

/// The end where messages are put in.
#[derive(Clone)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<Sent>,
    queued: Arc<Queued>,
}

/// The transport's end.
pub struct Messages {
    receiver: mpsc::UnboundedReceiver<Sent>,
    queued: Arc<Queued>,
}

#[derive(Default)]
struct Queued {
    bytes: AtomicUsize,
    taken: Notify,
}

/// Both ends of an empty outbox.
pub(crate) fn outbox() -> (Outbox, Messages) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(Queued::default());
    (Outbox { sender, queued: Arc::clone(&queued) }, Messages { receiver, queued })
}

impl Outbox {
    /// Ends the stream with a status. Who is gone needs no reason.
    pub(crate) fn end(&self, status: Status) {
        let _ = self.sender.send(Err(status));
    }

    /// Resolves when there is room for another message, or nobody takes any more. Dropping the future is free.
    pub(crate) async fn room(&self) {
        loop {
            // It hears of what is taken from here on, not from when it is awaited.
            let taken = self.queued.taken.notified();
            if self.has_room() {
                return;
            }
            taken.await;
        }
    }

    /// Whether [`Outbox::room`] would resolve at once.
    pub(crate) fn has_room(&self) -> bool {
        self.queued.bytes.load(Ordering::Acquire) < FULL || self.sender.is_closed()
    }
}

impl ChaincodeStream for Outbox {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        self.queued.bytes.fetch_add(size(&message), Ordering::AcqRel);
        self.sender.send(Ok(message)).map_err(|_| StreamError("the chaincode has closed its stream".to_owned()))
    }

    fn execute(&self, message: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
        self.send(message).map(|()| None)
    }
}

impl Stream for Messages {
    type Item = Sent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Sent>> {
        let next = self.receiver.poll_recv(context);
        if let Poll::Ready(Some(Ok(message))) = &next {
            self.queued.bytes.fetch_sub(size(message), Ordering::AcqRel);
            self.queued.taken.notify_waiters();
        }
        next
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.receiver.close();
        self.queued.taken.notify_waiters();
    }
}

fn size(message: &ChaincodeMessage) -> usize {
    message.payload.len() + message.txid.len() + message.channel_id.len() + MESSAGE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_stream::StreamExt;

    use selvedge_proto::protos::chaincode_message::Type;

    use super::*;

    async fn has_room(outbox: &Outbox) -> bool {
        tokio::time::timeout(Duration::from_millis(10), outbox.room()).await.is_ok()
    }

    #[tokio::test]
    async fn there_is_room_again_when_the_chaincode_has_listened_or_left() {
        let (outbox, mut messages) = outbox();
        let large =
            ChaincodeMessage { r#type: Type::Response.into(), payload: vec![0; FULL].into(), ..Default::default() };
        assert!(has_room(&outbox).await);
        outbox.send(large.clone()).unwrap();
        assert!(!has_room(&outbox).await);
        assert_eq!(messages.next().await.unwrap().unwrap(), large);
        assert!(has_room(&outbox).await);

        outbox.send(large.clone()).unwrap();
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.room().await }
        });
        tokio::task::yield_now().await;
        drop(messages);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the end wakes who waits").unwrap();
        assert!(outbox.send(large).is_err());
    }
}
