//! The capability `packages`: the chaincode packages that are installed on this peer (for lscc).
//!
//! Invariant: nothing is told of a package before the creator of the transaction's own signed proposal was found to satisfy
//! the ACL of the function, but that it is not there, which Fabric tells who wants to instantiate it. Code goes to the guest
//! as a handle.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::Message;
use wasmtime::component::Linker;

use super::blocking::Blocking;
use super::check;
use super::policies::check_instantiation;
use crate::chaincode::AccessControl;
use crate::chaincode::packages::{self, ChaincodePackage, Fingerprint, PackageForm, PackageStore};
use crate::channel::Deployments;
use crate::container::wasm::peer_bindings::packages::{Definition, Description, Error, Form, Installed, Package};
use crate::container::wasm::{Capability, InstanceState};

const INTERFACE: &str = "selvedge:peer/packages@0.1.0";

/// Packages that are in memory at a time before a transaction has to answer for them: each may have 100 MiB.
const READERS: usize = 2;

/// The channel on which access is checked, name and version.
type Asked = (String, String, String);

/// The host side of `selvedge:peer/packages`.
#[derive(Clone)]
pub struct PackagesCapability {
    store: Arc<PackageStore>,
    access: Arc<dyn AccessControl>,
    deployments: Deployments,
    readers: Blocking,
}

impl PackagesCapability {
    /// Reads from this store, as far as `access` lets the creator of a proposal, and the instantiation policies on the channels
    /// of `deployments`.
    pub fn new(store: Arc<PackageStore>, access: Arc<dyn AccessControl>, deployments: Deployments) -> Self {
        Self { store, access, deployments, readers: Blocking::new(READERS) }
    }

    fn check(&self, state: &InstanceState, resource: &str, channel: &str) -> Result<(), Error> {
        check(&*self.access, state, resource, channel).map_err(Error::AccessDenied)
    }

    /// Asks the store, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&PackageStore) -> Result<T, packages::PackageError> + Send + 'static,
    ) -> Result<T, Error> {
        let store = Arc::clone(&self.store);
        let reading = self.readers.run(move || read(&store).map_err(|error| Error::Unavailable(error.to_string())));
        reading.await.unwrap_or_else(|| Err(Error::Unavailable("reading chaincode packages panicked".to_owned())))
    }

    async fn list(&self, state: &mut InstanceState) -> wasmtime::Result<Result<Vec<Installed>, Error>> {
        if let Err(denied) = self.check(state, "lscc/GetInstalledChaincodes", "") {
            return Ok(Err(denied));
        }
        let installed = |package: packages::Installed| Installed {
            name: package.name,
            version: package.version,
            path: package.path,
            id: package.id.to_vec(),
        };
        let list = state.wait_for(self.read(PackageStore::list)).await?;
        Ok(list.map(|list| list.into_iter().map(installed).collect()))
    }

    async fn describe(
        &self,
        state: &mut InstanceState,
        (channel, name, version): Asked,
    ) -> wasmtime::Result<Result<Description, Error>> {
        if let Err(denied) = self.check(state, "lscc/GetInstantiatedChaincodes", &channel) {
            return Ok(Err(denied));
        }
        let description = self.read(move |store| {
            let package = store.get(&name, &version)?;
            let input = package.input().map(Message::encode_to_vec);
            Ok(Description { path: package.path().to_owned(), input })
        });
        state.wait_for(description).await
    }

    async fn get(
        &self,
        state: &mut InstanceState,
        (channel, name, version): Asked,
    ) -> wasmtime::Result<Result<Package, Error>> {
        if let Err(denied) = self.check(state, "lscc/GetDeploymentSpec", &channel) {
            return Ok(Err(denied));
        }
        let hashed = self.read(move |store| {
            let package = store.get(&name, &version)?;
            let (fingerprint, spec) = (package.fingerprint(), spec(&package));
            Ok((package, fingerprint, spec))
        });
        let (package, fingerprint, spec) = match state.wait_for(hashed).await? {
            Ok(hashed) => hashed,
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok(Package {
            name: package.name().to_owned(),
            version: package.version().to_owned(),
            path: package.path().to_owned(),
            form: match package.form() {
                PackageForm::Plain => Form::Plain,
                PackageForm::Signed => Form::Signed,
            },
            data: fingerprint.data.to_vec(),
            id: fingerprint.id.to_vec(),
            deployment_spec: state.push_blob(spec)?,
        }))
    }

    /// Fabric's order: the package, then its policy.
    async fn definition(
        &self,
        state: &mut InstanceState,
        (name, version): (String, String),
    ) -> wasmtime::Result<Result<Definition, Error>> {
        let asked = (name.clone(), version.clone());
        let hashed = self.read(move |store| {
            let package = store.get(&asked.0, &asked.1)?;
            let own = package.name() == asked.0 && package.version() == asked.1;
            // The code does not have to wait for the rest.
            let policy = package.instantiation_policy().map(|policy| Bytes::copy_from_slice(policy));
            Ok(own.then(|| (package.fingerprint(), policy)))
        });
        let (Fingerprint { data, id }, policy) = match state.wait_for(hashed).await? {
            Ok(Some(hashed)) => hashed,
            Ok(None) => {
                return Ok(Err(Error::Unavailable(format!("{name}.{version} is the package of another chaincode"))));
            }
            Err(error) => return Ok(Err(error)),
        };
        let checked = check_instantiation(&self.deployments, state, policy).map_err(Error::AccessDenied);
        Ok(checked.map(|policy| Definition {
            data: data.to_vec(),
            id: id.to_vec(),
            instantiation_policy: policy.to_vec(),
        }))
    }
}

/// The deployment spec of a package, as bytes that hold nothing else in memory: a transaction answers for their length.
fn spec(package: &ChaincodePackage) -> Bytes {
    match package.form() {
        PackageForm::Plain => package.deployment_spec().clone(),
        // A part of the file, of which everything around it may be the most.
        PackageForm::Signed => Bytes::copy_from_slice(package.deployment_spec()),
    }
}

impl Capability for PackagesCapability {
    fn name(&self) -> &str {
        "packages"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let this = self.clone();
        interface.func_wrap_async("list", move |mut store, (): ()| {
            let this = this.clone();
            Box::new(async move { Ok((this.list(store.data_mut()).await?,)) })
        })?;
        let this = self.clone();
        interface.func_wrap_async("describe", move |mut store, asked: Asked| {
            let this = this.clone();
            Box::new(async move { Ok((this.describe(store.data_mut(), asked).await?,)) })
        })?;
        let this = self.clone();
        interface.func_wrap_async("get", move |mut store, asked: Asked| {
            let this = this.clone();
            Box::new(async move { Ok((this.get(store.data_mut(), asked).await?,)) })
        })?;
        let this = self.clone();
        interface.func_wrap_async("definition-of", move |mut store, asked: (String, String)| {
            let this = this.clone();
            Box::new(async move { Ok((this.definition(store.data_mut(), asked).await?,)) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_keeps_no_more_in_memory_than_it_is_long() {
        let golden = |file: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4/packages").join(file);
            Bytes::from(std::fs::read(path).unwrap())
        };
        for (file, form) in [("kv-1.cds", PackageForm::Plain), ("signedcc-7.scds", PackageForm::Signed)] {
            let bytes = golden(file);
            let package = ChaincodePackage::parse_installed(&bytes).unwrap();
            let spec = spec(&package);
            assert_eq!((package.form(), &spec), (form, package.deployment_spec()));
            let within = bytes.as_ptr_range().contains(&spec.as_ptr());
            assert!(!within || spec.len() == bytes.len(), "{file}");
        }
    }
}
