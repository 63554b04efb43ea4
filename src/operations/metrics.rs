//! Metrics in Prometheus's text format, under Fabric's names.
//!
//! The registry writes OpenMetrics, which puts `_total` after every counter; Fabric's counters have no such ending, and
//! dashboards know them by their names. So the ending is taken off and the older format is declared.

use std::fmt::{self, Write};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut open_metrics = String::new();
    encode(&mut open_metrics, registry)?;
    let mut text = String::with_capacity(open_metrics.len());
    let mut counter = None;
    for line in open_metrics.lines() {
        if let Some(declaration) = line.strip_prefix("# TYPE ") {
            counter = declaration.strip_suffix(" counter").map(|name| format!("{name}_total"));
        }
        match counter.as_deref().and_then(|name| line.strip_prefix(name).map(|rest| (name, rest))) {
            Some((name, rest)) if rest.starts_with(['{', ' ']) => {
                writeln!(text, "{}{rest}", name.trim_end_matches("_total"))?;
            }
            // The registry ends each text with a full stop; Fabric's have theirs.
            _ if line.starts_with("# HELP ") && line.ends_with("..") => writeln!(text, "{}", &line[..line.len() - 1])?,
            _ if line == "# EOF" || line.starts_with("# UNIT ") => {}
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::histogram::Histogram;

    use super::*;

    #[test]
    fn counters_have_fabrics_names() {
        let mut registry = Registry::default();
        let received: Counter = Counter::default();
        received.inc_by(3);
        registry.register("endorser_proposals_received", "The number of proposals received.", received);
        let failures = Family::<Vec<(String, String)>, Counter>::default();
        failures.get_or_create(&vec![("chaincode".to_owned(), "mycc:1.0".to_owned())]).inc();
        registry.register("chaincode_launch_failures", "Failures", failures);
        let duration = Histogram::new([0.1, 1.0]);
        duration.observe(0.5);
        registry.register("endorser_proposal_duration", "Seconds", duration);

        let text = render(&registry).expect("can be written");
        for line in [
            "# HELP endorser_proposals_received The number of proposals received.",
            "# TYPE endorser_proposals_received counter",
            "endorser_proposals_received 3",
            "chaincode_launch_failures{chaincode=\"mycc:1.0\"} 1",
            "endorser_proposal_duration_bucket{le=\"1.0\"} 1",
            "endorser_proposal_duration_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("_total") && !text.contains("# EOF"), "{text}");
    }
}
