//! The capabilities `access-control`, `packages` and `package-admin` on the mock: everything is allowed, nothing is
//! installed and every install succeeds, until a test says otherwise. As on a peer, the other capabilities ask for the caller's rights themselves, and in an INIT nobody
//! has any.

use std::rc::Rc;

use super::transaction::Entry;
use super::{MockStub, Transaction};
use crate::{
    AccessQuery, Blob, ChaincodePackage, InstallError, InstalledPackage, LocalPolicy, PackageDefinition,
    PackageDescription, PackageError, PackageForm,
};

pub(super) type AccessAnswer = Rc<dyn Fn(AccessQuery<'_>) -> Result<(), String>>;
pub(super) type InstallAnswer = Rc<dyn Fn(&[u8]) -> Result<(), String>>;

/// A package on the mock's peer.
#[derive(Debug, Clone)]
pub struct MockPackage {
    /// The chaincode's name.
    pub name: String,
    /// The chaincode's version.
    pub version: String,
    /// Where the source was.
    pub path: String,
    /// A marshalled `ChaincodeInput`.
    pub input: Option<Vec<u8>>,
    /// How it is made.
    pub form: PackageForm,
    /// A marshalled `CDSData` or `SignedCDSData`.
    pub data: Vec<u8>,
    /// The fingerprint.
    pub id: Vec<u8>,
    /// The marshalled ChaincodeDeploymentSpec.
    pub deployment_spec: Vec<u8>,
    /// The marshalled instantiation policy of a signed package; none for one that leaves it to the channel.
    pub instantiation_policy: Option<Vec<u8>>,
}

impl MockStub {
    /// Who may what, in every capability. Without it everybody may everything.
    pub fn on_access(&self, answer: impl Fn(AccessQuery<'_>) -> Result<(), String> + 'static) {
        self.peer.access.replace(Some(Rc::new(answer)));
    }

    /// Installs a package as the file `name.version`, whatever the package says of itself.
    pub fn install(&self, name: &str, version: &str, package: MockPackage) {
        self.peer.packages.borrow_mut().insert((name.to_owned(), version.to_owned()), package);
    }

    /// What comes of installing these bytes, for who may. Without it every install succeeds.
    pub fn on_install(&self, answer: impl Fn(&[u8]) -> Result<(), String> + 'static) {
        self.peer.installs.replace(Some(Rc::new(answer)));
    }
}

impl Transaction {
    pub(crate) fn access(&self, query: AccessQuery<'_>) -> Result<(), String> {
        if self.entry == Entry::Init {
            return Err("there is no signed proposal".to_owned());
        }
        let answer = self.peer.access.borrow().clone();
        answer.map_or(Ok(()), |answer| answer(query))
    }

    pub(crate) fn list_packages(&self) -> Result<Vec<InstalledPackage>, PackageError> {
        self.access(AccessQuery::Local(LocalPolicy::Admins)).map_err(PackageError::AccessDenied)?;
        let packages = self.peer.packages.borrow();
        let installed = |package: &MockPackage| InstalledPackage {
            name: package.name.clone(),
            version: package.version.clone(),
            path: package.path.clone(),
            id: package.id.clone(),
        };
        Ok(packages.values().map(installed).collect())
    }

    pub(crate) fn describe_package(
        &self,
        channel: &str,
        name: &str,
        version: &str,
    ) -> Result<PackageDescription, PackageError> {
        let MockPackage { path, input, .. } = self.package("lscc/GetInstantiatedChaincodes", channel, name, version)?;
        Ok(PackageDescription { path, input })
    }

    pub(crate) fn get_package(
        &self,
        channel: &str,
        name: &str,
        version: &str,
    ) -> Result<ChaincodePackage, PackageError> {
        let MockPackage { name, version, path, form, data, id, deployment_spec, .. } =
            self.package("lscc/GetDeploymentSpec", channel, name, version)?;
        let deployment_spec = Blob::from(deployment_spec);
        Ok(ChaincodePackage { name, version, path, form, data, id, deployment_spec })
    }

    pub(crate) fn package_definition(&self, name: &str, version: &str) -> Result<PackageDefinition, PackageError> {
        let MockPackage { data, id, instantiation_policy, .. } = self.installed(name, version)?;
        let default = || self.peer.policies.borrow().default_instantiation.clone();
        let instantiation_policy = instantiation_policy.unwrap_or_else(default);
        self.check_instantiation(&instantiation_policy).map_err(PackageError::AccessDenied)?;
        Ok(PackageDefinition { data, id, instantiation_policy })
    }

    pub(crate) fn install_package(&self, package: &Blob) -> Result<(), InstallError> {
        self.access(AccessQuery::Local(LocalPolicy::Admins)).map_err(InstallError::AccessDenied)?;
        let answer = self.peer.installs.borrow().clone();
        answer.map_or(Ok(()), |answer| answer(&package.bytes)).map_err(InstallError::Refused)
    }

    fn package(&self, resource: &str, channel: &str, name: &str, version: &str) -> Result<MockPackage, PackageError> {
        self.access(AccessQuery::Resource { resource, channel }).map_err(PackageError::AccessDenied)?;
        self.installed(name, version)
    }

    fn installed(&self, name: &str, version: &str) -> Result<MockPackage, PackageError> {
        let packages = self.peer.packages.borrow();
        let missing =
            || PackageError::Unavailable(format!("open chaincodes/{name}.{version}: no such file or directory"));
        packages.get(&(name.to_owned(), version.to_owned())).cloned().ok_or_else(missing)
    }
}
