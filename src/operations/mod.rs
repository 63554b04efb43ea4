//! What operators look at: health, version, log levels, metrics, over HTTP (Fabric: `core/operations`).
//!
//! The composition root hands in what there is to look at; this module only serves it. Without TLS and without a login, so
//! `operations.listenAddress` has to stay where only operators reach it. Invariant: no request here waits for a transaction.

mod health;
mod log_spec;
mod logging;
mod metrics;
mod server;

pub use health::{HealthCheck, HealthChecks};
pub use log_spec::{LogSpec, LogSpecError};
pub use logging::LogControl;
pub use server::Operations;
