//! The runtime on which proposals are processed and guests run, apart from the one that serves sockets.
//!
//! A guest that computes gives way once a tick, but not more often. On a runtime that also polls sockets, a handful of
//! such guests would delay every connection; here they delay each other.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// How long running transactions may take once the node stops. Their clients are gone by then.
const GRACE: Duration = Duration::from_secs(1);

/// The runtime; stopped when dropped.
pub(crate) struct WorkRuntime(Option<Runtime>);

impl WorkRuntime {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("work")
            .enable_time()
            // A new transaction waits for no more than one tick of each guest that is running, and timers for few.
            .global_queue_interval(1)
            .event_interval(7)
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            None => Handle::current(),
        }
    }

    pub(super) fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            // Waits on a thread of its own: a runtime must not be waited for from within another.
            let waited = std::thread::spawn(move || runtime.shutdown_timeout(GRACE)).join();
            if waited.is_err() {
                tracing::error!("the work runtime did not stop");
            }
        }
    }
}

impl Drop for WorkRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
