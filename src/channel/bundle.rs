//! One channel's configuration (Fabric: `channelconfig.Bundle`, `ChannelConfig`).
//!
//! Invariant: a bundle never changes and all its parts come of one configuration; another configuration is another
//! bundle.

use std::sync::Arc;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{
    Block, BlockDataHashingStructure, ChannelHeader, Config, ConfigEnvelope, ConfigGroup, Consortium, Envelope,
    HashingAlgorithm, HeaderType, OrdererAddresses, Payload,
};

use super::capabilities::ChannelCapabilities;
use super::organisation::Msps;
use super::update::check_keys_of_tree;
use super::{Application, ChannelError, ConfigError, OrdererSettings, name, values};
use crate::msp::MspManager;
use crate::policies::{PolicyError, PolicyManager};

const APPLICATION: &str = "Application";
const ORDERER: &str = "Orderer";
const CONSORTIUMS: &str = "Consortiums";
const HASHING_ALGORITHM: &str = "HashingAlgorithm";
const HASHING_STRUCTURE: &str = "BlockDataHashingStructure";
const ORDERER_ADDRESSES: &str = "OrdererAddresses";
const CONSORTIUM: &str = "Consortium";
const CAPABILITIES: &str = "Capabilities";

/// A channel's configuration.
#[derive(Clone, Debug)]
pub struct Bundle {
    channel: String,
    config: Config,
    capabilities: ChannelCapabilities,
    application: Option<Application>,
    orderer: Option<OrdererSettings>,
    has_consortiums: bool,
    orderer_addresses: Vec<String>,
    msps: Arc<MspManager>,
    policies: PolicyManager,
}

impl Bundle {
    /// Reads the configuration out of a configuration block.
    ///
    /// # Errors
    /// When the block's first transaction is none of type CONFIG, or as for [`Bundle::from_config`].
    pub fn from_config_block(block: &Block) -> Result<Self, ChannelError> {
        let number = block.header.as_ref().map_or(0, |header| header.number);
        let not_config = |cause: String| ChannelError::NotConfig { number, cause };
        let undecodable = |error: prost::DecodeError| not_config(error.to_string());
        let data = block.data.iter().flat_map(|data| &data.data).next();
        let envelope = Envelope::decode_as_go(data.cloned().unwrap_or_default()).map_err(undecodable)?;
        let payload = Payload::decode_as_go(envelope.payload).map_err(undecodable)?;
        let header =
            ChannelHeader::decode_as_go(payload.header.unwrap_or_default().channel_header).map_err(undecodable)?;
        if header.r#type != HeaderType::Config as i32 {
            return Err(not_config(format!("its first transaction is of type {}", header.r#type)));
        }
        let config = ConfigEnvelope::decode_as_go(payload.data).map_err(undecodable)?.config;
        Self::from_config(&header.channel_id, &config.ok_or_else(|| not_config("it holds no Config".into()))?)
    }

    /// Reads a configuration. Whether this node can do what it asks for is another question:
    /// [`Bundle::check_supported`].
    ///
    /// # Errors
    /// When the channel's name breaks Fabric's rule, or Fabric would not take the tree either.
    pub fn from_config(channel: &str, config: &Config) -> Result<Self, ChannelError> {
        name::check_channel(channel)?;
        Self::read(channel, config).map_err(|source| ChannelError::Config { channel: channel.to_owned(), source })
    }

    fn read(channel: &str, config: &Config) -> Result<Self, ConfigError> {
        let root = config.channel_group.as_ref().ok_or(ConfigError::NoChannelGroup)?;
        check_capabilities_together(root)?;
        let wrap = |source| ConfigError::Channel(Box::new(source));
        let (capabilities, orderer_addresses) = read_root(root).map_err(wrap)?;
        let mut msps = Msps::new(capabilities.msp_version());
        let application = root.groups.get(APPLICATION).map(|group| Application::read(group, &mut msps));
        let application = application.transpose().map_err(|source| in_group(APPLICATION, source)).map_err(wrap)?;
        let orderer = root.groups.get(ORDERER).map(|group| OrdererSettings::read(group, &mut msps, &capabilities));
        let orderer = orderer.transpose().map_err(|source| in_group(ORDERER, source)).map_err(wrap)?;
        let msps = Arc::new(msps.into_manager());
        let policies = PolicyManager::new(root, &msps)?;
        check_keys_of_tree(root)?;
        Ok(Self {
            channel: channel.to_owned(),
            config: config.clone(),
            capabilities,
            application,
            orderer,
            has_consortiums: root.groups.contains_key(CONSORTIUMS),
            orderer_addresses,
            msps,
            policies,
        })
    }

    /// Whether this node can serve the channel: it has peers, and asks for nothing that this node lacks.
    ///
    /// # Errors
    /// What is missing.
    pub fn check_supported(&self) -> Result<(), ChannelError> {
        let channel = || self.channel.clone();
        let incompatible = |source| ChannelError::Incompatible { channel: channel(), source };
        let application =
            self.application.as_ref().ok_or_else(|| ChannelError::NoApplication { channel: channel() })?;
        application.capabilities().check_supported().map_err(incompatible)?;
        self.capabilities.check_supported().map_err(incompatible)
    }

    /// The channel's name.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The configuration that this was read from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many times the configuration was changed.
    pub fn sequence(&self) -> u64 {
        self.config.sequence
    }

    /// What the channel asks of everybody.
    pub fn capabilities(&self) -> &ChannelCapabilities {
        &self.capabilities
    }

    /// What the configuration says about peers; none for a channel that has none.
    pub fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// What the configuration says about the ordering service.
    pub fn orderer(&self) -> Option<&OrdererSettings> {
        self.orderer.as_ref()
    }

    /// Whether the channel is one that others are made from.
    pub(super) fn has_consortiums(&self) -> bool {
        self.has_consortiums
    }

    /// The MSPs of all organisations of the channel.
    pub fn msps(&self) -> &Arc<MspManager> {
        &self.msps
    }

    /// The names of the application organisations' MSPs.
    pub fn application_msps(&self) -> impl Iterator<Item = &str> {
        let organisations = self.application.iter().flat_map(|application| application.organisations().values());
        organisations.map(|organisation| organisation.mspid.as_str())
    }

    /// The absolute path of the policy that the configuration names for `resource`; none where the default one counts.
    pub fn acl(&self, resource: &str) -> Option<&str> {
        self.application.as_ref()?.acls().get(resource).map(String::as_str)
    }

    /// The channel's policies.
    pub fn policies(&self) -> &PolicyManager {
        &self.policies
    }

    /// The policies that Fabric expects on every channel and that this one lacks. Without them requests are refused.
    pub fn missing_policies(&self) -> Vec<String> {
        let root = ["Readers", "Writers"].map(|policy| format!("/Channel/{policy}"));
        let of = |group: &str, names: &[&str]| -> Vec<String> {
            names.iter().map(|policy| format!("/Channel/{group}/{policy}")).collect()
        };
        let application = self.application.iter().flat_map(|_| of(APPLICATION, &["Readers", "Writers", "Admins"]));
        let orderer =
            self.orderer.iter().flat_map(|_| of(ORDERER, &["BlockValidation", "Admins", "Writers", "Readers"]));
        let expected = root.into_iter().chain(application).chain(orderer);
        expected.filter(|path| matches!(self.policies.policy(path), Err(PolicyError::Unknown(_)))).collect()
    }

    /// Where the channel's ordering service listens, as `host:port`. Where an ordering organisation names endpoints of
    /// its own, those count instead: [`super::OrdererOrganisation::endpoints`].
    pub fn orderer_addresses(&self) -> &[String] {
        &self.orderer_addresses
    }
}

fn in_group(group: &'static str, source: ConfigError) -> ConfigError {
    ConfigError::Group { group, source: Box::new(source) }
}

/// Who asks for capabilities of the channel or of its peers has to ask the ordering service first: one that looks at no
/// capabilities would not see them.
fn check_capabilities_together(root: &ConfigGroup) -> Result<(), ConfigError> {
    let names_some = |group: &ConfigGroup| group.values.contains_key(CAPABILITIES);
    let Some(orderer) = root.groups.get(ORDERER) else { return Ok(()) };
    if names_some(orderer) {
        return Ok(());
    }
    if names_some(root) {
        return Err(ConfigError::CapabilitiesWithoutOrderer("channel"));
    }
    if root.groups.get(APPLICATION).is_some_and(names_some) {
        return Err(ConfigError::CapabilitiesWithoutOrderer("application"));
    }
    Ok(())
}

/// The values of the root, and the names of the groups in it.
fn read_root(root: &ConfigGroup) -> Result<(ChannelCapabilities, Vec<String>), ConfigError> {
    values::check_keys(root, &[HASHING_ALGORITHM, HASHING_STRUCTURE, ORDERER_ADDRESSES, CONSORTIUM, CAPABILITIES])?;
    let hash: HashingAlgorithm = values::read(root, HASHING_ALGORITHM)?;
    let structure: BlockDataHashingStructure = values::read(root, HASHING_STRUCTURE)?;
    let addresses: OrdererAddresses = values::read(root, ORDERER_ADDRESSES)?;
    let _: Consortium = values::read(root, CONSORTIUM)?;
    let capabilities = ChannelCapabilities::new(values::read(root, CAPABILITIES)?);
    // Fabric takes the second as well, and hashes blocks with SHA-256 whatever stands here.
    if !matches!(hash.name.as_str(), "SHA256" | "SHA3_256") {
        return Err(ConfigError::HashingAlgorithm(hash.name));
    }
    if structure.width != u32::MAX {
        return Err(ConfigError::HashingWidth);
    }
    if addresses.addresses.is_empty() && !capabilities.org_specific_orderer_endpoints() {
        return Err(ConfigError::NoOrdererAddresses);
    }
    match root.groups.keys().find(|name| ![APPLICATION, ORDERER, CONSORTIUMS].contains(&name.as_str())) {
        None => Ok((capabilities, addresses.addresses)),
        Some(name) => Err(ConfigError::UnknownGroup(name.clone())),
    }
}

#[cfg(test)]
mod tests;
