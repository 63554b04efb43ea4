//! How long images take to build (Fabric: `dockercontroller.BuildMetrics`).

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::container::Ccid;

type Labels = Vec<(&'static str, String)>;

/// The metrics of the Docker VM.
#[derive(Clone)]
pub struct DockerMetrics {
    build_duration: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for DockerMetrics {
    fn default() -> Self {
        Self { build_duration: Family::new_with_constructor(histogram) }
    }
}

/// The Prometheus clients' default buckets, in seconds, which Fabric uses; and three more, because a build takes minutes.
fn histogram() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0])
}

impl DockerMetrics {
    /// Metrics that the operations service finds in this registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "dockercontroller_chaincode_container_build_duration",
            "The time to build a chaincode image in seconds.",
            metrics.build_duration.clone(),
        );
        metrics
    }

    pub(super) fn built<T, E>(&self, ccid: &Ccid, result: &Result<T, E>, took: Duration) {
        let labels = vec![("chaincode", ccid.to_string()), ("success", result.is_ok().to_string())];
        self.build_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
