//! Installing a package, from the bytes in an argument to the file (Fabric: `lscc.executeInstall`).
//!
//! Invariants: nothing is written of a package that has not passed every check, in Fabric's order; an install that has begun
//! is finished, whether or not anybody waits for it; and whoever listens hears of a package when it is on disk, so that a
//! deployment which is committed meanwhile either finds the package or is found by the listener.
//!
//! Whether the code fits its platform, Fabric 1.4's lscc does not look. A package that cannot be built is better refused now
//! than when somebody waits for it; what Fabric's tools and SDKs package passes.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{ChaincodePackage, PackageError, PackageStore};
use crate::chaincode::{SystemChaincodes, is_chaincode_name, is_chaincode_version};
use crate::platforms::{check_metadata, check_package_code};

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
        check_package_code(code.platform, &code.bytes).map_err(PackageError::Code)?;
        let package = self.store.put(bytes)?;
        for listener in &*self.listeners {
            listener.installed(&package);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::endorser::fixture::Sccs;
    use crate::testing::chaincode_package;

    const FILES: &[(&str, &str)] = &[("src/package.json", "{}")];

    struct Told(mpsc::Sender<String>);

    impl InstallListener for Told {
        fn installed(&self, package: &ChaincodePackage) {
            self.0.send(format!("{}:{}", package.name(), package.version())).unwrap();
        }
    }

    fn installer() -> (tempfile::TempDir, Installer, mpsc::Receiver<String>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(PackageStore::open(&folder.path().join("chaincodes")).unwrap());
        let (told, heard) = mpsc::channel();
        let listener: Arc<dyn InstallListener> = Arc::new(Told(told));
        (folder, Installer::new(store, Arc::new(Sccs), [listener]), heard)
    }

    #[tokio::test]
    async fn an_install_that_nobody_waits_for_is_finished() {
        let (_folder, installer, heard) = installer();
        let package = chaincode_package("cc", "1", FILES).unwrap();
        let mut installing = Box::pin(installer.install(package));
        let begun = std::future::poll_fn(|context| Poll::Ready(installing.as_mut().poll(context).is_pending()));
        assert!(begun.await, "it is under way");
        drop(installing);
        assert_eq!(heard.recv_timeout(Duration::from_secs(60)).unwrap(), "cc:1");
        assert_eq!(installer.store.get("cc", "1").unwrap().name(), "cc", "who is told finds it there");
    }

    #[tokio::test]
    async fn of_two_installs_of_a_package_one_succeeds_and_is_told() {
        let (_folder, installer, heard) = installer();
        let package = chaincode_package("cc", "1", FILES).unwrap();
        let (one, other) = tokio::join!(installer.install(package.clone()), installer.install(package));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
        let refused = one.and(other).unwrap_err().to_string();
        assert!(refused.starts_with("error installing chaincode code cc:1(chaincode "), "{refused}");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["cc:1"]);
    }

    #[tokio::test]
    async fn the_first_check_that_fails_is_told_and_nothing_is_written() {
        let (_folder, installer, heard) = installer();
        let refusal = async |name: &str, version: &str, files: &[(&str, &str)]| {
            let package = chaincode_package(name, version, files).unwrap();
            installer.install(package).await.unwrap_err().to_string()
        };
        let (bad_index, stray) = (("META-INF/statedb/a.json", ""), ("elsewhere", ""));
        assert!(refusal("-", "/", &[]).await.starts_with("invalid chaincode name '-'"));
        assert!(refusal("lscc", "/", &[]).await.starts_with("invalid chaincode version '/'"));
        let text = "cannot install: lscc is the name of a system chaincode";
        assert_eq!(refusal("lscc", "1", &[bad_index]).await, text);
        let text = refusal("cc", "1", &[stray, bad_index]).await;
        assert!(text.starts_with("invalid state database artifact: metadata file path must include"), "{text}");
        assert_eq!(refusal("cc", "1", &[stray]).await, "illegal file detected in payload: \"elsewhere\"");
        let text = "no package.json found at the root of the chaincode package";
        assert_eq!(refusal("cc", "1", &[("src/index.js", "")]).await, text);
        assert_eq!((installer.store.list().unwrap(), heard.try_recv().ok()), (Vec::new(), None));
    }
}
