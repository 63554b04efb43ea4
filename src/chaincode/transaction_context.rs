//! What the Handler keeps for one execution, from the message that starts it to its answer (Fabric: `TransactionContext`).
//!
//! Invariants: at most one request of the chaincode is in flight (Fabric: `ActiveTransactions`), and the first COMPLETED or
//! ERROR is the answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selvedge_proto::protos::ChaincodeMessage;
use tokio::sync::oneshot;

use super::environment::{Access, Permission};
use super::handler::OpenQueries;
use super::metrics::ShimMetrics;
use super::{RequestError, TransactionParams};
use crate::container::Budget;
use crate::ledger::{SharedSimulator, TxSimulator};

/// What a chaincode was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Execution {
    /// INIT: private data is out of reach.
    Init,
    /// TRANSACTION.
    Invoke,
}

/// One execution of a chaincode for one transaction.
pub(super) struct TransactionContext {
    pub(super) params: TransactionParams,
    /// The chaincode's name: where its state is.
    pub(super) namespace: String,
    pub(super) execution: Execution,
    pub(super) budget: Budget,
    pub(super) metrics: Arc<ShimMetrics>,
    pub(super) queries: Mutex<OpenQueries>,
    permissions: Mutex<HashMap<(String, Access), Permission>>,
    in_flight: AtomicBool,
    /// A request was dropped.
    crowded: AtomicBool,
    answer: Mutex<Option<oneshot::Sender<ChaincodeMessage>>>,
}

impl TransactionContext {
    /// A context, and where its answer will arrive. The receiver fails when the stream ends first.
    pub(super) fn new(
        params: TransactionParams,
        namespace: String,
        execution: Execution,
        budget: Budget,
        metrics: Arc<ShimMetrics>,
    ) -> (Arc<Self>, oneshot::Receiver<ChaincodeMessage>) {
        let (sender, receiver) = oneshot::channel();
        let context = Self {
            params,
            namespace,
            execution,
            budget,
            metrics,
            queries: Mutex::default(),
            permissions: Mutex::default(),
            in_flight: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            answer: Mutex::new(Some(sender)),
        };
        (Arc::new(context), receiver)
    }

    pub(super) fn txid(&self) -> &str {
        &self.params.txid
    }

    pub(super) fn channel_id(&self) -> &str {
        &self.params.channel_id
    }

    /// The simulator, for one request.
    pub(super) fn simulator(&self) -> Result<MutexGuard<'_, TxSimulator>, RequestError> {
        Ok(lock(self.shared_simulator()?))
    }

    pub(super) fn shared_simulator(&self) -> Result<&SharedSimulator, RequestError> {
        self.params.simulator.as_ref().ok_or(RequestError::NoLedgerContext)
    }

    /// Gives the answer to whoever executes, unless there was one before, and closes the iterators.
    pub(super) fn complete(&self, message: ChaincodeMessage) {
        if let Some(sender) = lock(&self.answer).take() {
            // Whoever waited may have given up: the answer is of no use then.
            let _ = sender.send(message);
        }
        self.close_queries();
    }

    /// The stream ended: whoever waits for the answer is woken without one.
    pub(super) fn abandon(&self) {
        lock(&self.answer).take();
        self.close_queries();
    }

    fn close_queries(&self) {
        *lock(&self.queries) = OpenQueries::default();
    }

    /// Begins a request; none while another is in flight.
    pub(super) fn begin(self: Arc<Self>) -> Option<InFlight> {
        let idle = !self.in_flight.swap(true, Ordering::Acquire);
        idle.then(|| InFlight { context: self })
    }

    /// Whether no request was dropped before this one.
    pub(super) fn drop_first(&self) -> bool {
        !self.crowded.swap(true, Ordering::Relaxed)
    }

    /// A permission on a collection, asked once for each execution.
    pub(super) fn permission<E>(
        &self,
        access: Access,
        collection: &str,
        ask: impl FnOnce() -> Result<Permission, E>,
    ) -> Result<Permission, E> {
        let key = (collection.to_owned(), access);
        if let Some(&known) = lock(&self.permissions).get(&key) {
            return Ok(known);
        }
        let permission = ask()?;
        lock(&self.permissions).insert(key, permission);
        Ok(permission)
    }
}

/// The one request of an execution that is being answered. Must be gone before the answer is queued: the chaincode's next
/// request may follow at once.
pub(super) struct InFlight {
    context: Arc<TransactionContext>,
}

impl std::ops::Deref for InFlight {
    type Target = Arc<TransactionContext>;

    fn deref(&self) -> &Self::Target {
        &self.context
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.context.in_flight.store(false, Ordering::Release);
    }
}

/// A request that panicked is answered as failed; what it held is as usable as after any failed request.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
