//! A running wasm chaincode: the shim's end of the stream (Fabric: the shim goroutine of `inproccontroller`).
//!
//! It registers once, then gives each INIT and TRANSACTION to a fresh instance. Invariant: each
//! such message is answered by exactly one COMPLETED or ERROR, whatever the guest does, unless its transaction was
//! cancelled, when nobody waits for the answer any more.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Shared;
use super::component::WasmModule;
use super::config::LimitError;
use super::exchange::{Exchange, ReplySlot};
use super::instance::{self, Completed, Entry, InstanceState};
use super::meter::Meter;
use super::permits::Permit;
use super::transaction::Transaction;
use crate::container::{Budget, ChaincodeStream, ContainerState, ContainerStatus, PeerEnd, Pending, StreamError};

/// Responses from this status on are failures (Fabric: `shim.ERROR`).
const FIRST_ERROR: i32 = 500;

/// Slots by transaction id, then channel.
type Replies = HashMap<String, Vec<(String, Arc<ReplySlot>)>>;

/// One chaincode's container.
pub(super) struct WasmContainer {
    module: Arc<WasmModule>,
    shared: Arc<Shared>,
    work: Handle,
    /// In whose name its transactions wait for a place.
    turn: String,
    /// The peer's end; none before it is connected and after the container has stopped.
    peer: Mutex<Option<Arc<dyn PeerEnd>>>,
    /// Where answers go, by transaction id and then channel: a chaincode may call itself on another channel.
    replies: Mutex<Replies>,
    started: SystemTime,
    /// The exit code, once stopped.
    exit: watch::Sender<Option<i32>>,
}

impl WasmContainer {
    pub(super) fn new(module: Arc<WasmModule>, shared: Arc<Shared>, work: Handle, turn: String) -> Arc<Self> {
        let exit = watch::Sender::new(None);
        let started = SystemTime::now();
        Arc::new(Self { module, shared, work, turn, peer: Mutex::default(), replies: Mutex::default(), started, exit })
    }

    /// Takes the peer's end and registers, in a task of its own.
    pub(super) fn connect(self: &Arc<Self>, peer: Arc<dyn PeerEnd>) {
        *lock(&self.peer) = Some(peer);
        let container = Arc::clone(self);
        self.work.spawn(async move {
            let name = container.module.name();
            let payload = ChaincodeId { name, ..Default::default() }.encode_to_vec().into();
            container.tell(ChaincodeMessage { r#type: Type::Register.into(), payload, ..Default::default() });
        });
    }

    /// Closes the stream. Transactions that run are cancelled by the peer, which drops their contexts.
    pub(super) fn stop(&self, code: i32) {
        let peer = lock(&self.peer).take();
        self.exit.send_if_modified(|exit| exit.is_none().then(|| *exit = Some(code)).is_some());
        if let Some(peer) = peer {
            peer.closed();
        }
    }

    pub(super) fn module(&self) -> &Arc<WasmModule> {
        &self.module
    }

    pub(super) fn status(&self) -> ContainerStatus {
        let state = self.exit.borrow().map_or(ContainerState::Running, ContainerState::Exited);
        // What its instances hold ends with each transaction; its code is the module's.
        ContainerStatus { ccid: self.module.ccid().clone(), state, since: self.started, memory: None }
    }

    pub(super) fn exit(&self) -> watch::Receiver<Option<i32>> {
        self.exit.subscribe()
    }

    /// Sends the peer a message that has no answer.
    fn tell(&self, message: ChaincodeMessage) {
        let Some(peer) = lock(&self.peer).clone() else { return };
        if let Err(end) = peer.receive(message) {
            tracing::error!(chaincode = %self.module.ccid(), "{end}");
            self.stop(1);
        }
    }

    fn begin(self: Arc<Self>, message: ChaincodeMessage, budget: Budget) -> Result<Pending, StreamError> {
        let peer = lock(&self.peer).clone().ok_or_else(|| self.gone())?;
        let place = self.open_place(&message);
        Ok(Box::pin(async move {
            let exchange = Exchange::new(peer, Arc::clone(&place.slot), place.channel.clone(), place.txid.clone());
            let cancelled = budget.clone();
            let answer = tokio::select! {
                biased;
                () = cancelled.cancelled() => return,
                answer = catch_panic(self.execute(message, exchange, budget)) => answer,
            };
            let answer = answer.unwrap_or_else(|| {
                error("the peer failed while it ran the chaincode; its log has the reason".to_owned())
            });
            let (txid, channel_id) = (place.txid.clone(), place.channel.clone());
            drop(place);
            self.tell(ChaincodeMessage { txid, channel_id, ..answer });
        }))
    }

    fn open_place(self: &Arc<Self>, message: &ChaincodeMessage) -> Place {
        let (txid, channel) = (message.txid.clone(), message.channel_id.clone());
        let slot = Arc::new(ReplySlot::default());
        lock(&self.replies).entry(txid.clone()).or_default().push((channel.clone(), Arc::clone(&slot)));
        Place { container: Arc::clone(self), txid, channel, slot }
    }

    /// One execution, to the message that answers it.
    async fn execute(&self, message: ChaincodeMessage, exchange: Exchange, budget: Budget) -> ChaincodeMessage {
        let entry = if message.r#type() == Type::Init { Entry::Init } else { Entry::Invoke };
        let transaction = match Transaction::new(message) {
            Ok(transaction) => transaction,
            Err(reason) => return error(reason),
        };
        let _init = match self.take_place(entry, &budget).await {
            Ok(init) => init,
            Err(limit) => {
                let text = format!("chaincode {} {limit}", self.module.ccid());
                // The client is told of the timeout alone, in Fabric's words.
                tracing::warn!("{text}");
                budget.fail(text.clone());
                return error(text);
            }
        };
        let meter = Meter::new(Arc::clone(&self.shared.ticks), budget, Arc::clone(&self.shared.limits));
        let state = InstanceState::new(Arc::clone(&self.module), transaction, exchange, meter);
        match instance::run(state, entry).await {
            // As Fabric's shims: a peer that instantiates does not look at the status of what is COMPLETED.
            Ok(Completed { response, .. }) if entry == Entry::Init && response.status >= FIRST_ERROR => {
                error(response.message)
            }
            Ok(completed) => complete(completed),
            Err(failure) => {
                // Whoever called has it in his answer, and logs it.
                tracing::debug!(chaincode = %self.module.ccid(), "{failure}");
                error(failure.to_string())
            }
        }
    }

    /// A place for an INIT, to be held while it runs, or one for the root transaction, which the budget keeps: what it calls
    /// rides on it, and so do the INITs that it sets off.
    async fn take_place(&self, entry: Entry, budget: &Budget) -> Result<Option<Permit>, LimitError> {
        let (permits, no_place): (_, fn(&Shared) -> LimitError) = match entry {
            _ if budget.has_permit() => return Ok(None),
            Entry::Init => (&self.shared.init_permits, Shared::no_init_place),
            Entry::Invoke => (&self.shared.permits, Shared::no_place),
        };
        let place = permits.acquire(&self.turn);
        let permit = tokio::time::timeout_at(budget.deadline().into(), place).await;
        let permit = permit.map_err(|_| no_place(&self.shared))?;
        if entry == Entry::Init {
            return Ok(Some(permit));
        }
        budget.keep_permit(Box::new(permit));
        Ok(None)
    }

    fn reply(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        let replies = lock(&self.replies);
        let slot = replies
            .get(&message.txid)
            .and_then(|slots| slots.iter().find(|(channel, _)| *channel == message.channel_id))
            .map(|(_, slot)| slot);
        match slot {
            Some(slot) => slot.put(message),
            // The transaction was cancelled while the peer worked on its request.
            None => tracing::debug!(txid = message.txid, "an answer came for a transaction that has ended"),
        }
        Ok(())
    }

    fn gone(&self) -> StreamError {
        StreamError(format!("the container of chaincode {} has stopped", self.module.ccid()))
    }
}

/// A transaction's place among those that get answers; gone with the transaction, however it ends.
struct Place {
    container: Arc<WasmContainer>,
    txid: String,
    channel: String,
    slot: Arc<ReplySlot>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut replies = lock(&self.container.replies);
        if let Some(slots) = replies.get_mut(&self.txid) {
            slots.retain(|(channel, _)| *channel != self.channel);
            if slots.is_empty() {
                replies.remove(&self.txid);
            }
        }
    }
}

/// The Handler's way into a container.
pub(super) struct HostChannel(pub(super) Arc<WasmContainer>);

impl ChaincodeStream for HostChannel {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        match message.r#type() {
            Type::Response | Type::Error => self.0.reply(message),
            Type::Registered | Type::Ready | Type::Keepalive => Ok(()),
            other => Err(StreamError(format!("a wasm chaincode does not understand {}", other.as_str_name()))),
        }
    }

    fn execute(&self, message: ChaincodeMessage, budget: Budget) -> Result<Option<Pending>, StreamError> {
        Arc::clone(&self.0).begin(message, budget).map(Some)
    }
}

fn complete(completed: Completed) -> ChaincodeMessage {
    ChaincodeMessage {
        r#type: Type::Completed.into(),
        payload: completed.response.encode_to_vec().into(),
        chaincode_event: completed.event,
        ..Default::default()
    }
}

fn error(text: String) -> ChaincodeMessage {
    ChaincodeMessage { r#type: Type::Error.into(), payload: Bytes::from(text), ..Default::default() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The future's output, or none if it panicked: a fault of the host ends one transaction, not the node.
async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))
            .map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}
