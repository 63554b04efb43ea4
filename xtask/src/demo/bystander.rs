//! A client that goes on writing and reading while a chaincode misbehaves.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use super::node::{Client, Demo};
use super::{committed, invoke, query};

/// Updates asset a1 and reads it back, over and over, each by a process of its own.
pub(super) struct Bystander {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    stop: AtomicBool,
}

/// What became of the client's requests.
#[derive(Default)]
struct Record {
    /// One for each update that was committed.
    updates: Vec<Duration>,
    /// One for each update that was read back.
    reads: Vec<Duration>,
    /// The first failure, after which the client does nothing more: one is enough to fail the demo.
    failure: Option<String>,
}

/// How long the requests of some time took.
pub(super) struct Latencies {
    updates: Vec<Duration>,
    reads: Vec<Duration>,
}

impl Bystander {
    /// Starts the client; a1 has `value` now, and one more with each update.
    pub(super) fn start(demo: &Demo, value: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let (client, theirs) = (demo.client(), Arc::clone(&shared));
        Self { shared, thread: std::thread::spawn(move || go_on(&client, &theirs, value)) }
    }

    /// Rounds that were finished so far.
    pub(super) fn rounds(&self) -> usize {
        self.shared.record().reads.len()
    }

    /// The latencies since round `before`, once two further rounds are finished: one of them began after `before` was read.
    ///
    /// # Errors
    /// When a request has failed, or nothing happened for `timeout`.
    pub(super) fn latencies_since(&self, before: usize, timeout: Duration) -> Result<Latencies> {
        let deadline = Instant::now() + timeout;
        loop {
            let record = self.shared.record();
            if let Some(failure) = &record.failure {
                bail!("the other client failed: {failure}");
            }
            if record.reads.len() >= before + 2 {
                return Ok(Latencies {
                    updates: record.updates[before..].to_vec(),
                    reads: record.reads[before..].to_vec(),
                });
            }
            drop(record);
            ensure!(Instant::now() < deadline, "the other client did nothing for {} s", timeout.as_secs());
            sleep(Duration::from_millis(5));
        }
    }

    /// Stops after the round under way. Returns the number of updates.
    pub(super) fn finish(self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the other client panicked"))?;
        let record = self.shared.record();
        match &record.failure {
            Some(failure) => bail!("the other client failed: {failure}"),
            None => Ok(record.updates.len() as u64),
        }
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn go_on(client: &Client, shared: &Shared, mut value: u64) {
    while !shared.stop.load(Ordering::Acquire) {
        value += 1;
        if let Err(e) = round(client, value, shared) {
            shared.record().failure = Some(format!("{e:#}"));
            return;
        }
    }
}

fn round(client: &Client, value: u64, shared: &Shared) -> Result<()> {
    let update = client.run(&invoke("asset", &["update", "a1", &value.to_string()]))?;
    committed(&update)?;
    shared.record().updates.push(update.elapsed);
    let read = client.run(&query("asset", &["read", "a1"], &[]))?;
    let expected = format!(r#""value":{value}"#);
    ensure!(read.succeeded()?.contains(&expected), "read {} after {value} was committed", read.output);
    shared.record().reads.push(read.elapsed);
    Ok(())
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (updates, reads) = (spread(&self.updates), spread(&self.reads));
        write!(f, "{} updates ({updates}), {} reads ({reads}), 0 failed", self.updates.len(), self.reads.len())
    }
}

/// `median 31 ms, slowest 40 ms`.
fn spread(latencies: &[Duration]) -> String {
    let mut sorted = latencies.to_vec();
    sorted.sort();
    let ms = |latency: Option<&Duration>| latency.map_or(0, Duration::as_millis);
    format!("median {} ms, slowest {} ms", ms(sorted.get(sorted.len().saturating_sub(1) / 2)), ms(sorted.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_show_the_middle_and_the_end() {
        assert_eq!(spread(&[9, 1, 5].map(Duration::from_millis)), "median 5 ms, slowest 9 ms");
    }
}
