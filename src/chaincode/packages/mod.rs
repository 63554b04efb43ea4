//! The packages that lscc installs on this peer (Fabric: `core/common/ccprovider`).
//!
//! [`PackageStore`] is a folder of Fabric's own layout; [`ChaincodePackage`] is what a file in it says. The fingerprint of a
//! package is what the ledger's definition of a chaincode holds, so it decides whether this peer has the code that a channel
//! agreed on. What a package says of indexes goes to the ledger. [`Installer`] decides what gets into the folder.

mod error;
mod indexes;
mod install;
mod owners;
mod package;
mod store;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use super::Packages;
use crate::container::Ccid;
use crate::platforms::CodePackage;

pub use error::PackageError;
pub use install::{InstallListener, Installer};
pub use owners::{OwnerError, create_signed_package, sign_package};
pub use package::{ChaincodePackage, Fingerprint, PackageForm};
pub use store::{Installed, MAX_PACKAGE_SIZE, PackageStore};
pub use summary::PackageSummary;

#[async_trait]
impl Packages for Arc<PackageStore> {
    async fn code_package(&self, ccid: &Ccid) -> Result<CodePackage, String> {
        let (store, ccid) = (Self::clone(self), ccid.clone());
        let read = tokio::task::spawn_blocking(move || {
            let package = store.get(&ccid.name, &ccid.version).map_err(|error| error.to_string())?;
            package.code_package().map_err(|error| error.to_string())
        });
        read.await.unwrap_or_else(|_| Err("reading the chaincode package panicked".to_owned()))
    }
}
