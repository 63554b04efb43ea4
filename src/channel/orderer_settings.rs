//! What a channel's configuration says about its ordering service (Fabric: `channelconfig.OrdererConfig`).

use std::collections::BTreeMap;
use std::time::Duration;

use selvedge_proto::common::{
    BatchSize, BatchTimeout, ChannelRestrictions, ConfigGroup, ConsensusType, KafkaBrokers, OrdererAddresses,
    consensus_type,
};

use super::capabilities::{ChannelCapabilities, OrdererCapabilities};
use super::organisation::{MSP, Msps};
use super::{ConfigError, values};
use crate::config::parse_duration;

const CONSENSUS_TYPE: &str = "ConsensusType";
const BATCH_SIZE: &str = "BatchSize";
const BATCH_TIMEOUT: &str = "BatchTimeout";
const KAFKA_BROKERS: &str = "KafkaBrokers";
const CHANNEL_RESTRICTIONS: &str = "ChannelRestrictions";
const CAPABILITIES: &str = "Capabilities";
const ENDPOINTS: &str = "Endpoints";

/// The group `/Channel/Orderer`.
#[derive(Clone, Debug)]
pub struct OrdererSettings {
    consensus: ConsensusType,
    batch_size: BatchSize,
    batch_timeout: Duration,
    max_channels: u64,
    capabilities: OrdererCapabilities,
    organisations: BTreeMap<String, OrdererOrganisation>,
}

/// An organisation that runs orderers of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdererOrganisation {
    /// The id of its MSP.
    pub mspid: String,
    /// Where its orderers listen, as `host:port`. Where any organisation names some, they take the place of the
    /// channel's orderer addresses.
    pub endpoints: Vec<String>,
}

impl OrdererSettings {
    pub(super) fn read(
        group: &ConfigGroup,
        msps: &mut Msps,
        channel: &ChannelCapabilities,
    ) -> Result<Self, ConfigError> {
        values::check_keys(
            group,
            &[CONSENSUS_TYPE, BATCH_SIZE, BATCH_TIMEOUT, KAFKA_BROKERS, CHANNEL_RESTRICTIONS, CAPABILITIES],
        )?;
        let consensus = values::read(group, CONSENSUS_TYPE)?;
        let batch_size: BatchSize = values::read(group, BATCH_SIZE)?;
        let timeout: BatchTimeout = values::read(group, BATCH_TIMEOUT)?;
        let brokers: KafkaBrokers = values::read(group, KAFKA_BROKERS)?;
        let restrictions: ChannelRestrictions = values::read(group, CHANNEL_RESTRICTIONS)?;
        let capabilities = OrdererCapabilities::new(values::read(group, CAPABILITIES)?);
        check_batch_size(&batch_size)?;
        let batch_timeout = read_timeout(&timeout.timeout)?;
        if let Some(broker) = brokers.brokers.into_iter().find(|broker| !is_broker(broker)) {
            return Err(ConfigError::Broker(broker));
        }
        let mut organisations = BTreeMap::new();
        for (name, organisation) in &group.groups {
            organisations.insert(name.clone(), OrdererOrganisation::read(name, organisation, msps, channel)?);
        }
        let max_channels = restrictions.max_count;
        Ok(Self { consensus, batch_size, batch_timeout, max_channels, capabilities, organisations })
    }

    /// The type of consensus: `solo`, `kafka`, `etcdraft`.
    pub fn consensus_type(&self) -> &str {
        &self.consensus.r#type
    }

    /// Whether the ordering service works or is being migrated. A number that nobody knows counts as the former.
    pub fn consensus_state(&self) -> consensus_type::State {
        self.consensus.state()
    }

    /// When a block is full.
    pub fn batch_size(&self) -> &BatchSize {
        &self.batch_size
    }

    /// How long a transaction waits for others; more than zero.
    pub fn batch_timeout(&self) -> Duration {
        self.batch_timeout
    }

    /// How many channels the ordering service carries; 0 is any number.
    pub fn max_channels(&self) -> u64 {
        self.max_channels
    }

    /// What the channel asks of its ordering service.
    pub fn capabilities(&self) -> &OrdererCapabilities {
        &self.capabilities
    }

    /// The organisations by the names of their groups.
    pub fn organisations(&self) -> &BTreeMap<String, OrdererOrganisation> {
        &self.organisations
    }
}

impl OrdererOrganisation {
    fn read(
        name: &str,
        group: &ConfigGroup,
        msps: &mut Msps,
        channel: &ChannelCapabilities,
    ) -> Result<Self, ConfigError> {
        if !group.groups.is_empty() {
            return Err(ConfigError::SubGroups("OrdererOrg"));
        }
        if group.values.contains_key(ENDPOINTS) && !channel.org_specific_orderer_endpoints() {
            return Err(ConfigError::EndpointsWithoutCapability(name.to_owned()));
        }
        values::check_keys(group, &[ENDPOINTS, MSP])?;
        let endpoints: OrdererAddresses = values::read(group, ENDPOINTS)?;
        Ok(Self { mspid: msps.add(name, group)?, endpoints: endpoints.addresses })
    }
}

fn check_batch_size(size: &BatchSize) -> Result<(), ConfigError> {
    let values = [
        ("max message count", size.max_message_count),
        ("absolute max bytes", size.absolute_max_bytes),
        ("preferred max bytes", size.preferred_max_bytes),
    ];
    if let Some((name, _)) = values.into_iter().find(|(_, value)| *value == 0) {
        return Err(ConfigError::BatchSize(name));
    }
    let (preferred, absolute) = (size.preferred_max_bytes, size.absolute_max_bytes);
    if preferred > absolute { Err(ConfigError::PreferredBytes { preferred, absolute }) } else { Ok(()) }
}

fn read_timeout(text: &str) -> Result<Duration, ConfigError> {
    let refuse = |cause: &str| ConfigError::BatchTimeout { value: text.to_owned(), cause: cause.to_owned() };
    if text.chars().any(char::is_whitespace) {
        return Err(refuse("has white space in it"));
    }
    match parse_duration(text) {
        Err(cause) => Err(refuse(cause)),
        Ok(Duration::ZERO) => Err(ConfigError::NoBatchTimeout),
        Ok(timeout) => Ok(timeout),
    }
}

/// `host:port`, as strict as Fabric: letters, digits, dots and hyphens, the last two not at the ends.
fn is_broker(broker: &str) -> bool {
    let Some((host, port)) = broker.split_once(':') else { return false };
    let ends_well = |c: char| c.is_ascii_alphanumeric();
    let allowed = host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
    let is_port = port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok();
    allowed && host.starts_with(ends_well) && host.ends_with(ends_well) && is_port
}
