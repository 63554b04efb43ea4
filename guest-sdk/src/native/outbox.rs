//! What waits until the peer takes it.
//!
//! Messages are put in without waiting; the transport takes them out as fast as the peer reads. Invariant: what a peer causes
//! and does not take has an end. No transaction begins while there is no room ([`Outbox::room`]), and of KEEPALIVEs that
//! nobody takes there are [`ECHOES`] at most.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use tokio::sync::{Notify, mpsc};
use tokio_stream::Stream;
use tonic::Status;

/// Bytes of messages above which no transaction begins. The transactions that run may go beyond it: each waits for the answer
/// to what it has asked.
pub(super) const FULL: usize = 32 << 20;

/// KEEPALIVEs that wait to be taken, at most. Peers send one in some seconds at most, and read all the time.
pub(super) const ECHOES: usize = 1024;
/// Bytes of them, above which no other is echoed.
pub(super) const ECHO_BYTES: usize = 1 << 20;

/// About what a message takes beside its payload.
const MESSAGE: usize = 256;

type Sent = Result<ChaincodeMessage, Status>;

/// The end where messages are put in. The stream ends when all clones of it are gone.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Sent>,
    untaken: Arc<Untaken>,
}

/// The transport's end.
pub(super) struct Messages(Arc<Untaken>);

struct Untaken {
    messages: Mutex<mpsc::UnboundedReceiver<Sent>>,
    all: AtomicUsize,
    echoes: AtomicUsize,
    echoed: AtomicUsize,
    taken: Notify,
}

/// Both ends of an empty outbox.
pub(super) fn outbox() -> (Outbox, Messages) {
    let (sender, messages) = mpsc::unbounded_channel();
    let untaken = Arc::new(Untaken {
        messages: Mutex::new(messages),
        all: AtomicUsize::new(0),
        echoes: AtomicUsize::new(0),
        echoed: AtomicUsize::new(0),
        taken: Notify::new(),
    });
    (Outbox { sender, untaken: Arc::clone(&untaken) }, Messages(untaken))
}

impl Outbox {
    /// Sends a message. A peer that is gone needs none.
    pub(super) fn tell(&self, message: ChaincodeMessage) {
        self.untaken.all.fetch_add(size(&message), Ordering::AcqRel);
        let _ = self.sender.send(Ok(message));
    }

    /// Sends a KEEPALIVE back.
    ///
    /// # Errors
    /// The text with which the stream ends, of a peer that takes none of them.
    pub(super) fn echo(&self, keepalive: ChaincodeMessage) -> Result<(), String> {
        let (echoes, bytes) = (&self.untaken.echoes, &self.untaken.echoed);
        let (waiting, waiting_bytes) = (echoes.load(Ordering::Acquire), bytes.load(Ordering::Acquire));
        if waiting >= ECHOES || waiting_bytes >= ECHO_BYTES {
            return Err(format!(
                "the peer sends KEEPALIVE and takes no answer: {waiting} with {waiting_bytes} bytes wait for it, and {ECHOES} \
                 with {ECHO_BYTES} bytes may"
            ));
        }
        echoes.fetch_add(1, Ordering::AcqRel);
        bytes.fetch_add(size(&keepalive), Ordering::AcqRel);
        self.tell(keepalive);
        Ok(())
    }

    /// Ends the stream with a status, after what was sent before. A peer that is gone needs no reason.
    pub(super) fn end(&self, status: Status) {
        let _ = self.sender.send(Err(status));
    }

    /// Drops what nobody has taken.
    pub(super) fn discard(&self) {
        let mut messages = self.untaken.messages();
        while let Ok(sent) = messages.try_recv() {
            self.untaken.take(&sent);
        }
    }

    /// Resolves when there is room for what another transaction sends, or nobody takes any more. Dropping the future is free.
    pub(super) async fn room(&self) {
        loop {
            // It hears of what is taken from here on, not from when it is awaited.
            let taken = self.untaken.taken.notified();
            if self.has_room() {
                return;
            }
            taken.await;
        }
    }

    /// Whether [`Outbox::room`] would resolve at once.
    pub(super) fn has_room(&self) -> bool {
        self.untaken.all.load(Ordering::Acquire) < FULL || self.sender.is_closed()
    }
}

impl Untaken {
    fn messages(&self) -> MutexGuard<'_, mpsc::UnboundedReceiver<Sent>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, sent: &Sent) {
        let Ok(message) = sent else { return };
        let size = size(message);
        if message.r#type() == Type::Keepalive {
            self.echoes.fetch_sub(1, Ordering::AcqRel);
            self.echoed.fetch_sub(size, Ordering::AcqRel);
        }
        self.all.fetch_sub(size, Ordering::AcqRel);
        self.taken.notify_waiters();
    }
}

impl Stream for Messages {
    type Item = Sent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Sent>> {
        let next = self.0.messages().poll_recv(context);
        if let Poll::Ready(Some(sent)) = &next {
            self.0.take(sent);
        }
        next
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        let mut messages = self.0.messages();
        messages.close();
        while messages.try_recv().is_ok() {}
        self.0.taken.notify_waiters();
    }
}

fn size(message: &ChaincodeMessage) -> usize {
    message.payload.len() + message.txid.len() + message.channel_id.len() + MESSAGE
}
