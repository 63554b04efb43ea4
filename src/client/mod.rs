//! What clients sign: proposals, the transactions made of their responses, requests for blocks, updates of a channel's
//! configuration (Fabric: `protos/utils/txutils.go`, `proputils.go`).
//!
//! Pure: nothing here opens a connection. The CLI and tests use it.

mod config_update;
mod deliver;
mod envelope;
mod error;
mod proposal;
mod transaction;

pub use config_update::{add_config_signature, create_config_update, sign_config_update};
pub use deliver::{BlockPosition, create_fetch_envelope, create_seek_envelope};
pub use envelope::create_signed_envelope;
pub use error::ClientError;
pub use proposal::{CreatedProposal, NewProposal, create_chaincode_proposal};
pub use transaction::create_signed_tx;

#[cfg(test)]
mod tests;
