//! The capability `access-control`: what the creator of the transaction's own signed proposal may do.
//!
//! Invariant: a guest learns about that creator only, so it can ask nothing that the client could not find out by asking for
//! the resource itself.

use wasmtime::component::Linker;

use super::{Store, signed_proposal};
use crate::channel::{AclChecker, LocalPolicy};
use crate::container::wasm::peer_bindings::access_control;
use crate::container::wasm::{Capability, InstanceState};

const INTERFACE: &str = "selvedge:peer/access-control@0.1.0";

/// The host side of `selvedge:peer/access-control`.
#[derive(Clone)]
pub struct AccessControlCapability {
    acl: AclChecker,
}

impl AccessControlCapability {
    /// Answers as these access control lists do.
    pub fn new(acl: AclChecker) -> Self {
        Self { acl }
    }

    fn check(&self, state: &InstanceState, resource: &str, channel: &str) -> Result<(), String> {
        let signed = signed_proposal(state)?;
        self.acl.check(resource, channel, signed).map_err(|denied| denied.to_string())
    }

    fn check_local(&self, state: &InstanceState, policy: access_control::LocalPolicy) -> Result<(), String> {
        let policy = match policy {
            access_control::LocalPolicy::Admins => LocalPolicy::Admins,
            access_control::LocalPolicy::Members => LocalPolicy::Members,
        };
        self.acl.check_local(policy, signed_proposal(state)?).map_err(|denied| denied.to_string())
    }
}

impl Capability for AccessControlCapability {
    fn name(&self) -> &str {
        "access-control"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let this = self.clone();
        interface.func_wrap("check", move |store: Store<'_>, (resource, channel): (String, String)| {
            Ok((this.check(store.data(), &resource, &channel),))
        })?;
        let this = self.clone();
        interface.func_wrap("check-local", move |store: Store<'_>, (policy,): (access_control::LocalPolicy,)| {
            Ok((this.check_local(store.data(), policy),))
        })
    }
}
