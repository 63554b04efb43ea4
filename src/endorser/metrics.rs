//! The endorser's counters, under Fabric's names (Fabric: `core/endorser/metrics.go`).

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::container::Ccid;

type Labels = Vec<(&'static str, String)>;

/// The metrics of one endorser. Fabric writes its counters without the `_total` that OpenMetrics adds.
#[derive(Debug, Default)]
pub struct EndorserMetrics {
    instantiation_failures: Family<Labels, Counter>,
}

impl EndorserMetrics {
    /// Metrics that the operations service finds in this registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "endorser_chaincode_instantiation_failures",
            "The number of chaincode instantiations or upgrade that have failed.",
            metrics.instantiation_failures.clone(),
        );
        metrics
    }

    /// An Init failed.
    pub(super) fn instantiation_failed(&self, channel: &str, ccid: &Ccid) {
        let labels = vec![("channel", channel.to_owned()), ("chaincode", ccid.to_string())];
        self.instantiation_failures.get_or_create(&labels).inc();
    }

    #[cfg(test)]
    pub(super) fn instantiation_failures(&self, channel: &str, chaincode: &str) -> u64 {
        let labels = vec![("channel", channel.to_owned()), ("chaincode", chaincode.to_owned())];
        self.instantiation_failures.get_or_create(&labels).get()
    }
}
