//! What a transaction may still spend, shared by everything that runs on its behalf.
//!
//! The Handler makes a budget for each root transaction and hands it on with the message; a nested execution inherits
//! it, through any mix of VMs. Invariant: when a part of the transaction fails for a reason that another endorser might
//! not see (time, a full pool), [`Budget::fail`] dooms the *whole* transaction, so a caller cannot swallow the error and
//! endorse a write set that differs from its peers'.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How deep one execution is nested, and the allowance it shares with the others of its transaction.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
    depth: u32,
}

struct Shared {
    deadline: Instant,
    guest_time: AtomicU64,
    fuel: Option<AtomicU64>,
    held: AtomicU64,
    log_lines: AtomicU32,
    cancelled: AtomicBool,
    cancel: Notify,
    failure: OnceLock<String>,
    permit: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Budget {
    /// A root transaction's budget: it ends at `deadline`, and its guests may burn `fuel` where fuel is metered.
    pub fn root(deadline: Instant, fuel: Option<u64>) -> Self {
        let shared = Shared {
            deadline,
            guest_time: AtomicU64::new(0),
            fuel: fuel.map(AtomicU64::new),
            held: AtomicU64::new(0),
            log_lines: AtomicU32::new(0),
            cancelled: AtomicBool::new(false),
            cancel: Notify::new(),
            failure: OnceLock::new(),
            permit: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), depth: 0 }
    }

    /// The same budget for an execution that this one calls.
    #[must_use]
    pub fn nested(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), depth: self.depth + 1 }
    }

    /// 0 for the execution that the proposal asked for, 1 for what it invokes, and so on.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// When the transaction has to be done (`chaincode.executetimeout`).
    pub fn deadline(&self) -> Instant {
        self.shared.deadline
    }

    /// Adds to the time that guests of this transaction have run; returns the sum.
    pub fn spend_guest_time(&self, spent: Duration) -> Duration {
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        let before = self.shared.guest_time.fetch_add(nanos, Ordering::Relaxed);
        Duration::from_nanos(before.saturating_add(nanos))
    }

    /// What is left of the fuel, or none where fuel is not metered.
    pub fn fuel(&self) -> Option<u64> {
        self.shared.fuel.as_ref().map(|fuel| fuel.load(Ordering::Relaxed))
    }

    /// Records what is left after a guest has burnt some. Executions of one transaction never run side by side.
    pub fn set_fuel(&self, left: u64) {
        if let Some(fuel) = &self.shared.fuel {
            fuel.store(left, Ordering::Relaxed);
        }
    }

    /// Adds to the bytes that the node holds for this transaction; returns the sum.
    pub fn hold(&self, bytes: u64) -> u64 {
        self.shared.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)
    }

    /// Takes back what was added for bytes that the node holds no more.
    pub fn let_go(&self, bytes: u64) {
        self.shared.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts a log line of this transaction; returns how many came before it.
    pub fn log_line(&self) -> u32 {
        self.shared.log_lines.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells everything that works for this transaction to stop.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
        self.shared.cancel.notify_waiters();
    }

    /// Whether the transaction was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Acquire)
    }

    /// Resolves when the transaction is cancelled. Dropping the future is free.
    pub async fn cancelled(&self) {
        let notified = self.shared.cancel.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    /// Dooms the whole transaction. The first reason given stays.
    pub fn fail(&self, reason: impl Into<String>) {
        let _ = self.shared.failure.set(reason.into());
    }

    /// Why the whole transaction is doomed, if it is.
    pub fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }

    /// Whether nothing more can come of the transaction: it was cancelled, is doomed or is past its deadline.
    pub fn is_over(&self) -> bool {
        self.is_cancelled() || self.failure().is_some() || Instant::now() >= self.deadline()
    }

    /// Keeps what a VM reserved for the root (its permit) until the transaction's last execution is gone.
    pub fn keep_permit(&self, permit: Box<dyn Any + Send>) {
        *self.shared.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }

    /// Whether a VM has reserved its place for this transaction already.
    pub fn has_permit(&self) -> bool {
        self.shared.permit.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_nested_budget_shares_failure_cancel_and_permit_with_its_root() {
        let root = Budget::root(Instant::now() + Duration::from_secs(1), Some(10));
        let nested = root.nested();
        assert_eq!((root.depth(), nested.depth()), (0, 1));

        nested.set_fuel(3);
        assert_eq!(root.fuel(), Some(3));
        assert_eq!((root.hold(5), nested.hold(2)), (5, 7));
        nested.let_go(5);
        assert_eq!(root.hold(0), 2);
        assert_eq!((root.log_line(), nested.log_line()), (0, 1));
        nested.fail("first");
        nested.fail("second");
        assert_eq!(root.failure(), Some("first"));
        nested.keep_permit(Box::new(()));
        assert!(root.has_permit());

        let waiter = tokio::spawn({
            let nested = nested.clone();
            async move { nested.cancelled().await }
        });
        tokio::task::yield_now().await;
        root.cancel();
        waiter.await.expect("the waiter wakes");
        nested.cancelled().await;
    }
}
