//! A client that goes on writing and reading while a chaincode misbehaves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::node::{Client, Demo};
use super::{committed, invoke, query};

/// Updates asset a1 and reads it back, over and over.
pub(super) struct Bystander {
    shared: Arc<Shared>,
    thread: JoinHandle<Summary>,
}

#[derive(Default)]
struct Shared {
    rounds: AtomicU64,
    stop: AtomicBool,
}

/// What became of the client's requests.
#[derive(Default)]
pub(super) struct Summary {
    /// The value that the last committed update gave to a1.
    pub(super) last_value: u64,
    pub(super) failures: Vec<String>,
    requests: u64,
    slowest: Duration,
    elapsed: Duration,
}

impl Bystander {
    pub(super) fn start(demo: &Demo) -> Self {
        let shared = Arc::new(Shared::default());
        let (client, theirs) = (demo.client(), Arc::clone(&shared));
        Self { shared, thread: std::thread::spawn(move || go_on(&client, &theirs)) }
    }

    /// Updates that were committed and read back so far.
    pub(super) fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::Acquire)
    }

    /// Two, so that one of them began after `before` was read.
    pub(super) fn wait_for_rounds_after(&self, before: u64, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while self.rounds() < before + 2 && !self.thread.is_finished() {
            ensure!(Instant::now() < deadline, "the other client did nothing for {} s", timeout.as_secs());
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Summary> {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the other client panicked"))
    }
}

/// Ends at the first failure: one is enough to fail the demo.
fn go_on(client: &Client, shared: &Shared) -> Summary {
    let start = Instant::now();
    let mut summary = Summary { last_value: 7, ..Summary::default() };
    while !shared.stop.load(Ordering::Acquire) && summary.failures.is_empty() {
        let value = summary.last_value + 1;
        match round(client, value, &mut summary) {
            Ok(()) => {
                summary.last_value = value;
                shared.rounds.fetch_add(1, Ordering::Release);
            }
            Err(e) => summary.failures.push(format!("{e:#}")),
        }
    }
    summary.elapsed = start.elapsed();
    summary
}

fn round(client: &Client, value: u64, summary: &mut Summary) -> Result<()> {
    let mut request = |args: &[String]| {
        let answer = client.run(args)?;
        summary.requests += 1;
        summary.slowest = summary.slowest.max(answer.elapsed);
        Ok::<_, anyhow::Error>(answer)
    };
    committed(&request(&invoke("asset", &["update", "a1", &value.to_string()]))?)?;
    let read = request(&query("asset", &["read", "a1"], &[]))?;
    let expected = format!(r#""value":{value}"#);
    ensure!(read.succeeded()?.contains(&expected), "read {} after {value} was committed", read.output);
    Ok(())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "meanwhile the other client: {} requests in {:.1} s, {} failed, the slowest {} ms",
            self.requests,
            self.elapsed.as_secs_f64(),
            self.failures.len(),
            self.slowest.as_millis()
        )
    }
}
