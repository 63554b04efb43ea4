//! Endorsing proposals (Fabric 1.4: `core/endorser`, `core/common/validation`).
//!
//! A proposal goes through three steps, each in a file of its own: [`check`](check::check) decides whether to look at
//! it at all, `simulate` runs the chaincode (after lscc has deployed one, `deploy` that one's Init), `response` shapes and
//! signs what came out. [`Endorser`] is the gRPC service that leads it through them.
//!
//! Invariant: what a client gets back depends on *where* its proposal failed. A refusal before the simulation is a gRPC
//! error of code Unknown; a failure from then on is a `Response` with status 500 and no payload; a chaincode that
//! answers 500 or more has its payload. SDKs tell the three apart by exactly this ([`EndorserError::placement`]).
//!
//! Private data leaves through a [`PrivateDataDistributor`](crate::private_data::PrivateDataDistributor) before the
//! response is signed.
//!
//! Not here yet: endorsement plug-ins other than the default one, and most of the endorser's metrics.

pub mod check;
mod deploy;
mod error;
pub mod hash;
mod metrics;
mod private_data;
mod response;
mod service;
mod simulate;
mod support;

pub use crate::decode::Undecodable;
pub(crate) use crate::decode::decode;
pub use error::{EndorserError, Placement};
pub use metrics::EndorserMetrics;
pub use service::{DEFAULT_CONCURRENCY, Endorser, EndorserParts};
pub use support::ChaincodeExecutor;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
