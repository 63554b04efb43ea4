//! How long the guests of a transaction have run, and how much memory one of them holds.
//!
//! Time is counted in ticks of the engine's epoch, only while a guest runs: entering a host call closes the account,
//! leaving it opens it again. A tick costs nothing to read, so a state operation pays no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::config::{LimitError, Limits};
use super::engine::TICK;
use crate::container::Budget;

/// One execution's meter.
pub(super) struct Meter {
    ticks: Arc<AtomicU64>,
    /// The tick at which the guest last started to run.
    running_since: u64,
    budget: Budget,
    limits: Arc<Limits>,
}

impl Meter {
    pub(super) fn new(ticks: Arc<AtomicU64>, budget: Budget, limits: Arc<Limits>) -> Self {
        let running_since = ticks.load(Ordering::Relaxed);
        Self { ticks, running_since, budget, limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Called at every tick in a running guest: lets others run, unless the guest has had its time.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.charge()?;
        // tokio's own yield looks at timers before it comes back to this guest; wasmtime's does not.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }

    /// The guest stops running, for a host call or for good: its time is accounted.
    ///
    /// # Errors
    /// [`LimitError`] when the transaction has had its time, is past its deadline or was cancelled.
    pub(super) fn charge(&mut self) -> Result<(), LimitError> {
        let now = self.ticks.load(Ordering::Relaxed);
        if now == self.running_since {
            return Ok(());
        }
        let ran = TICK * u32::try_from(now - self.running_since).unwrap_or(u32::MAX);
        self.running_since = now;
        let ran = self.budget.spend_guest_time(ran);
        if self.budget.is_cancelled() {
            return Err(LimitError::Cancelled);
        }
        if ran > self.limits.time {
            return Err(LimitError::Time { ran, limit: self.limits.time });
        }
        if Instant::now() >= self.budget.deadline() {
            return Err(LimitError::Deadline);
        }
        Ok(())
    }

    /// The node is about to hold so much more for the transaction.
    ///
    /// # Errors
    /// [`LimitError`] when that is more than it may.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), LimitError> {
        let held = self.budget.hold(bytes as u64);
        let limit = self.limits.host_memory;
        if held > limit { Err(LimitError::HostMemory { held, limit }) } else { Ok(()) }
    }

    /// The guest runs again after a host call.
    pub(super) fn resume(&mut self) {
        self.running_since = self.ticks.load(Ordering::Relaxed);
    }
}

/// Growth past a limit ends the transaction with an error that names the key; a guest that only saw -1 would abort
/// with a text about its allocator.
impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.memory;
        if desired > limit {
            return Err(LimitError::Memory { asked: desired, limit }.into());
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements;
        if desired > limit {
            return Err(LimitError::TableElements { asked: desired, limit }.into());
        }
        Ok(true)
    }
}
