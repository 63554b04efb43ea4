//! The capabilities of system chaincodes outside the sandbox: the mock plays them, a native chaincode has none, because
//! there is no ChaincodeMessage for them.

use crate::peer::Peer;
use crate::{
    AccessQuery, Blob, ChaincodePackage, ChannelCapabilities, ChannelError, ChannelQuery, CollectionsError,
    InstallError, InstalledPackage, JoinError, PackageDefinition, PackageDescription, PackageError,
};

/// What a native chaincode is told.
pub(crate) const NONE: &str = "the peer's capabilities are there for system chaincodes in its sandbox only; a native chaincode can ask lscc, cscc \
     and qscc with invoke_chaincode";

impl dyn Peer {
    pub(crate) fn access(&self, query: AccessQuery<'_>) -> Result<(), String> {
        self.mock().ok_or(NONE)?.access(query)
    }

    pub(crate) fn list_packages(&self) -> Result<Vec<InstalledPackage>, PackageError> {
        self.mock().ok_or_else(no_package)?.list_packages()
    }

    pub(crate) fn describe_package(
        &self,
        channel: &str,
        name: &str,
        version: &str,
    ) -> Result<PackageDescription, PackageError> {
        self.mock().ok_or_else(no_package)?.describe_package(channel, name, version)
    }

    pub(crate) fn get_package(
        &self,
        channel: &str,
        name: &str,
        version: &str,
    ) -> Result<ChaincodePackage, PackageError> {
        self.mock().ok_or_else(no_package)?.get_package(channel, name, version)
    }

    pub(crate) fn package_definition(&self, name: &str, version: &str) -> Result<PackageDefinition, PackageError> {
        self.mock().ok_or_else(no_package)?.package_definition(name, version)
    }

    pub(crate) fn install_package(&self, package: &Blob) -> Result<(), InstallError> {
        self.mock().ok_or_else(|| InstallError::Refused(NONE.to_owned()))?.install_package(package)
    }

    pub(crate) fn channel_capabilities(&self) -> Result<ChannelCapabilities, String> {
        self.mock().ok_or(NONE)?.channel_capabilities()
    }

    pub(crate) fn default_endorsement(&self) -> Result<Vec<u8>, String> {
        self.mock().ok_or(NONE)?.default_endorsement()
    }

    pub(crate) fn check_instantiation(&self, policy: &[u8]) -> Result<(), String> {
        self.mock().ok_or(NONE)?.check_instantiation(policy)
    }

    pub(crate) fn check_collections(&self, collections: &[u8]) -> Result<(), CollectionsError> {
        self.mock().ok_or_else(|| CollectionsError::Refused(NONE.to_owned()))?.check_collections(collections)
    }

    pub(crate) fn channel_config(&self, query: ChannelQuery<'_>) -> Result<Blob, ChannelError> {
        self.mock().ok_or_else(no_channel)?.channel_config(query)
    }

    pub(crate) fn simulate_config_update(&self, channel: &str, update: &Blob) -> Result<(), ChannelError> {
        self.mock().ok_or_else(no_channel)?.simulate_config_update(channel, update)
    }

    pub(crate) fn join_channel(&self, genesis: &Blob) -> Result<(), JoinError> {
        self.mock().ok_or_else(|| JoinError::Refused(NONE.to_owned()))?.join_channel(genesis)
    }
}

fn no_package() -> PackageError {
    PackageError::Unavailable(NONE.to_owned())
}

fn no_channel() -> ChannelError {
    ChannelError::Refused(NONE.to_owned())
}
