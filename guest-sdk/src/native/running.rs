//! The transactions of one stream: those that run, and those that wait for a place.
//!
//! Invariants: a stream has places of its own, so no peer waits for another's transactions. What waits begins in its order,
//! and has an end in number and bytes. What a running transaction has called, and what comes back here, rides on its place:
//! waiting for another, it could wait for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::handler::Shim;
use super::link::Link;
use super::log::shown;
use super::transaction;

/// Transactions of a stream that wait for a place, at most. A peer gives one up after 30 s, so more would be waited for in vain.
pub(super) const WAITING: usize = 16_384;
/// Bytes of the messages that begin them, above which no other waits.
pub(super) const WAITING_BYTES: usize = 512 << 20;
/// Executions of one transaction at a time: it, and what it called that came back here, on other channels.
pub(super) const NESTED: usize = 64;

/// Those of one stream. Dropping it forgets what waits.
pub(super) struct Running {
    shim: Arc<Shim>,
    link: Arc<Link>,
    places: Arc<Semaphore>,
    executions: Arc<Executions>,
    waiting: JoinSet<()>,
    waiting_bytes: Arc<Semaphore>,
    /// Whether the last one was refused: of a flood the log has one line.
    refusing: bool,
}

/// A place, for all executions of one transaction.
type Place = Arc<OwnedSemaphorePermit>;

impl Running {
    /// With places for so many transactions at a time as `shim` says.
    pub(super) fn new(shim: Arc<Shim>, link: Arc<Link>) -> Self {
        let places = Arc::new(Semaphore::new(shim.concurrency));
        let waiting_bytes = Arc::new(Semaphore::new(WAITING_BYTES));
        let (executions, waiting) = (Arc::default(), JoinSet::new());
        Self { shim, link, places, executions, waiting, waiting_bytes, refusing: false }
    }

    /// Gives an INIT or TRANSACTION a thread, now or when there is a place.
    ///
    /// # Errors
    /// The text with which the stream ends, of a peer that sends more than may wait and does not take that it is refused.
    pub(super) fn begin(&mut self, message: ChaincodeMessage) -> Result<(), String> {
        while self.waiting.try_join_next().is_some() {}
        if let Some((place, executions)) = self.executions.place(&message.txid) {
            if executions >= NESTED {
                return self.refuse(&message, &format!("it runs here {NESTED} times already"));
            }
            self.work().start(message, place);
            return Ok(());
        }
        if self.waiting.is_empty()
            && self.link.has_room()
            && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
        {
            self.refusing = false;
            self.work().start(message, Arc::new(place));
            return Ok(());
        }
        self.wait(message)
    }

    fn wait(&mut self, message: ChaincodeMessage) -> Result<(), String> {
        let bytes = u32::try_from(size(&message)).ok();
        let bytes = bytes.and_then(|bytes| Arc::clone(&self.waiting_bytes).try_acquire_many_owned(bytes).ok());
        let Some(bytes) = bytes.filter(|_| self.waiting.len() < WAITING) else {
            let (waiting, bytes) = (self.waiting.len(), WAITING_BYTES - self.waiting_bytes.available_permits());
            return self.refuse(
                &message,
                &format!(
                    "{waiting} transactions of this peer with {bytes} bytes wait for a place, and {WAITING} with \
                     {WAITING_BYTES} bytes may"
                ),
            );
        };
        self.refusing = false;
        let (work, places) = (self.work(), Arc::clone(&self.places));
        self.waiting.spawn(async move {
            let Ok(place) = places.acquire_owned().await else { return };
            // In this order: no more than have a place are woken by each message that the peer takes.
            work.link.room().await;
            drop(bytes);
            work.start(message, Arc::new(place));
        });
        Ok(())
    }

    fn refuse(&mut self, message: &ChaincodeMessage, reason: &str) -> Result<(), String> {
        let text = format!("[{}] chaincode {} refuses the transaction: {reason}", shown(&message.txid), self.shim.id);
        if !self.link.has_room() {
            self.link.discard();
            return Err(format!("{text}; and the peer takes no answers"));
        }
        if !std::mem::replace(&mut self.refusing, true) {
            self.shim.log.warning(&text);
        }
        let (txid, channel_id) = (message.txid.clone(), message.channel_id.clone());
        let payload = Bytes::from(text);
        self.link.tell(ChaincodeMessage {
            r#type: Type::Error.into(),
            payload,
            txid,
            channel_id,
            ..Default::default()
        });
        Ok(())
    }

    fn work(&self) -> Work {
        let (shim, link) = (Arc::clone(&self.shim), Arc::clone(&self.link));
        Work { shim, link, executions: Arc::clone(&self.executions) }
    }
}

fn size(message: &ChaincodeMessage) -> usize {
    let proposal = message.proposal.as_ref().map_or(0, |signed| signed.proposal_bytes.len() + signed.signature.len());
    message.payload.len() + message.txid.len() + message.channel_id.len() + proposal
}

/// What a transaction's thread needs.
struct Work {
    shim: Arc<Shim>,
    link: Arc<Link>,
    executions: Arc<Executions>,
}

impl Work {
    fn start(self, message: ChaincodeMessage, place: Place) {
        let here = Executions::enter(&self.executions, &message.txid, &place);
        Handle::current().spawn_blocking(move || {
            let answer = transaction::execute(&self.shim, &self.link, message);
            // Before the peer can send what follows on it.
            drop(here);
            // Nobody would have it from a stream that has ended.
            if !self.link.is_closed() {
                self.link.tell(answer);
            }
            drop(place);
        });
    }
}

/// The executions of each transaction id that run on a stream.
#[derive(Default)]
struct Executions(Mutex<HashMap<String, Execution>>);

struct Execution {
    place: Place,
    count: usize,
}

impl Executions {
    /// The place of a transaction that runs, and how often it does.
    fn place(&self, txid: &str) -> Option<(Place, usize)> {
        self.lock().get(txid).map(|execution| (Arc::clone(&execution.place), execution.count))
    }

    fn enter(this: &Arc<Self>, txid: &str, place: &Place) -> Here {
        let mut running = this.lock();
        let new = || Execution { place: Arc::clone(place), count: 0 };
        running.entry(txid.to_owned()).or_insert_with(new).count += 1;
        Here { executions: Arc::clone(this), txid: txid.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Execution>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An execution among those that run.
struct Here {
    executions: Arc<Executions>,
    txid: String,
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut running = self.executions.lock();
        if let Some(execution) = running.get_mut(&self.txid) {
            execution.count -= 1;
            if execution.count == 0 {
                running.remove(&self.txid);
            }
        }
    }
}
