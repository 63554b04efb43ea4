//! The capability `policies` as the sandbox imports it.

use super::bindings::selvedge::peer::policies;
use super::imports::Imports;
use crate::{ChannelCapabilities, CollectionsError};

impl Imports {
    pub(crate) fn channel_capabilities(&self) -> Result<ChannelCapabilities, String> {
        let policies::ApplicationCapabilities { private_channel_data, collection_upgrade } = policies::capabilities()?;
        Ok(ChannelCapabilities { private_channel_data, collection_upgrade })
    }

    pub(crate) fn default_endorsement(&self) -> Result<Vec<u8>, String> {
        policies::default_endorsement()
    }

    pub(crate) fn check_instantiation(&self, policy: &[u8]) -> Result<(), String> {
        policies::check_instantiation(policy)
    }

    pub(crate) fn check_collections(&self, collections: &[u8]) -> Result<(), CollectionsError> {
        policies::check_collections(collections).map_err(|error| match error {
            policies::CollectionsError::Undecodable => CollectionsError::Undecodable,
            policies::CollectionsError::Refused(reason) => CollectionsError::Refused(reason),
        })
    }
}
