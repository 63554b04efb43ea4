//! The client's side of endorsing: proposals and the transactions made of their responses (Fabric:
//! `protos/utils/txutils.go`, `proputils.go`).
//!
//! Pure: nothing here opens a connection. The CLI and tests use it.

mod deliver;
mod error;
mod proposal;
mod transaction;

pub use deliver::create_seek_envelope;
pub use error::ClientError;
pub use proposal::{CreatedProposal, NewProposal, create_chaincode_proposal};
pub use transaction::create_signed_tx;

#[cfg(test)]
mod tests;
