//! Installing a package, from the bytes in an argument to the file (Fabric: `lscc.executeInstall`).
//!
//! Invariants: nothing is written of a package that has not passed every check, in Fabric's order; an install that has begun
//! is finished, whether or not anybody waits for it; and whoever listens hears of a package when it is on disk, so that a
//! deployment which is committed meanwhile either finds the package or is found by the listener.
//!
//! Whether the code fits its platform, Fabric 1.4 has its command line check and not lscc; here both do. A package that cannot
//! be built is better refused now than when somebody waits for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{ChaincodePackage, PackageError, PackageStore};
use crate::chaincode::{SystemChaincodes, is_chaincode_name, is_chaincode_version};
use crate::platforms::{check_metadata, validate_code_package};

/// Packages that are unpacked and hashed at a time. Who waits holds no more than the package's bytes.
const PLACES: usize = 2;

/// Is told what was installed (Fabric: `cceventmgmt`).
pub trait InstallListener: Send + Sync + 'static {
    /// A package is on disk. Called on a thread that may block. What fails here is for the log: the package is installed.
    fn installed(&self, package: &ChaincodePackage);
}

/// Installs packages. Cheap to clone.
#[derive(Clone)]
pub struct Installer {
    store: Arc<PackageStore>,
    system_chaincodes: Arc<dyn SystemChaincodes>,
    listeners: Arc<[Arc<dyn InstallListener>]>,
    places: Arc<Semaphore>,
}

impl Installer {
    /// Installs into this store what is none of the `system_chaincodes`, and tells the listeners in their order.
    pub fn new(
        store: Arc<PackageStore>,
        system_chaincodes: Arc<dyn SystemChaincodes>,
        listeners: impl IntoIterator<Item = Arc<dyn InstallListener>>,
    ) -> Self {
        let (listeners, places) = (listeners.into_iter().collect(), Arc::new(Semaphore::new(PLACES)));
        Self { store, system_chaincodes, listeners, places }
    }

    /// Installs a package. Dropping the future leaves an install that has begun running.
    ///
    /// # Errors
    /// [`PackageError`], with Fabric's text: nothing is installed then.
    pub async fn install(&self, bytes: Bytes) -> Result<(), PackageError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let this = self.clone();
        let installing = tokio::task::spawn_blocking(move || {
            let _place = place;
            this.install_now(&bytes)
        });
        installing.await.unwrap_or(Err(PackageError::Panicked))
    }

    fn install_now(&self, bytes: &Bytes) -> Result<(), PackageError> {
        let package = ChaincodePackage::parse(bytes)?;
        let (name, version) = (package.name(), package.version());
        if !is_chaincode_name(name) {
            return Err(PackageError::Name(name.to_owned()));
        }
        if !is_chaincode_version(version) {
            return Err(PackageError::Version(version.to_owned()));
        }
        if self.system_chaincodes.is_sys_cc(name) {
            return Err(PackageError::SystemChaincode(name.to_owned()));
        }
        let code = package.code_package().map_err(PackageError::Platform)?;
        if code.bytes.is_empty() {
            return Err(PackageError::NoCode);
        }
        check_metadata(&code.bytes).map_err(PackageError::Code)?;
        validate_code_package(code.platform, &code.bytes).map_err(PackageError::Code)?;
        let package = self.store.put(bytes)?;
        for listener in &*self.listeners {
            listener.installed(&package);
        }
        Ok(())
    }
}
