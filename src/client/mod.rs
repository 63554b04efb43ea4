//! The client's side of endorsing: proposals and the transactions made of their responses (Fabric:
//! `protos/utils/txutils.go`, `proputils.go`).
//!
//! Pure: nothing here opens a connection. The CLI and tests use it.

mod config_update;
mod deliver;
mod envelope;
mod error;
mod proposal;
mod transaction;

pub use config_update::{create_config_update, sign_config_update};
pub use deliver::create_seek_envelope;
pub use envelope::create_signed_envelope;
pub use error::ClientError;
pub use proposal::{CreatedProposal, NewProposal, create_chaincode_proposal};
pub use transaction::create_signed_tx;

#[cfg(test)]
mod tests;
