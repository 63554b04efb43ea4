//! What waits until the peer takes it.
//!
//! Messages are put in without waiting; the transport takes them out as fast as the peer reads. Invariant: what a peer causes
//! and does not take has an end. No transaction begins while there is no room ([`Outbox::room`]), and of KEEPALIVEs and
//! refusals that nobody takes there are [`ECHOES`] and [`REFUSALS`] at most.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use selvedge_proto::protos::ChaincodeMessage;
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
/// Refused transactions whose ERROR waits to be taken, at most. A burst is read faster than its refusals are taken.
pub(super) const REFUSALS: usize = 16_384;
/// Bytes of them, above which the stream ends with the next.
pub(super) const REFUSAL_BYTES: usize = 16 << 20;

/// About what a message takes beside its payload.
const MESSAGE: usize = 256;

type Sent = Result<ChaincodeMessage, Status>;

/// What waits, and what it counts among.
type Waiting = (Sent, Option<Arc<Bound>>);

/// The end where messages are put in. The stream ends when all clones of it are gone.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Waiting>,
    untaken: Arc<Untaken>,
    echoes: Arc<Bound>,
    refusals: Arc<Bound>,
}

/// The transport's end.
pub(super) struct Messages(Arc<Untaken>);

struct Untaken {
    messages: Mutex<mpsc::UnboundedReceiver<Waiting>>,
    all: AtomicUsize,
    taken: Notify,
}

/// Messages that a peer causes without a transaction that runs, and the end to those that it does not take.
struct Bound {
    most: usize,
    most_bytes: usize,
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// Both ends of an empty outbox.
pub(super) fn outbox() -> (Outbox, Messages) {
    let (sender, messages) = mpsc::unbounded_channel();
    let untaken = Arc::new(Untaken { messages: Mutex::new(messages), all: AtomicUsize::new(0), taken: Notify::new() });
    let echoes = Arc::new(Bound::new(ECHOES, ECHO_BYTES));
    let refusals = Arc::new(Bound::new(REFUSALS, REFUSAL_BYTES));
    (Outbox { sender, untaken: Arc::clone(&untaken), echoes, refusals }, Messages(untaken))
}

impl Outbox {
    /// Sends a message. A peer that is gone needs none.
    pub(super) fn tell(&self, message: ChaincodeMessage) {
        self.put(message, None);
    }

    /// Sends a KEEPALIVE back.
    ///
    /// # Errors
    /// The text with which the stream ends, of a peer that takes none of them.
    pub(super) fn echo(&self, keepalive: ChaincodeMessage) -> Result<(), String> {
        self.put_bounded(keepalive, &self.echoes)
            .map_err(|waiting| format!("the peer sends KEEPALIVE and takes no answer: {waiting}"))
    }

    /// Sends the ERROR of a transaction that does not begin.
    ///
    /// # Errors
    /// Why the stream ends, of a peer that takes none of them.
    pub(super) fn refuse(&self, refusal: ChaincodeMessage) -> Result<(), String> {
        self.put_bounded(refusal, &self.refusals).map_err(|waiting| format!("the peer takes no refusals: {waiting}"))
    }

    fn put_bounded(&self, message: ChaincodeMessage, bound: &Arc<Bound>) -> Result<(), String> {
        bound.enter(size(&message))?;
        self.put(message, Some(Arc::clone(bound)));
        Ok(())
    }

    fn put(&self, message: ChaincodeMessage, bound: Option<Arc<Bound>>) {
        self.untaken.all.fetch_add(size(&message), Ordering::AcqRel);
        let _ = self.sender.send((Ok(message), bound));
    }

    /// Ends the stream with a status, after what was sent before. A peer that is gone needs no reason.
    pub(super) fn end(&self, status: Status) {
        let _ = self.sender.send((Err(status), None));
    }

    /// Drops what nobody has taken.
    pub(super) fn discard(&self) {
        let mut messages = self.untaken.messages();
        while let Ok(waiting) = messages.try_recv() {
            drop(self.untaken.take(waiting));
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
    fn messages(&self) -> MutexGuard<'_, mpsc::UnboundedReceiver<Waiting>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, (sent, bound): Waiting) -> Sent {
        if let Ok(message) = &sent {
            let size = size(message);
            if let Some(bound) = bound {
                bound.leave(size);
            }
            self.all.fetch_sub(size, Ordering::AcqRel);
            self.taken.notify_waiters();
        }
        sent
    }
}

impl Bound {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, messages: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Counts a message of this size. The stream's reader alone does, so no other comes between.
    fn enter(&self, size: usize) -> Result<(), String> {
        let (waiting, bytes) = (self.messages.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire));
        let (most, most_bytes) = (self.most, self.most_bytes);
        if waiting >= most || bytes >= most_bytes {
            return Err(format!("{waiting} with {bytes} bytes wait for it, and {most} with {most_bytes} bytes may"));
        }
        self.messages.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(size, Ordering::AcqRel);
        Ok(())
    }

    fn leave(&self, size: usize) {
        self.messages.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(size, Ordering::AcqRel);
    }
}

impl Stream for Messages {
    type Item = Sent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Sent>> {
        let next = self.0.messages().poll_recv(context);
        next.map(|waiting| waiting.map(|waiting| self.0.take(waiting)))
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
