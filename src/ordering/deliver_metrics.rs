//! Counters of the Deliver services, under Fabric's names (Fabric: `common/deliver/metrics.go`).
//!
//! Invariant: no label holds a name that only a client gave: channels are counted when they were found.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;

/// The metrics of all Deliver services of a node.
#[derive(Debug, Default)]
pub struct DeliverMetrics {
    streams_opened: Counter,
    streams_closed: Counter,
    requests_received: Counters,
    requests_completed: Counters,
    blocks_sent: Counters,
}

impl DeliverMetrics {
    /// Metrics that the operations service finds in this registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            (
                "deliver_streams_opened",
                "The number of GRPC streams that have been opened for the deliver service.",
                &metrics.streams_opened,
            ),
            (
                "deliver_streams_closed",
                "The number of GRPC streams that have been closed for the deliver service.",
                &metrics.streams_closed,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, counters) in [
            (
                "deliver_requests_received",
                "The number of deliver requests that have been received.",
                &metrics.requests_received,
            ),
            (
                "deliver_requests_completed",
                "The number of deliver requests that have been completed.",
                &metrics.requests_completed,
            ),
            ("deliver_blocks_sent", "The number of blocks sent by the deliver service.", &metrics.blocks_sent),
        ] {
            registry.register(name, help, counters.clone());
        }
        metrics
    }

    /// Counts a stream until the answer is dropped, however its task ends.
    pub(super) fn stream(&self) -> OpenStream {
        self.streams_opened.inc();
        OpenStream(self.streams_closed.clone())
    }

    /// Counts a request on a channel that is there.
    pub(super) fn request(&self, channel: &str, form: BlockForm) -> RequestMetrics<'_> {
        let labels = vec![("channel", channel.to_owned()), ("filtered", (form == BlockForm::Filtered).to_string())];
        self.requests_received.get_or_create(&labels).inc();
        let blocks = Counter::clone(&self.blocks_sent.get_or_create(&labels));
        RequestMetrics { completed: &self.requests_completed, blocks, labels, outcome: false }
    }
}

/// The `filtered` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockForm {
    Whole,
    Filtered,
}

/// An open stream.
pub(super) struct OpenStream(Counter);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.inc();
    }
}

/// A request under way; counted as completed when dropped.
pub(super) struct RequestMetrics<'a> {
    completed: &'a Counters,
    blocks: Counter,
    labels: Labels,
    outcome: bool,
}

impl RequestMetrics<'_> {
    pub(super) fn block_sent(&self) {
        self.blocks.inc();
    }

    pub(super) fn succeeded(&mut self) {
        self.outcome = true;
    }
}

impl Drop for RequestMetrics<'_> {
    fn drop(&mut self) {
        let mut labels = std::mem::take(&mut self.labels);
        labels.push(("success", self.outcome.to_string()));
        self.completed.get_or_create(&labels).inc();
    }
}
