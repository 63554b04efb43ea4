//! The organisations of a channel and their MSPs (Fabric: `channelconfig.OrganizationConfig`, `MSPConfigHandler`).
//!
//! Invariant: an MSP's name stands for one definition on a channel, in however many groups it occurs.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_proto::common::{ConfigGroup, MspConfig};

use super::{ConfigError, values};
use crate::msp::{Msp, MspManager, MspVersion};

/// The key of an organisation's MSP.
pub(super) const MSP: &str = "MSP";

/// The MSPs met so far.
pub(super) struct Msps {
    version: MspVersion,
    by_id: BTreeMap<String, (MspConfig, Arc<Msp>)>,
}

impl Msps {
    /// None yet, of a channel whose MSPs follow the rules of `version`.
    pub(super) fn new(version: MspVersion) -> Self {
        Self { version, by_id: BTreeMap::new() }
    }

    /// Reads the MSP of the organisation `name`; returns the MSP's id.
    pub(super) fn add(&mut self, name: &str, group: &ConfigGroup) -> Result<String, ConfigError> {
        let config: MspConfig = values::read(group, MSP)?;
        if let Some((_, (_, msp))) = self.by_id.iter().find(|(_, (known, _))| *known == config) {
            return Ok(msp.id().to_owned());
        }
        let msp = Msp::from_config_value(&config, self.version)
            .map_err(|source| ConfigError::Msp { organisation: name.to_owned(), source: Box::new(source) })?;
        let id = msp.id().to_owned();
        if self.by_id.contains_key(&id) {
            return Err(ConfigError::TwoMsps(id));
        }
        self.by_id.insert(id.clone(), (config, Arc::new(msp)));
        Ok(id)
    }

    /// All of them.
    pub(super) fn into_manager(self) -> MspManager {
        MspManager::new(self.by_id.into_values().map(|(_, msp)| msp))
    }
}
