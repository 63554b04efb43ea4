//! The capability `package-admin`: installing packages (for lscc).
//!
//! Invariants: nobody installs whose proposal does not satisfy `lscc/Install`; what is installed is the [`Installer`]'s to
//! decide, and its own task, so what becomes of the transaction that asked for it does not matter to it. The package's bytes
//! stay where they are: in the message that brought them.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource};

use super::check;
use crate::chaincode::AccessControl;
use crate::chaincode::packages::Installer;
use crate::container::wasm::peer_bindings::package_admin::Error;
use crate::container::wasm::{Blob, Capability, InstanceState};

const INTERFACE: &str = "selvedge:peer/package-admin@0.1.0";

/// The host side of `selvedge:peer/package-admin`.
#[derive(Clone)]
pub struct PackageAdminCapability {
    installer: Installer,
    access: Arc<dyn AccessControl>,
}

impl PackageAdminCapability {
    /// Has `installer` install for those whom `access` lets.
    pub fn new(installer: Installer, access: Arc<dyn AccessControl>) -> Self {
        Self { installer, access }
    }

    async fn install(
        &self,
        state: &mut InstanceState,
        package: &Resource<Blob>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let bytes = state.blob(package)?;
        // Whoever calls a chaincode has not asked for what that chaincode asks of lscc. (Fabric 1.4 installs it.)
        if state.nested_budget().depth() > 1 {
            let refusal = "a package is installed by a proposal to lscc, not by another chaincode's call";
            return Ok(Err(Error::AccessDenied(refusal.to_owned())));
        }
        if let Err(denied) = check(&*self.access, state, "lscc/Install", "") {
            return Ok(Err(Error::AccessDenied(denied)));
        }
        let installed = state.wait_for(self.installer.install(bytes)).await?;
        Ok(installed.map_err(|error| Error::Refused(error.to_string())))
    }
}

impl Capability for PackageAdminCapability {
    fn name(&self) -> &str {
        "package-admin"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let this = self.clone();
        linker.instance(INTERFACE)?.func_wrap_async("install", move |mut store, (package,): (Resource<Blob>,)| {
            let this = this.clone();
            Box::new(async move { Ok((this.install(store.data_mut(), &package).await?,)) })
        })
    }
}
