//! The host side of what system chaincodes may import beyond the contract, one file for each capability.

mod access_control;
mod channel_admin;
mod channel_config;
mod ledger;
mod packages;

pub use access_control::AccessControlCapability;
pub use channel_admin::{ChannelAdminCapability, ChannelJoiner, JoinError};
pub use channel_config::ChannelConfigCapability;
pub use ledger::LedgerCapability;
pub use packages::PackagesCapability;

use selvedge_proto::protos::SignedProposal;

use crate::container::wasm::InstanceState;

/// What every ACL is checked against: the proposal that the transaction runs for.
fn signed_proposal(state: &InstanceState) -> Result<&SignedProposal, String> {
    state.transaction().signed_proposal.as_ref().ok_or_else(|| "there is no signed proposal".to_owned())
}
