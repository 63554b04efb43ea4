//! Health checks by component (Fabric: `fabric-lib-go/healthz`).

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long one component may take to answer before it counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells whether a component works.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// The error is the reason that an operator reads.
    async fn check(&self) -> Result<(), String>;
}

/// The components that are asked.
#[derive(Default)]
pub struct HealthChecks {
    checks: Vec<(String, Box<dyn HealthCheck>)>,
}

/// The answer of `/healthz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub(super) status: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed_checks: Vec<FailedCheck>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct FailedCheck {
    pub(super) component: String,
    pub(super) reason: String,
}

impl HealthChecks {
    /// Adds a component under the name that operators know it by.
    pub fn register(&mut self, component: impl Into<String>, check: Box<dyn HealthCheck>) {
        self.checks.push((component.into(), check));
    }

    pub(super) async fn run(&self) -> Health {
        let mut failed_checks = Vec::new();
        for (component, check) in &self.checks {
            let reason = match tokio::time::timeout(CHECK_TIMEOUT, check.check()).await {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(_) => format!("no answer within {} s", CHECK_TIMEOUT.as_secs()),
            };
            failed_checks.push(FailedCheck { component: component.clone(), reason });
        }
        Health {
            status: if failed_checks.is_empty() { "OK" } else { "Service Unavailable" },
            // RFC 3339 has four digits for the year: there is no other way for this to fail.
            time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            failed_checks,
        }
    }
}
