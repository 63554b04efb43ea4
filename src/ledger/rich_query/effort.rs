//! How long one query may still work, and whether anybody still waits for it.
//!
//! Invariant: between two looks at the clock lie a few thousand comparisons, whatever the selector and the documents
//! are: one row of megabytes under a selector of thousands of terms is no exception.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RichQueryError;
use super::limits::MAX_QUERY_TIME;

/// Says that the query's transaction is over.
pub(in crate::ledger) type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// Comparisons between two looks at the clock.
const STEPS_PER_LOOK: usize = 4096;

/// The work of one query, over all its batches.
#[derive(Default)]
pub(super) struct Effort {
    stop: Option<Stop>,
    spent: Duration,
    /// None while nobody works on it, and where the work has no limit.
    since: Option<Instant>,
    steps: Cell<usize>,
    is_over: Cell<bool>,
}

impl Effort {
    pub(super) fn new(stop: Option<Stop>) -> Self {
        Self { stop, ..Self::default() }
    }

    /// For what must not depend on time: the rows of an index.
    pub(super) fn unlimited() -> Self {
        Self::default()
    }

    pub(super) fn resume(&mut self) {
        self.since = Some(Instant::now());
    }

    pub(super) fn pause(&mut self) {
        self.spent = self.so_far();
        self.since = None;
    }

    /// Counts comparisons. False when there must be no more of them: what they come to is of no use then, and
    /// [`Self::look`] says why.
    pub(super) fn step(&self, steps: usize) -> bool {
        let steps = self.steps.get().saturating_add(steps);
        self.steps.set(steps);
        if steps >= STEPS_PER_LOOK {
            self.steps.set(0);
            let _ = self.look();
        }
        !self.is_over.get()
    }

    /// Looks at the clock.
    pub(super) fn look(&self) -> Result<(), RichQueryError> {
        let spent = self.so_far();
        let is_stopped = self.stop.as_ref().is_some_and(|stop| stop());
        let is_late = spent > MAX_QUERY_TIME;
        self.is_over.set(is_stopped || is_late);
        match (is_stopped, is_late) {
            (true, _) => Err(RichQueryError::Stopped),
            (false, true) => Err(RichQueryError::Time { spent, limit: MAX_QUERY_TIME }),
            (false, false) => Ok(()),
        }
    }

    fn so_far(&self) -> Duration {
        self.spent + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
