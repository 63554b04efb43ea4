//! Definitions of chaincode: what a channel agreed on, held against what is installed here (Fabric 1.4:
//! `lscc.LifeCycleSysCC` as `chaincode.Lifecycle`, `ccprovider.CheckInstantiationPolicy`, `ccprovider.ccInfoCacheImpl`).
//!
//! System chaincodes are defined by the node, all others by an entry in lscc's state. Invariant: no code of a package runs
//! but that of the very package that the channel's definition was made from; and a running chaincode costs a call no file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use selvedge_proto::protos::ChaincodeData;
use tokio::sync::OnceCell;

use super::definition::definition_entry;
use super::packages::{PackageStore, PackageSummary};
use super::{
    ChaincodeMode, CodeSource, ContainerInfo, DefinitionError, Definitions, SystemChaincodes, chaincode_definition,
};
use crate::container::Ccid;
use crate::decode::decode;
use crate::ledger::SharedSimulator;

/// The definitions of this peer's chaincodes.
pub struct Lifecycle {
    system: Arc<dyn SystemChaincodes>,
    packages: Arc<PackageStore>,
    mode: ChaincodeMode,
    /// What the packages say. A package is never replaced, so neither is what was read of it; one that cannot be read is
    /// looked for again with each call.
    known: Mutex<HashMap<Ccid, Arc<OnceCell<Arc<PackageSummary>>>>>,
}

impl Lifecycle {
    /// Definitions of the node's system chaincodes, and of those whose packages are installed in this store.
    pub fn new(system: Arc<dyn SystemChaincodes>, packages: Arc<PackageStore>, mode: ChaincodeMode) -> Self {
        Self { system, packages, mode, known: Mutex::default() }
    }

    /// What is installed, read anew: for a launch, which reads the code as well.
    async fn read(&self, ccid: &Ccid) -> Result<PackageSummary, String> {
        let (store, Ccid { name, version }) = (Arc::clone(&self.packages), ccid.clone());
        let read = tokio::task::spawn_blocking(move || store.get(&name, &version).map(|it| PackageSummary::of(&it)));
        match read.await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err("reading the chaincode package panicked".to_owned()),
        }
    }

    /// The same, read once.
    async fn known(&self, ccid: &Ccid) -> Result<Arc<PackageSummary>, String> {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(ccid.clone()).or_default())
        };
        cell.get_or_try_init(async || self.read(ccid).await.map(Arc::new)).await.cloned()
    }

    async fn users_container_info(&self, name: &str, definition: ChaincodeData) -> Result<ContainerInfo, String> {
        if definition.name != name {
            return Err(format!("chaincode name mismatch: {name}!={}", definition.name));
        }
        let ccid = Ccid::new(name, &*definition.version);
        let package = self.read(&ccid).await.map_err(|cause| format!("invalid deployment spec: {cause}"))?;
        let mismatch = |difference| format!("chaincode fingerprint mismatch: {difference}");
        package.validate(&definition).map_err(mismatch)?;
        launchable(ccid, package)
    }
}

/// How a package is launched, under the name of the definition.
fn launchable(ccid: Ccid, package: PackageSummary) -> Result<ContainerInfo, String> {
    let platform = package.platform.map_err(|unknown| unknown.to_string())?;
    Ok(ContainerInfo { ccid, vm: platform.vm(), code: CodeSource::Package })
}

#[async_trait]
impl Definitions for Lifecycle {
    async fn container_info(
        &self,
        name: &str,
        simulator: Option<&SharedSimulator>,
    ) -> Result<ContainerInfo, DefinitionError> {
        if let Some(info) = self.system.container_info(name) {
            return Ok(info);
        }
        let simulator = simulator.ok_or_else(|| DefinitionError::NoLedgerForInfo(name.to_owned()))?;
        if self.system.is_sys_cc(name) {
            return Err(DefinitionError::Other(format!(
                "chaincode {name} not found: it is a system chaincode that does not run here; `selvedge scc list` says why"
            )));
        }
        let entry = definition_entry(name, simulator)?;
        let definition = decode("ChaincodeData", &entry)
            .map_err(|_| DefinitionError::Code(format!("error while marshalling: {name}")))?;
        self.users_container_info(name, definition).await.map_err(DefinitionError::Code)
    }

    async fn definition(
        &self,
        name: &str,
        simulator: Option<&SharedSimulator>,
    ) -> Result<ChaincodeData, DefinitionError> {
        chaincode_definition(name, simulator)
    }

    async fn check_instantiation_policy(&self, name: &str, definition: &ChaincodeData) -> Result<(), DefinitionError> {
        let version = &definition.version;
        let package = match self.known(&Ccid::new(name, &**version)).await {
            Ok(package) => package,
            // Who starts chaincode by hand need not install it. (In Fabric he must, without code.)
            Err(_) if self.mode == ChaincodeMode::Dev => return Ok(()),
            Err(cause) => return Err(DefinitionError::NoPackage(format!("{name}/{version}, error {cause}"))),
        };
        match &package.instantiation_policy {
            Some(policy) if *policy != definition.instantiation_policy => {
                Err(DefinitionError::PolicyMismatch(format!("{name}/{version}")))
            }
            _ => Ok(()),
        }
    }

    async fn installed(&self, ccid: &Ccid) -> Result<ContainerInfo, String> {
        let package = self.read(ccid).await?;
        // The package's own name is that of the chaincode to run, as in Fabric.
        launchable(Ccid::new(&*package.name, &*package.version), package)
    }
}

#[cfg(test)]
mod tests;
