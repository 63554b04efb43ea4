//! The capability `policies`: what the channel of a transaction says about instantiating chaincode (for lscc).
//!
//! Invariant: who somebody is, the host decides; a guest learns about the creator of the transaction's own signed proposal
//! and about the transaction's own channel only.

use bytes::Bytes;
use wasmtime::component::Linker;

use super::{Store, signed_proposal};
use crate::channel::{CollectionsError, Deployment, Deployments};
use crate::container::wasm::peer_bindings::policies::{ApplicationCapabilities, CollectionsError as Error};
use crate::container::wasm::{Capability, InstanceState};

const INTERFACE: &str = "selvedge:peer/policies@0.1.0";

/// The host side of `selvedge:peer/policies`.
#[derive(Clone)]
pub struct PoliciesCapability {
    deployments: Deployments,
}

impl PoliciesCapability {
    /// Answers as the configurations of these channels do.
    pub fn new(deployments: Deployments) -> Self {
        Self { deployments }
    }

    fn capabilities(&self, state: &InstanceState) -> Result<ApplicationCapabilities, String> {
        let channel = own_channel(&self.deployments, state)?;
        let capabilities = channel.capabilities();
        let capabilities = capabilities.ok_or("the channel's configuration says nothing about applications")?;
        Ok(ApplicationCapabilities {
            private_channel_data: capabilities.private_channel_data(),
            collection_upgrade: capabilities.collection_upgrade(),
        })
    }

    fn check_collections(&self, state: &InstanceState, collections: Vec<u8>) -> Result<(), Error> {
        let channel = own_channel(&self.deployments, state).map_err(Error::Refused)?;
        channel.check_collections(collections.into()).map_err(|error| match error {
            CollectionsError::Undecodable(_) => Error::Undecodable,
            other => Error::Refused(other.to_string()),
        })
    }
}

/// The channel that the transaction is on.
fn own_channel(deployments: &Deployments, state: &InstanceState) -> Result<Deployment, String> {
    let channel = &state.transaction().channel_id;
    deployments.on(channel).ok_or_else(|| format!("could not get MSP manager for channel {channel}"))
}

/// Whether the creator of the transaction's proposal satisfies an instantiation policy; the package's, or the default one.
pub(super) fn check_instantiation(
    deployments: &Deployments,
    state: &InstanceState,
    policy: Option<Bytes>,
) -> Result<Bytes, String> {
    let channel = own_channel(deployments, state)?;
    let policy = policy.unwrap_or_else(|| channel.default_instantiation());
    let checked = channel.check_instantiation(policy.clone(), signed_proposal(state)?);
    checked.map(|()| policy).map_err(|error| error.to_string())
}

impl Capability for PoliciesCapability {
    fn name(&self) -> &str {
        "policies"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let this = self.clone();
        interface.func_wrap("capabilities", move |store: Store<'_>, (): ()| Ok((this.capabilities(store.data()),)))?;
        let this = self.clone();
        interface.func_wrap("default-endorsement", move |store: Store<'_>, (): ()| {
            let channel = own_channel(&this.deployments, store.data());
            Ok((channel.map(|channel| channel.default_endorsement().to_vec()),))
        })?;
        let this = self.clone();
        interface.func_wrap("check-instantiation", move |store: Store<'_>, (policy,): (Vec<u8>,)| {
            Ok((check_instantiation(&this.deployments, store.data(), Some(policy.into())).map(drop),))
        })?;
        let this = self.clone();
        interface.func_wrap("check-collections", move |store: Store<'_>, (collections,): (Vec<u8>,)| {
            Ok((this.check_collections(store.data(), collections),))
        })
    }
}
