//! Runs chaincode: launches it, sends it transactions, and answers what it asks of the ledger (Fabric: `core/chaincode`).
//!
//! [`ChaincodeSupport`] is the way in: it finds or launches the [`Handler`] of a chaincode and has it execute a
//! transaction. A `Handler` stands at the peer's end of each chaincode stream and never learns which VM is at the other.
//! What the rest of the peer contributes comes through the traits of [`Environment`].

mod accesscontrol;
mod administration;
mod config;
mod container_runtime;
mod definition;
mod environment;
mod error;
mod handler;
mod handler_registry;
mod instance;
mod launch_state;
mod lifecycle;
mod listener;
mod message;
mod metrics;
mod name;
pub mod packages;
mod retirement;
mod runtime_launcher;
mod support;
mod transaction;
mod transaction_context;
mod transaction_contexts;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use definition::chaincode_definition;

pub use accesscontrol::Authenticator;
pub use administration::{AdministrationError, ChaincodeStatus};
pub use config::{ChaincodeConfig, ChaincodeMode, LaunchSettings, RuntimeParams};
pub use environment::{
    Access, AccessControl, ApplicationCapabilities, ApplicationConfig, CodeSource, Collections, ContainerInfo,
    DefinitionError, Definitions, Denied, Environment, Ledgers, Packages, Permission, SystemChaincodes,
};
pub use error::{ExecuteError, InvokeError, LaunchError, RegistrationError, RequestError, SendingError};
pub use handler::Handler;
pub use handler_registry::HandlerRegistry;
pub use instance::ChaincodeInstance;
pub use lifecycle::Lifecycle;
pub use listener::{ChaincodeListener, ChaincodeStreams};
pub use metrics::ChaincodeMetrics;
pub use name::{is_chaincode_name, is_chaincode_version};
pub use retirement::Retirement;
pub use support::ChaincodeSupport;
pub use transaction::{Executed, TransactionParams};
