//! What a channel's configuration lets pass, with real signers.

use prost::Message;
use selvedge_proto::common::{
    BatchSize, BlockData, Capabilities, Capability, ChannelHeader, Config, ConfigGroup, ConfigUpdate, ConfigValue,
    ConsensusType, consensus_type::State,
};

use super::*;
use crate::client::create_config_update;
use crate::endorser::fixture::{CHANNEL, MSPID, Network};
use crate::msp::SigningIdentity;

struct Bench {
    network: Network,
    admin: SigningIdentity,
    processor: ChannelProcessor,
}

impl Bench {
    fn new() -> Self {
        let network = Network::new();
        let load = |folder| SigningIdentity::load(folder, MSPID).expect("a key");
        let (admin, orderer) = (load(&network.msp.admin), load(&network.msp.orderer));
        let channels = Arc::clone(&network.channels);
        let processor = ChannelProcessor { channel: CHANNEL.into(), channels, signer: Arc::new(orderer) };
        Self { network, admin, processor }
    }

    fn config(&self) -> Config {
        self.network.channels.get(CHANNEL).expect("joined").config().clone()
    }

    /// An update of the value in the group `Orderer`, signed by the administrator, that reads nothing else.
    fn orderer_update(&self, key: &str, value: &impl Message) -> Envelope {
        let root = self.config().channel_group.expect("a root");
        let orderer = &root.groups["Orderer"];
        let read = ConfigGroup { version: orderer.version, ..ConfigGroup::default() };
        let mut written = read.clone();
        let item = ConfigValue { version: orderer.values[key].version + 1, ..orderer.values[key].clone() };
        written.values.insert(key.into(), ConfigValue { value: value.encode_to_vec().into(), ..item });
        let set = |group| ConfigGroup {
            version: root.version,
            groups: [("Orderer".to_owned(), group)].into(),
            ..ConfigGroup::default()
        };
        self.signed(set(read), set(written))
    }

    /// An update that read everything.
    fn update(&self, change: impl FnOnce(&mut ConfigGroup)) -> Envelope {
        let read = self.config().channel_group.expect("a root");
        let mut written = read.clone();
        change(&mut written);
        self.signed(read, written)
    }

    fn signed(&self, read: ConfigGroup, written: ConfigGroup) -> Envelope {
        let (read_set, write_set) = (Some(read), Some(written));
        let update = ConfigUpdate { channel_id: CHANNEL.into(), read_set, write_set, ..ConfigUpdate::default() };
        create_config_update(&update, &[&self.admin as &dyn Signer], &self.admin).expect("signed")
    }

    /// Puts a configuration in force that differs in the group `Orderer`, without asking anybody.
    fn force(&self, key: &str, value: &impl Message) {
        let mut config = self.config();
        config.sequence += 1;
        let root = config.channel_group.as_mut().expect("a root");
        let item = root.groups.get_mut("Orderer").expect("a group").values.get_mut(key).expect("a value");
        item.value = value.encode_to_vec().into();
        self.network.channels.put(Bundle::from_config(CHANNEL, &config).expect("a channel")).expect("supported");
    }

    fn refusal(&self, envelope: &Envelope) -> (Status, String) {
        let refusal = self.processor.process_config_update(envelope).expect_err("refused");
        (refusal.status, refusal.info)
    }
}

fn message(signer: &dyn Signer, size: usize) -> Envelope {
    let data = BlockData { data: vec![vec![7; size].into()] };
    create_signed_envelope(HeaderType::Message, CHANNEL, &data, signer).expect("signed")
}

fn size(max_message_count: u32, absolute_max_bytes: u32) -> BatchSize {
    BatchSize { max_message_count, absolute_max_bytes, preferred_max_bytes: absolute_max_bytes.min(1000) }
}

#[test]
fn ordinary_messages_need_a_writers_signature_and_the_allowed_size() {
    let bench = Bench::new();
    let user = &bench.network.user;
    assert_eq!(bench.processor.process_normal(&message(user, 10)), Ok(0));
    let too_large = message(user, 2 << 20);
    let (bytes, limit) = (too_large.payload.len() + too_large.signature.len(), 1 << 20);
    let info = format!("message payload is {bytes} bytes and exceeds maximum allowed {limit} bytes");
    assert_eq!(bench.processor.process_normal(&too_large), Err(Refusal::bad(info)));
    let mut unsigned = message(user, 10);
    unsigned.signature = bytes::Bytes::new();
    let refused = bench.processor.process_normal(&unsigned).expect_err("nobody signed");
    let info = "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the \
                'Writers' sub-policies to be satisfied: permission denied";
    assert_eq!(refused, Refusal { status: Status::Forbidden, info: info.into() });
    assert_eq!(bench.processor.process_normal(&Envelope::default()), Err(Refusal::bad("Message was empty")));

    let consensus = ConsensusType { r#type: "solo".into(), state: State::Maintenance as i32, ..Default::default() };
    bench.force("ConsensusType", &consensus);
    let refused = bench.processor.process_normal(&message(user, 10)).expect_err("migration");
    let info = "normal transactions are rejected: maintenance mode".to_owned();
    assert_eq!(refused, Refusal { status: Status::ServiceUnavailable, info });
}

#[test]
fn an_update_becomes_a_signed_configuration_that_can_be_applied_and_made_anew() {
    let bench = Bench::new();
    let update = bench.orderer_update("BatchSize", &size(7, 1 << 20));
    let (config, sequence) = bench.processor.process_config_update(&update).expect("accepted");
    assert_eq!(sequence, 0);
    let payload = Payload::decode(config.payload.clone()).expect("a payload");
    let header = ChannelHeader::decode(payload.header.expect("a header").channel_header).expect("a header");
    assert_eq!((header.r#type, header.tx_id.as_str()), (HeaderType::Config as i32, ""), "as Fabric's orderer makes it");
    let envelope = ConfigEnvelope::decode(payload.data).expect("a configuration");
    assert_eq!(envelope.last_update.as_ref(), Some(&update));
    let next = bench.network.channels.get(CHANNEL).expect("joined").apply(&envelope).expect("it may follow");
    assert_eq!((next.sequence(), BatchConfig::of(next.orderer().expect("there")).max_message_count), (1, 7));

    // Another configuration came first: what was made under the former is made anew, or not any more.
    let other = bench.orderer_update("BatchTimeout", &selvedge_proto::common::BatchTimeout { timeout: "3s".into() });
    let (other, _) = bench.processor.process_config_update(&other).expect("accepted");
    bench.network.channels.put(next).expect("supported");
    let (anew, sequence) = bench.processor.process_config(&other).expect("it reads nothing that changed");
    assert_eq!(sequence, 1);
    let data = Payload::decode(anew.payload).expect("a payload").data;
    let config = ConfigEnvelope::decode(data).expect("a configuration").config.expect("a configuration");
    assert_eq!(config.sequence, 2);
    let refused = bench.processor.process_config(&config_again(&bench, &update)).expect_err("it was made already");
    assert!(
        refused
            .info
            .contains("attempt to set key [Value]  /Channel/Orderer/BatchSize to version 1, but key is at version 1"),
        "{}",
        refused.info
    );
}

fn config_again(bench: &Bench, update: &Envelope) -> Envelope {
    let envelope = ConfigEnvelope { config: None, last_update: Some(update.clone()) };
    create_signed_envelope(HeaderType::Config, CHANNEL, &envelope, &bench.admin).expect("signed")
}

#[test]
fn updates_that_the_channel_or_this_orderer_cannot_have_are_refused() {
    let bench = Bench::new();
    let applying = format!("error applying config update to existing channel '{CHANNEL}': ");
    let bad = |info: &str| (Status::BadRequest, format!("{applying}{info}"));
    assert_eq!(
        bench.refusal(&bench.orderer_update("BatchSize", &size(0, 9))),
        bad("initializing channelconfig failed: could not create channel Orderer sub-group config: Attempted to set \
             the batch size max message count to an invalid value: 0")
    );
    let consensus = |kind: &str, state| ConsensusType { r#type: kind.into(), state, ..ConsensusType::default() };
    assert_eq!(
        bench.refusal(&bench.orderer_update("ConsensusType", &consensus("etcdraft", 0))),
        bad("attempted to change consensus type from solo to etcdraft, transition not supported")
    );
    assert_eq!(
        bench.refusal(&bench.orderer_update("ConsensusType", &consensus("solo", State::Maintenance as i32))),
        bad("attempted to change ConsensusType.State to STATE_MAINTENANCE, but the embedded orderer migrates to no \
             other type")
    );
    let newer = |name: &str| Capabilities { capabilities: [(name.to_owned(), Capability {})].into() };
    let (_, info) = bench.refusal(&bench.orderer_update("Capabilities", &newer("V9_9")));
    let expected = "config update is not compatible: config requires unsupported orderer capabilities: Orderer \
                    capability V9_9 is required but not supported";
    assert!(info.starts_with(&format!("{applying}{expected}")), "{info}");
    let (_, info) = bench.refusal(&bench.update(|root| {
        let application = root.groups.get_mut("Application").expect("a group");
        let item = application.values.get_mut("Capabilities").expect("a value");
        *item = ConfigValue { version: 1, value: newer("V2_0").encode_to_vec().into(), ..item.clone() };
    }));
    assert!(info.contains("Application capability V2_0 is required but not supported"), "{info}");
    assert_eq!(
        bench.refusal(&bench.update(|root| {
            root.version += 1;
            root.groups.remove("Application");
        })),
        bad("config update is not compatible: [channel mychannel] does not have application config so is incompatible")
    );
    assert_eq!(
        bench.refusal(&bench.update(|root| {
            let policies = &mut root.groups.get_mut("Orderer").expect("a group").policies;
            let admins = policies["Admins"].policy.clone();
            let item = policies.get_mut("BlockValidation").expect("a policy");
            (item.version, item.policy) = (item.version + 1, admins);
        })),
        bad("config update is not compatible: the policy /Channel/Orderer/BlockValidation would not accept the \
             embedded orderer's signature")
    );

    let mut unsigned = bench.orderer_update("BatchSize", &size(7, 9));
    unsigned.signature = bytes::Bytes::new();
    let (status, info) = bench.refusal(&unsigned);
    assert_eq!(status, Status::Forbidden);
    assert!(
        info.starts_with("config update for existing channel did not pass initial checks: implicit policy"),
        "{info}"
    );

    // The CONFIG message holds the whole tree, and does not fit any more when the update still does.
    let update = bench.orderer_update("BatchTimeout", &selvedge_proto::common::BatchTimeout { timeout: "3s".into() });
    let limit = u32::try_from(update.payload.len() + update.signature.len()).expect("small");
    bench.force("BatchSize", &size(7, limit));
    let (status, info) = bench.refusal(&update);
    assert_eq!(status, Status::BadRequest);
    assert!(
        info.starts_with("config update for existing channel did not pass final checks: message payload is"),
        "{info}"
    );
}
