//! The capabilities `access-control`, `packages` and `package-admin` as the sandbox imports them.

use super::bindings::selvedge::peer::{access_control, package_admin, packages};
use super::imports::Imports;
use crate::{
    AccessQuery, Blob, ChaincodePackage, InstallError, InstalledPackage, LocalPolicy, PackageDefinition,
    PackageDescription, PackageError, PackageForm,
};

impl Imports {
    pub(crate) fn access(&self, query: AccessQuery<'_>) -> Result<(), String> {
        match query {
            AccessQuery::Resource { resource, channel } => access_control::check(resource, channel),
            AccessQuery::Local(LocalPolicy::Admins) => access_control::check_local(access_control::LocalPolicy::Admins),
            AccessQuery::Local(LocalPolicy::Members) => {
                access_control::check_local(access_control::LocalPolicy::Members)
            }
        }
    }

    pub(crate) fn list_packages(&self) -> Result<Vec<InstalledPackage>, PackageError> {
        let installed = packages::list().map_err(refused)?;
        let package = |packages::Installed { name, version, path, id }| InstalledPackage { name, version, path, id };
        Ok(installed.into_iter().map(package).collect())
    }

    pub(crate) fn describe_package(
        &self,
        channel: &str,
        name: &str,
        version: &str,
    ) -> Result<PackageDescription, PackageError> {
        let packages::Description { path, input } = packages::describe(channel, name, version).map_err(refused)?;
        Ok(PackageDescription { path, input })
    }

    pub(crate) fn get_package(
        &self,
        channel: &str,
        name: &str,
        version: &str,
    ) -> Result<ChaincodePackage, PackageError> {
        let package = packages::get(channel, name, version).map_err(refused)?;
        Ok(ChaincodePackage {
            name: package.name,
            version: package.version,
            path: package.path,
            form: match package.form {
                packages::Form::Plain => PackageForm::Plain,
                packages::Form::Signed => PackageForm::Signed,
            },
            data: package.data,
            id: package.id,
            deployment_spec: Blob { handle: package.deployment_spec },
        })
    }

    pub(crate) fn package_definition(&self, name: &str, version: &str) -> Result<PackageDefinition, PackageError> {
        let packages::Definition { data, id, instantiation_policy } =
            packages::definition_of(name, version).map_err(refused)?;
        Ok(PackageDefinition { data, id, instantiation_policy })
    }

    pub(crate) fn install_package(&self, package: &Blob) -> Result<(), InstallError> {
        package_admin::install(&package.handle).map_err(|error| match error {
            package_admin::Error::AccessDenied(reason) => InstallError::AccessDenied(reason),
            package_admin::Error::Refused(reason) => InstallError::Refused(reason),
        })
    }
}

fn refused(error: packages::Error) -> PackageError {
    match error {
        packages::Error::AccessDenied(reason) => PackageError::AccessDenied(reason),
        packages::Error::Unavailable(reason) => PackageError::Unavailable(reason),
    }
}
