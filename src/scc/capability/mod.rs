//! The host side of what system chaincodes may import beyond the contract, one file for each capability.

mod access_control;
mod blocking;
mod channel_admin;
mod channel_config;
mod ledger;
mod package_admin;
mod packages;
mod policies;

pub use access_control::AccessControlCapability;
pub use channel_admin::{ChannelAdminCapability, ChannelJoiner, JoinError};
pub use channel_config::ChannelConfigCapability;
pub use ledger::LedgerCapability;
pub use package_admin::PackageAdminCapability;
pub use packages::PackagesCapability;
pub use policies::PoliciesCapability;

use bytes::Bytes;
use selvedge_proto::protos::SignedProposal;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

use crate::chaincode::AccessControl;
use crate::container::wasm::{Blob, InstanceState};

type Store<'a> = StoreContextMut<'a, InstanceState>;

/// What every ACL is checked against: the proposal that the transaction runs for.
fn signed_proposal(state: &InstanceState) -> Result<&SignedProposal, String> {
    state.transaction().signed_proposal.as_ref().ok_or_else(|| "there is no signed proposal".to_owned())
}

/// Whether the creator of that proposal may use `resource` on `channel`.
fn check(access: &dyn AccessControl, state: &InstanceState, resource: &str, channel: &str) -> Result<(), String> {
    access.check(resource, channel, signed_proposal(state)?).map_err(|denied| denied.to_string())
}

/// What was found, as a handle.
fn push<E>(mut store: Store<'_>, found: Result<Bytes, E>) -> wasmtime::Result<(Result<Resource<Blob>, E>,)> {
    Ok((match found {
        Ok(bytes) => Ok(store.data_mut().push_blob(bytes)?),
        Err(error) => Err(error),
    },))
}
