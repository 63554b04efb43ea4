//! How many tasks the node's runtimes have (Fabric: `go_goroutines`, of the Prometheus client for Go).
//!
//! What is done again and again must not make them more: a task that waits for what never comes holds all that it was given.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use super::work::WorkRuntime;

/// Counts the tasks of the current runtime, which serves sockets, and of the one that works.
pub(super) fn register(registry: &mut Registry, work: &WorkRuntime) {
    registry.register_collector(Box::new(Tasks([("io", Handle::current()), ("work", work.handle())])));
}

/// The runtimes, by the value of the label `runtime`.
#[derive(Debug)]
struct Tasks([(&'static str, Handle); 2]);

impl Collector for Tasks {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "The number of tasks that have not ended.";
        let mut metric = encoder.encode_descriptor("tokio_alive_tasks", help, None, MetricType::Gauge)?;
        for (name, runtime) in &self.0 {
            let alive = i64::try_from(runtime.metrics().num_alive_tasks()).unwrap_or(i64::MAX);
            ConstGauge::new(alive).encode(metric.encode_family(&[("runtime", *name)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn tasks_are_counted_until_they_end() {
        let work = WorkRuntime::start(1).unwrap();
        let mut registry = Registry::default();
        register(&mut registry, &work);
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let endless = (0..3).map(|_| work.handle().spawn(std::future::pending::<()>())).collect::<Vec<_>>();
        let text = shown();
        assert!(text.contains("\ntokio_alive_tasks{runtime=\"io\"} 0\n"), "{text}");
        assert!(text.contains("\ntokio_alive_tasks{runtime=\"work\"} 3\n"), "{text}");
        for task in endless {
            task.abort();
            assert!(task.await.is_err());
        }
        // Whoever waits for a task hears of its end a little earlier.
        let began = Instant::now();
        while !shown().contains("\ntokio_alive_tasks{runtime=\"work\"} 0\n") {
            assert!(began.elapsed() < Duration::from_secs(10), "{}", shown());
            std::thread::yield_now();
        }
    }
}
