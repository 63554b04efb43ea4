//! Block 0 of a channel of one organisation (Fabric: `configtxgen -outputBlock`, `common/genesis`).
//!
//! The block holds one CONFIG envelope that nobody signed, because there was nobody to sign it before the channel
//! existed. Its tree is what configtxgen writes for a profile of one application and one ordering organisation, so
//! configtxlator and SDKs can read it.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use prost::Message;
use selvedge_proto::common::{
    BatchSize, BatchTimeout, Block, BlockData, BlockDataHashingStructure, BlockHeader, BlockMetadata, ChannelHeader,
    ChannelRestrictions, Config, ConfigEnvelope, ConfigGroup, ConsensusType, Consortium, Envelope, FabricMspConfig,
    HashingAlgorithm, Header, HeaderType, MspConfig, OrdererAddresses, Payload, SignatureHeader, implicit_meta_policy,
    msp_role::MspRoleType,
};
use selvedge_proto::{EncodeAsGo, Timestamp};
use sha2::{Digest, Sha256};

use super::config_tree::{
    ADMINS, READERS, WRITERS, capability, group, implicit, implicit_policies, signed_by_role, value,
};
use super::{Bundle, ChannelError};

/// The configuration levels of the reference release, Fabric 1.4.
const CHANNEL_CAPABILITY: &str = "V1_4_3";
const ORDERER_CAPABILITY: &str = "V1_4_2";
const APPLICATION_CAPABILITY: &str = "V1_4_2";

const NONCE_LENGTH: usize = 24;
/// Number of slots in a block's metadata.
const METADATA_SLOTS: usize = 5;

/// What the channel's configuration says about ordering.
#[derive(Clone, Debug)]
pub struct OrderingSettings {
    /// Where clients find the ordering service, as `host:port`.
    pub addresses: Vec<String>,
    /// Transactions in a block at most.
    pub max_message_count: u32,
    /// Bytes of a block's transactions at most.
    pub absolute_max_bytes: u32,
    /// Bytes of a block's transactions, unless a single one is larger.
    pub preferred_max_bytes: u32,
    /// How long a transaction waits for others.
    pub batch_timeout: Duration,
}

/// The first block of `channel`, whose only organisation, `organisation`, endorses and orders.
///
/// # Errors
/// When the channel's name breaks Fabric's rule, the settings are none that a channel can have, or the system has no
/// randomness.
pub fn development_block(
    channel: &str,
    organisation: &FabricMspConfig,
    ordering: &OrderingSettings,
) -> Result<Block, ChannelError> {
    let config = Config { sequence: 0, channel_group: Some(channel_group(organisation, ordering)) };
    Bundle::from_config(channel, &config)?;
    let envelope = Envelope {
        payload: Payload {
            header: Some(header(channel)?),
            data: ConfigEnvelope { config: Some(config), last_update: None }.encode_as_go().into(),
        }
        .encode_to_vec()
        .into(),
        ..Envelope::default()
    };
    let transaction = envelope.encode_to_vec();
    Ok(Block {
        header: Some(BlockHeader {
            number: 0,
            data_hash: Sha256::digest(&transaction).to_vec().into(),
            ..BlockHeader::default()
        }),
        data: Some(BlockData { data: vec![transaction.into()] }),
        metadata: Some(BlockMetadata { metadata: vec![Vec::new().into(); METADATA_SLOTS] }),
    })
}

fn header(channel: &str) -> Result<Header, ChannelError> {
    let mut nonce = [0; NONCE_LENGTH];
    rand::fill(&mut nonce).map_err(|_| ChannelError::Random)?;
    let channel_header = ChannelHeader {
        r#type: HeaderType::Config as i32,
        version: 1,
        timestamp: Some(Timestamp::from(SystemTime::now())),
        channel_id: channel.to_owned(),
        // A transaction id is the hash of nonce and creator, and there is no creator.
        tx_id: hex::encode(Sha256::digest(nonce)),
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { nonce: nonce.to_vec().into(), ..SignatureHeader::default() };
    Ok(Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    })
}

/// The name of the consortium in the configuration of a development channel: that of Fabric's sample `configtx.yaml`.
pub const SAMPLE_CONSORTIUM: &str = "SampleConsortium";

fn channel_group(organisation: &FabricMspConfig, ordering: &OrderingSettings) -> ConfigGroup {
    let mut root = ordered_group(organisation, ordering, SAMPLE_CONSORTIUM);
    root.groups.insert("Application".into(), application_group(organisation));
    root
}

/// The root of a channel that `orderers` order, without peers.
pub(super) fn ordered_group(orderers: &FabricMspConfig, ordering: &OrderingSettings, consortium: &str) -> ConfigGroup {
    let mut root = group();
    implicit_policies(&mut root);
    let mut addresses = value(&OrdererAddresses { addresses: ordering.addresses.clone() });
    addresses.mod_policy = "/Channel/Orderer/Admins".into();
    root.values = [
        ("HashingAlgorithm".into(), value(&HashingAlgorithm { name: "SHA256".into() })),
        // The width of a Merkle tree that nobody built: all of a block's data is hashed in one piece.
        ("BlockDataHashingStructure".into(), value(&BlockDataHashingStructure { width: u32::MAX })),
        ("OrdererAddresses".into(), addresses),
        ("Consortium".into(), value(&Consortium { name: consortium.into() })),
        ("Capabilities".into(), capability(CHANNEL_CAPABILITY)),
    ]
    .into();
    root.groups.insert("Orderer".into(), orderer_group(orderers, ordering));
    root
}

fn application_group(organisation: &FabricMspConfig) -> ConfigGroup {
    let mut application = application_policies();
    application.groups.insert(organisation.name.clone(), organisation_group(organisation));
    application
}

/// The group of a channel's peers, without organisations.
pub(super) fn application_policies() -> ConfigGroup {
    let mut application = group();
    implicit_policies(&mut application);
    application.values.insert("Capabilities".into(), capability(APPLICATION_CAPABILITY));
    application
}

fn orderer_group(organisation: &FabricMspConfig, ordering: &OrderingSettings) -> ConfigGroup {
    let mut orderer = group();
    implicit_policies(&mut orderer);
    orderer.policies.insert("BlockValidation".into(), implicit(implicit_meta_policy::Rule::Any, WRITERS));
    orderer.values = [
        ("ConsensusType".into(), value(&ConsensusType { r#type: "solo".into(), ..ConsensusType::default() })),
        (
            "BatchSize".into(),
            value(&BatchSize {
                max_message_count: ordering.max_message_count,
                absolute_max_bytes: ordering.absolute_max_bytes,
                preferred_max_bytes: ordering.preferred_max_bytes,
            }),
        ),
        ("BatchTimeout".into(), value(&BatchTimeout { timeout: go_duration(ordering.batch_timeout) })),
        ("ChannelRestrictions".into(), value(&ChannelRestrictions::default())),
        ("Capabilities".into(), capability(ORDERER_CAPABILITY)),
    ]
    .into();
    orderer.groups.insert(organisation.name.clone(), organisation_group(organisation));
    orderer
}

/// As Go writes it, without losing a part.
fn go_duration(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
        nanos => format!("{nanos}ns"),
    }
}

pub(super) fn organisation_group(organisation: &FabricMspConfig) -> ConfigGroup {
    let mut group = group();
    let mspid = &organisation.name;
    for (name, role) in [
        (READERS, MspRoleType::Member),
        (WRITERS, MspRoleType::Member),
        (ADMINS, MspRoleType::Admin),
        ("Endorsement", MspRoleType::Member),
    ] {
        group.policies.insert(name.into(), signed_by_role(mspid, role));
    }
    let msp = MspConfig { r#type: 0, config: organisation.encode_to_vec().into() };
    group.values.insert("MSP".into(), value(&msp));
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channels;
    use crate::msp::{Signer, SigningIdentity, development, folder};
    use crate::policies::PolicyError;

    fn settings() -> OrderingSettings {
        OrderingSettings {
            addresses: vec!["127.0.0.1:7050".into()],
            max_message_count: 10,
            absolute_max_bytes: 10 << 20,
            preferred_max_bytes: 512 << 10,
            batch_timeout: Duration::from_millis(2000),
        }
    }

    #[test]
    fn the_block_reads_back_as_a_channel_of_the_organisation() {
        let place = tempfile::tempdir().expect("a directory");
        let msp = development::ensure(&place.path().join("d"), "DevMSP").expect("an MSP");
        let organisation = folder::verifying_config(&msp.organisation, "DevMSP").expect("its definition");
        let block = development_block("mychannel", &organisation, &settings()).expect("a block");
        let bundle = Bundle::from_config_block(&block).expect("it is read back");
        assert_eq!(bundle.channel(), "mychannel");
        // Capabilities as Go writes them, or its tools drop them: the entry's key, and a value of no bytes.
        let bytes = block.encode_to_vec();
        for level in ["V1_4_2", "V1_4_3"] {
            let entry = [&[0x0a, 6][..], level.as_bytes(), &[0x12, 0]].concat();
            assert!(bytes.windows(entry.len()).any(|part| part == entry), "{level}");
        }
        assert_eq!(bundle.orderer_addresses(), ["127.0.0.1:7050"]);
        assert_eq!(bundle.application_msps().collect::<Vec<_>>(), ["DevMSP"]);

        let channels = Channels::default();
        channels.put(bundle).expect("supported");
        let bundle = channels.get("mychannel").expect("joined");
        let creator = SigningIdentity::load(&msp.user, "DevMSP").expect("a key").serialize();
        let identity = bundle.msps().deserialize(&creator).expect("a member");
        let evaluate = |path: &str| bundle.policies().evaluate(path, std::slice::from_ref(&identity));
        evaluate("/Channel/Application/Writers").expect("a member writes");
        let refused = evaluate("/Channel/Application/Admins");
        assert!(matches!(refused, Err(PolicyError::Implicit { satisfied: 0, required: 1, .. })), "{refused:?}");
        let unknown = evaluate("/Channel/Application/Nobody");
        assert!(matches!(unknown, Err(PolicyError::Unknown(_))), "{unknown:?}");
    }

    #[test]
    fn settings_that_no_channel_can_have_are_refused_before_there_is_a_block() {
        let place = tempfile::tempdir().expect("a directory");
        let msp = development::ensure(&place.path().join("d"), "DevMSP").expect("an MSP");
        let organisation = folder::verifying_config(&msp.organisation, "DevMSP").expect("its definition");
        let block = |settings| development_block("mychannel", &organisation, &settings);
        let refused = |settings| block(settings).expect_err("refused").to_string();
        assert!(refused(OrderingSettings { max_message_count: 0, ..settings() }).contains("max message count"));
        assert!(
            refused(OrderingSettings { preferred_max_bytes: 11 << 20, ..settings() }).contains("preferred max bytes")
        );
        assert!(refused(OrderingSettings { batch_timeout: Duration::ZERO, ..settings() }).contains("batch timeout"));
        let short = Duration::from_micros(1500);
        let made = block(OrderingSettings { batch_timeout: short, ..settings() }).expect("a block");
        let bundle = Bundle::from_config_block(&made).expect("it is read back");
        assert_eq!(bundle.orderer().expect("it is ordered").batch_timeout(), short);
    }

    #[test]
    fn bad_channel_names_are_refused() {
        let organisation = FabricMspConfig::default();
        for name in ["", "A", "1a", "a_b", "ä", &"a".repeat(250)] {
            let refused = development_block(name, &organisation, &settings());
            assert!(matches!(refused, Err(ChannelError::Name(_))), "{name}");
        }
    }
}
