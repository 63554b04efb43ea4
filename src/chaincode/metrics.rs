//! Counters and timings of the chaincode side, under Fabric's names (Fabric: `core/chaincode/metrics.go`).
//!
//! The series of a request are looked up once for each chaincode, channel and type; after that a request touches three
//! atomics and two clocks. No label holds text that a chaincode chose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::message::Type;
use super::transaction_context::lock;
use crate::container::Ccid;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// One more than the largest message type.
const TYPES: usize = Type::GetStateMultiple as usize + 1;

/// The metrics of one peer. Fabric writes its counters without the `_total` that OpenMetrics adds.
pub struct ChaincodeMetrics {
    launch_duration: Histograms,
    launch_failures: Counters,
    launch_timeouts: Counters,
    requests_received: Counters,
    requests_completed: Counters,
    request_duration: Histograms,
    execute_timeouts: Counters,
}

impl Default for ChaincodeMetrics {
    fn default() -> Self {
        Self {
            launch_duration: Family::new_with_constructor(histogram),
            launch_failures: Family::default(),
            launch_timeouts: Family::default(),
            requests_received: Family::default(),
            requests_completed: Family::default(),
            request_duration: Family::new_with_constructor(histogram),
            execute_timeouts: Family::default(),
        }
    }
}

/// The Prometheus clients' default buckets, in seconds, which Fabric uses.
fn histogram() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// The `success` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
}

impl Outcome {
    pub(super) fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::Failure }
    }

    fn label(self) -> (&'static str, String) {
        ("success", if self == Self::Success { "true" } else { "false" }.to_owned())
    }
}

impl ChaincodeMetrics {
    /// Metrics that the operations service finds in this registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            (
                "chaincode_launch_failures",
                "The number of chaincode launches that have failed.",
                &metrics.launch_failures,
            ),
            (
                "chaincode_launch_timeouts",
                "The number of chaincode launches that have timed out.",
                &metrics.launch_timeouts,
            ),
            (
                "chaincode_shim_requests_received",
                "The number of chaincode shim requests received.",
                &metrics.requests_received,
            ),
            (
                "chaincode_shim_requests_completed",
                "The number of chaincode shim requests completed.",
                &metrics.requests_completed,
            ),
            (
                "chaincode_execute_timeouts",
                "The number of chaincode executions (Init or Invoke) that have timed out.",
                &metrics.execute_timeouts,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, timing) in [
            ("chaincode_launch_duration", "The time to launch a chaincode.", &metrics.launch_duration),
            (
                "chaincode_shim_request_duration",
                "The time to complete chaincode shim requests.",
                &metrics.request_duration,
            ),
        ] {
            registry.register(name, help, timing.clone());
        }
        metrics
    }

    pub(super) fn launched(&self, id: &str, outcome: Outcome, took: Duration) {
        self.launch_duration.get_or_create(&vec![chaincode(id), outcome.label()]).observe(took.as_secs_f64());
    }

    pub(super) fn launch_failed(&self, id: &str) {
        self.launch_failures.get_or_create(&vec![chaincode(id)]).inc();
    }

    pub(super) fn launch_timed_out(&self, id: &str) {
        self.launch_timeouts.get_or_create(&vec![chaincode(id)]).inc();
    }
}

fn chaincode(id: &str) -> (&'static str, String) {
    ("chaincode", id.to_owned())
}

/// The metrics of one handler.
pub(super) struct HandlerMetrics {
    metrics: Arc<ChaincodeMetrics>,
    id: OnceLock<String>,
    channels: Mutex<HashMap<String, Arc<ShimMetrics>>>,
}

impl HandlerMetrics {
    pub(super) fn new(metrics: Arc<ChaincodeMetrics>) -> Self {
        Self { metrics, id: OnceLock::new(), channels: Mutex::default() }
    }

    /// From now on the chaincode has a name.
    pub(super) fn name(&self, id: &str) {
        let _ = self.id.set(id.to_owned());
    }

    pub(super) fn execute_timed_out(&self, ccid: &Ccid) {
        self.metrics.execute_timeouts.get_or_create(&vec![chaincode(&ccid.to_string())]).inc();
    }

    /// The metrics of the chaincode's requests on a channel on which it executes.
    pub(super) fn channel(&self, channel: &str) -> Arc<ShimMetrics> {
        let mut channels = lock(&self.channels);
        if let Some(known) = channels.get(channel) {
            return Arc::clone(known);
        }
        let shim = Arc::new(ShimMetrics {
            metrics: Arc::clone(&self.metrics),
            chaincode: self.id.get().cloned().unwrap_or_default(),
            channel: channel.to_owned(),
            by_type: [const { OnceLock::new() }; TYPES],
        });
        channels.insert(channel.to_owned(), Arc::clone(&shim));
        shim
    }
}

/// The metrics of one chaincode's requests on one channel.
pub(super) struct ShimMetrics {
    metrics: Arc<ChaincodeMetrics>,
    chaincode: String,
    channel: String,
    by_type: [OnceLock<Series>; TYPES],
}

/// The series of one type of request.
struct Series {
    received: Counter,
    succeeded: (Counter, Histogram),
    failed: (Counter, Histogram),
}

impl ShimMetrics {
    /// Counts a request and starts its clock.
    pub(super) fn received(self: &Arc<Self>, kind: Type) -> RequestTimer {
        self.series(kind).received.inc();
        RequestTimer { metrics: Arc::clone(self), kind, began: Instant::now() }
    }

    fn series(&self, kind: Type) -> &Series {
        self.by_type[kind as usize].get_or_init(|| self.new_series(kind))
    }

    fn new_series(&self, kind: Type) -> Series {
        let labels = vec![
            ("type", kind.as_str_name().to_owned()),
            ("channel", self.channel.clone()),
            chaincode(&self.chaincode),
        ];
        let completed = |outcome: Outcome| {
            let mut labels = labels.clone();
            labels.push(outcome.label());
            let counter = self.metrics.requests_completed.get_or_create(&labels).clone();
            (counter, self.metrics.request_duration.get_or_create(&labels).clone())
        };
        Series {
            received: self.metrics.requests_received.get_or_create(&labels).clone(),
            succeeded: completed(Outcome::Success),
            failed: completed(Outcome::Failure),
        }
    }
}

/// A request that is being worked on.
pub(super) struct RequestTimer {
    metrics: Arc<ShimMetrics>,
    kind: Type,
    began: Instant,
}

impl RequestTimer {
    pub(super) fn completed(self, outcome: Outcome) {
        let series = self.metrics.series(self.kind);
        let (counter, duration) = match outcome {
            Outcome::Success => &series.succeeded,
            Outcome::Failure => &series.failed,
        };
        counter.inc();
        duration.observe(self.began.elapsed().as_secs_f64());
    }
}
