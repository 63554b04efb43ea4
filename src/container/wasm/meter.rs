//! How long the guests of a transaction have run, and how much memory one of them holds.
//!
//! Time is counted in ticks of the engine's epoch, only while a guest runs: entering a host call closes the account,
//! leaving it opens it again, and so does giving way to others. A tick costs nothing to read, so a state operation pays
//! no clock.

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
    /// The tick at which the guest last ran again after it gave way; none before it first does.
    resumed: Option<Arc<AtomicU64>>,
    /// Bytes in the memories of the instance, and how many of them were added last.
    memory: usize,
    added: usize,
    budget: Budget,
    limits: Arc<Limits>,
}

impl Meter {
    pub(super) fn new(ticks: Arc<AtomicU64>, budget: Budget, limits: Arc<Limits>) -> Self {
        let running_since = ticks.load(Ordering::Relaxed);
        Self { ticks, running_since, resumed: None, memory: 0, added: 0, budget, limits }
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
        let (ticks, resumed) = (Arc::clone(&self.ticks), Arc::clone(self.resumed.get_or_insert_default()));
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move {
                // tokio's own yield looks at timers before it comes back to this guest; wasmtime's does not.
                tokio::task::yield_now().await;
                // The turns of others are not this guest's time.
                resumed.store(ticks.load(Ordering::Relaxed), Ordering::Relaxed);
            }),
        ))
    }

    /// The guest stops running, for a host call or for good: its time is accounted.
    ///
    /// # Errors
    /// [`LimitError`] when the transaction has had its time, is past its deadline or was cancelled.
    pub(super) fn charge(&mut self) -> Result<(), LimitError> {
        let now = self.ticks.load(Ordering::Relaxed);
        let resumed = self.resumed.as_ref().map_or(0, |resumed| resumed.load(Ordering::Relaxed));
        let since = self.running_since.max(resumed);
        if now <= since {
            return Ok(());
        }
        let ran = TICK * u32::try_from(now - since).unwrap_or(u32::MAX);
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
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The module's own maximum: growth past it fails by definition, on every node.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let added = desired.saturating_sub(current);
        let (asked, limit) = (self.memory.saturating_add(added), self.limits.memory);
        if asked > limit {
            return Err(LimitError::Memory { asked, limit }.into());
        }
        (self.memory, self.added) = (asked, added);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // More than 32 bits can address fails on every node too, before anybody is asked.
        if error.to_string().contains("memory type's limits") {
            return Ok(());
        }
        self.memory -= std::mem::take(&mut self.added);
        Err(LimitError::Machine(format!("{error:#}")).into())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements;
        if desired > limit {
            return Err(LimitError::TableElements { asked: desired, limit }.into());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn meter(time: u64) -> Meter {
        let budget = Budget::root(Instant::now() + Duration::from_secs(60), None);
        let limits = Limits { time: Duration::from_millis(time), memory: 1000, ..Limits::default() };
        Meter::new(Arc::default(), budget, Arc::new(limits))
    }

    fn pass(meter: &Meter, ticks: u64) {
        meter.ticks.fetch_add(ticks, Ordering::Relaxed);
    }

    fn spent(meter: &Meter) -> Duration {
        meter.budget.spend_guest_time(Duration::ZERO)
    }

    #[test]
    fn only_the_time_between_resuming_and_charging_counts() {
        let mut meter = meter(100);
        pass(&meter, 3);
        meter.charge().unwrap();
        pass(&meter, 50);
        meter.resume();
        pass(&meter, 2);
        meter.charge().unwrap();
        meter.charge().unwrap();
        assert_eq!(spent(&meter), TICK * 5);
    }

    #[tokio::test]
    async fn a_guest_that_gives_way_does_not_pay_for_the_others() {
        let mut meter = meter(100);
        pass(&meter, 1);
        let UpdateDeadline::YieldCustom(1, turn) = meter.tick().unwrap() else {
            panic!("a tick makes the guest yield")
        };
        pass(&meter, 70);
        turn.await;
        pass(&meter, 1);
        drop(meter.tick().unwrap());
        assert_eq!(spent(&meter), TICK * 2);
    }

    #[test]
    fn executions_of_one_transaction_share_its_time() {
        let mut caller = meter(10);
        let mut callee = Meter::new(Arc::clone(&caller.ticks), caller.budget.nested(), Arc::clone(&caller.limits));
        pass(&caller, 4);
        caller.charge().unwrap();
        callee.resume();
        pass(&callee, 6);
        callee.charge().unwrap();
        caller.resume();
        assert_eq!(spent(&caller), TICK * 10, "what the callee ran is counted once");
        pass(&caller, 1);
        let (ran, limit) = (TICK * 11, TICK * 10);
        assert_eq!(caller.charge(), Err(LimitError::Time { ran, limit }));
    }

    #[test]
    fn a_transaction_that_was_given_up_stops_at_the_next_tick() {
        let mut meter = meter(100);
        meter.budget.cancel();
        meter.charge().unwrap();
        pass(&meter, 1);
        assert_eq!(meter.charge(), Err(LimitError::Cancelled));
    }

    #[test]
    fn all_memories_of_an_instance_count_together() {
        let mut meter = meter(1);
        assert!(meter.memory_growing(0, 600, None).unwrap());
        assert!(!meter.memory_growing(0, 100, Some(50)).unwrap(), "past a maximum of its own, a module sees -1");
        assert!(meter.memory_growing(0, 300, None).unwrap());
        let failed = meter.memory_grow_failed(wasmtime::Error::msg("out of memory")).unwrap_err();
        assert!(failed.downcast_ref::<LimitError>().unwrap().depends_on_this_node(), "{failed}");
        assert!(meter.memory_growing(600, 1000, None).unwrap());
        let error = meter.memory_growing(0, 1, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&LimitError::Memory { asked: 1001, limit: 1000 }));
    }
}
