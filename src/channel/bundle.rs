//! One channel's configuration (Fabric: `channelconfig.Bundle`), and the newest of every channel (`peer.channels`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use prost::Message;
use selvedge_proto::common::{
    Block, ChannelHeader, Config, ConfigEnvelope, ConfigGroup, Envelope, HeaderType, MspConfig, OrdererAddresses,
    Payload,
};

use super::ChannelError;
use crate::msp::{Identity, Msp, MspManager};
use crate::policies::{PolicyError, PolicyManager};

const APPLICATION: &str = "Application";
const ORDERER: &str = "Orderer";
const MSP: &str = "MSP";

/// What is asked about a channel while proposals, blocks and streams are checked.
pub trait ChannelResources: Send + Sync {
    /// The MSPs of the channel's organisations; none if this peer has not joined it.
    fn msp_manager(&self, channel: &str) -> Option<Arc<MspManager>>;

    /// The names of the application organisations' MSPs; empty if this peer has not joined the channel.
    fn application_msps(&self, channel: &str) -> BTreeSet<String>;

    /// Whether `signers`, none of them twice and all verified, satisfy the policy at `path`
    /// (`/Channel/Application/Readers`).
    ///
    /// # Errors
    /// [`PolicyError`] when they do not, or there is no such policy.
    fn evaluate(&self, channel: &str, path: &str, signers: &[Identity]) -> Result<(), PolicyError>;
}

/// A channel's configuration.
#[derive(Clone, Debug)]
pub struct Bundle {
    channel: String,
    sequence: u64,
    msps: Arc<MspManager>,
    application_msps: BTreeSet<String>,
    policies: PolicyManager,
    orderer_addresses: Vec<String>,
}

impl Bundle {
    /// Reads the configuration out of a configuration block.
    ///
    /// # Errors
    /// When the block's first transaction is none of type CONFIG, or an organisation's MSP or a policy cannot be used.
    pub fn from_config_block(block: &Block) -> Result<Self, ChannelError> {
        let number = block.header.as_ref().map_or(0, |header| header.number);
        let not_config = |cause: String| ChannelError::NotConfig { number, cause };
        let undecodable = |error: prost::DecodeError| not_config(error.to_string());
        let data = block.data.iter().flat_map(|data| &data.data).next();
        let envelope = Envelope::decode(data.cloned().unwrap_or_default()).map_err(undecodable)?;
        let payload = Payload::decode(envelope.payload).map_err(undecodable)?;
        let header = ChannelHeader::decode(payload.header.unwrap_or_default().channel_header).map_err(undecodable)?;
        if header.r#type != HeaderType::Config as i32 {
            return Err(not_config(format!("its first transaction is of type {}", header.r#type)));
        }
        let config = ConfigEnvelope::decode(payload.data).map_err(undecodable)?.config;
        Self::from_config(&header.channel_id, &config.ok_or_else(|| not_config("it holds no Config".into()))?)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// When an organisation's MSP or a policy cannot be used.
    pub fn from_config(channel: &str, config: &Config) -> Result<Self, ChannelError> {
        let root = config.channel_group.clone().unwrap_or_default();
        let mut msps = Vec::new();
        let mut application_msps = BTreeSet::new();
        for group_name in [APPLICATION, ORDERER] {
            for (organisation, group) in root.groups.get(group_name).iter().flat_map(|group| &group.groups) {
                let msp = read_msp(group).map_err(|source| ChannelError::Organisation {
                    channel: channel.to_owned(),
                    organisation: organisation.clone(),
                    source,
                })?;
                if group_name == APPLICATION {
                    application_msps.insert(msp.id().to_owned());
                }
                msps.push(Arc::new(msp));
            }
        }
        let orderer_addresses = root
            .values
            .get("OrdererAddresses")
            .and_then(|value| OrdererAddresses::decode(value.value.clone()).ok())
            .unwrap_or_default()
            .addresses;
        let msps = Arc::new(MspManager::new(msps));
        let policies = PolicyManager::new(&root, &msps)
            .map_err(|source| ChannelError::Policy { channel: channel.to_owned(), source })?;
        let (channel, sequence) = (channel.to_owned(), config.sequence);
        Ok(Self { channel, sequence, msps, application_msps, policies, orderer_addresses })
    }

    /// The channel's name.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// How many times the configuration was changed.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The MSPs of all organisations of the channel.
    pub fn msps(&self) -> &Arc<MspManager> {
        &self.msps
    }

    /// The names of the application organisations' MSPs, sorted.
    pub fn application_msps(&self) -> impl Iterator<Item = &str> {
        self.application_msps.iter().map(String::as_str)
    }

    /// The channel's policies.
    pub fn policies(&self) -> &PolicyManager {
        &self.policies
    }

    /// Where the channel's ordering service listens, as `host:port`.
    pub fn orderer_addresses(&self) -> &[String] {
        &self.orderer_addresses
    }
}

fn read_msp(group: &ConfigGroup) -> Result<Msp, crate::msp::MspError> {
    let value = group.values.get(MSP).map(|value| value.value.clone()).unwrap_or_default();
    let config = MspConfig::decode(value).map_err(|error| crate::msp::MspError::Definition {
        mspid: "of a channel configuration".into(),
        cause: error.to_string(),
    })?;
    Msp::from_config_value(&config)
}

/// The newest configuration of each channel that the peer has joined.
#[derive(Debug, Default)]
pub struct Channels {
    bundles: RwLock<BTreeMap<String, Arc<Bundle>>>,
}

impl Channels {
    /// Adds a channel, or replaces its configuration.
    pub fn put(&self, bundle: Bundle) {
        let mut bundles = self.bundles.write().unwrap_or_else(PoisonError::into_inner);
        bundles.insert(bundle.channel.clone(), Arc::new(bundle));
    }

    /// A channel's configuration.
    pub fn get(&self, channel: &str) -> Option<Arc<Bundle>> {
        self.bundles.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// The names of all channels, sorted.
    pub fn names(&self) -> Vec<String> {
        self.bundles.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl ChannelResources for Channels {
    fn msp_manager(&self, channel: &str) -> Option<Arc<MspManager>> {
        self.get(channel).map(|bundle| Arc::clone(&bundle.msps))
    }

    fn application_msps(&self, channel: &str) -> BTreeSet<String> {
        self.get(channel).map(|bundle| bundle.application_msps.clone()).unwrap_or_default()
    }

    fn evaluate(&self, channel: &str, path: &str, signers: &[Identity]) -> Result<(), PolicyError> {
        match self.get(channel) {
            Some(bundle) => bundle.policies.evaluate(path, signers),
            None => Err(PolicyError::Unknown(path.to_owned())),
        }
    }
}
