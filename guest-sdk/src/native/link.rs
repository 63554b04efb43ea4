//! A transaction's way to the peer: a request goes out, its thread waits, the stream's reader hands it the answer (Fabric:
//! `shim.Handler.callPeerWithChaincodeMsg`).
//!
//! Invariant: an answer reaches the transaction that it names by channel and id, or nobody; and once the stream is closed
//! nobody waits any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;

use super::log::short;
use super::outbox::Outbox;

/// About what a message takes beside payload, channel and transaction id: timestamps and field headers.
const ENVELOPE: usize = 1024;

const GONE: &str = "the stream to the peer has ended";

/// One stream, as its transactions see it.
pub(super) struct Link {
    outbox: Outbox,
    waiting: Mutex<Waiting>,
    /// Keys that one GET_STATE_MULTIPLE may hold; 0 where the peer does not know that message.
    multiple: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    /// By transaction id, then channel: a chaincode may call itself on another channel.
    answers: HashMap<String, Vec<(String, SyncSender<ChaincodeMessage>)>>,
    closed: bool,
}

impl Link {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { outbox, waiting: Mutex::default(), multiple: AtomicUsize::new(0) }
    }

    /// Sends a message that has no answer. A peer that is gone needs none.
    pub(super) fn tell(&self, message: ChaincodeMessage) {
        self.outbox.tell(message);
    }

    /// Sends a KEEPALIVE back.
    ///
    /// # Errors
    /// The text with which the stream ends, of a peer that takes none of them.
    pub(super) fn echo(&self, keepalive: ChaincodeMessage) -> Result<(), String> {
        let echoed = self.outbox.echo(keepalive);
        if echoed.is_err() {
            self.discard();
        }
        echoed
    }

    /// Resolves when the peer has taken most of what is for it. Dropping the future is free.
    pub(super) async fn room(&self) {
        self.outbox.room().await;
    }

    /// Whether it has.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Drops what is for it: it takes nothing.
    pub(super) fn discard(&self) {
        self.outbox.discard();
    }

    /// Sends a request and blocks the thread until the payload of its RESPONSE is there.
    ///
    /// # Errors
    /// The text of the peer's ERROR, or why there is no answer.
    pub(super) fn request(&self, channel: &str, txid: &str, kind: Type, payload: Bytes) -> Result<Bytes, String> {
        fits(kind, payload.len() + channel.len() + txid.len())?;
        let message = ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid: txid.to_owned(),
            channel_id: channel.to_owned(),
            ..Default::default()
        };
        let answer = self.wait_for(channel, txid)?;
        self.tell(message);
        let answer = answer.recv().map_err(|_| GONE)?;
        match answer.r#type() {
            Type::Response => Ok(answer.payload),
            Type::Error => Err(String::from_utf8_lossy(&answer.payload).into_owned()),
            other => Err(format!("{} was answered by {}", kind.as_str_name(), other.as_str_name())),
        }
    }

    fn wait_for(&self, channel: &str, txid: &str) -> Result<Receiver<ChaincodeMessage>, String> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(GONE.to_owned());
        }
        let of_txid = waiting.answers.entry(txid.to_owned()).or_default();
        if of_txid.iter().any(|(name, _)| name == channel) {
            return Err(format!("[{}] channel exists", short(&format!("{channel}{txid}"))));
        }
        // Not tokio's, which panics in a chaincode that has a runtime of its own.
        let (sender, receiver) = sync_channel(1);
        of_txid.push((channel.to_owned(), sender));
        Ok(receiver)
    }

    /// Hands an answer to the transaction that waits for it.
    ///
    /// # Errors
    /// Fabric's text, when none does.
    pub(super) fn answer(&self, message: ChaincodeMessage) -> Result<(), String> {
        let mut waiting = self.waiting();
        let none = || format!("[{}] sendChannel does not exist", short(&message.txid));
        let of_txid = waiting.answers.get_mut(&message.txid).ok_or_else(none)?;
        let place = of_txid.iter().position(|(channel, _)| *channel == message.channel_id).ok_or_else(none)?;
        let (_, sender) = of_txid.swap_remove(place);
        if of_txid.is_empty() {
            waiting.answers.remove(&message.txid);
        }
        drop(waiting);
        // Whoever asked waits: a request is never given up.
        let _ = sender.send(message);
        Ok(())
    }

    /// Ends the wait of all, now and later.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.answers.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.waiting().closed
    }

    pub(super) fn set_multiple(&self, keys: usize) {
        self.multiple.store(keys, Ordering::Relaxed);
    }

    pub(super) fn multiple(&self) -> usize {
        self.multiple.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a message of that size reaches a peer: one that is larger would end the stream with all its transactions.
pub(super) fn fits(kind: Type, size: usize) -> Result<(), String> {
    if size + ENVELOPE <= MAX_MESSAGE_SIZE {
        return Ok(());
    }
    let kind = kind.as_str_name();
    Err(format!("{kind} of {size} bytes is larger than a message to the peer may be ({MAX_MESSAGE_SIZE} bytes)"))
}
