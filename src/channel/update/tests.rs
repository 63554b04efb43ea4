//! What the recorded updates do not show: transitions that no signature allows, and channels of Fabric 1.0.

use proptest::prelude::*;
use prost::Message;
use prost::bytes::Bytes;
use selvedge_proto::common::{
    Capabilities, Capability, Config, ConfigGroup, ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, ConfigValue,
    ConsensusType, Envelope, MspConfig, OrdererAddresses, Payload,
};

use crate::channel::Bundle;
use crate::client::create_config_update;
use crate::endorser::fixture::{CHANNEL, MSPID, Network};
use crate::msp::{Signer, SigningIdentity, development, folder};

fn bundle(config: &Config) -> Bundle {
    Bundle::from_config(CHANNEL, config).expect("a channel")
}

fn current(network: &Network) -> Config {
    network.channels.get(CHANNEL).expect("joined").config().clone()
}

fn group<'a>(config: &'a mut Config, path: &[&str]) -> &'a mut ConfigGroup {
    let root = config.channel_group.as_mut().expect("a root");
    path.iter().fold(root, |group, name| group.groups.get_mut(*name).expect("a group"))
}

fn set(group: &mut ConfigGroup, key: &str, value: &impl Message) {
    let value = ConfigValue { value: value.encode_to_vec().into(), mod_policy: "Admins".into(), version: 0 };
    group.values.insert(key.to_owned(), value);
}

#[test]
fn groups_stay_and_organisations_stay_who_they_are() {
    let network = Network::new();
    let config = current(&network);
    let from = bundle(&config);
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut next = config.clone();
        change(&mut next);
        from.validate_new(&bundle(&next)).expect_err("refused").to_string()
    };
    from.validate_new(&from).expect("nothing changed");
    let text = refused(&|next| _ = group(next, &[]).groups.remove("Application"));
    assert_eq!(text, "current config has application section, but new config does not");
    let text = refused(&|next| _ = group(next, &[]).groups.remove("Orderer"));
    assert_eq!(text, "current config has orderer section, but new config does not");
    let text = refused(&|next| _ = group(next, &[]).groups.insert("Consortiums".into(), ConfigGroup::default()));
    assert_eq!(text, "current config has no consortiums section, but new config does");

    let place = tempfile::tempdir().expect("a directory");
    let other = development::ensure(&place.path().join("msp"), "OtherMSP").expect("an MSP");
    let other = folder::verifying_config(&other.organisation, "OtherMSP").expect("its definition");
    let other = MspConfig { r#type: 0, config: other.encode_to_vec().into() };
    let text = refused(&|next| set(group(next, &["Application", MSPID]), "MSP", &other));
    assert_eq!(text, format!("application org {MSPID} attempted to change MSP ID from {MSPID} to OtherMSP"));
    let text = refused(&|next| set(group(next, &["Orderer", MSPID]), "MSP", &other));
    assert_eq!(text, format!("orderer org {MSPID} attempted to change MSP ID from {MSPID} to OtherMSP"));
    let mut without = config.clone();
    group(&mut without, &["Application"]).groups.clear();
    from.validate_new(&bundle(&without)).expect("an organisation may leave");
}

#[test]
fn the_type_of_consensus_changes_only_on_a_channel_that_allows_it() {
    let network = Network::new();
    let mut config = current(&network);
    let raft = ConsensusType { r#type: "etcdraft".into(), ..ConsensusType::default() };
    let next = |config: &Config| {
        let mut next = config.clone();
        set(group(&mut next, &["Orderer"]), "ConsensusType", &raft);
        bundle(&next)
    };
    bundle(&config).validate_new(&next(&config)).expect("V1_4_3 allows it");
    let v1_3 = Capabilities { capabilities: [("V1_3".to_owned(), Capability {})].into() };
    set(group(&mut config, &[]), "Capabilities", &v1_3);
    set(group(&mut config, &[]), "OrdererAddresses", &OrdererAddresses { addresses: vec!["o:7050".into()] });
    let refused = bundle(&config).validate_new(&next(&config)).expect_err("refused").to_string();
    assert_eq!(refused, "attempted to change consensus type from solo to etcdraft");
}

/// An update by the administrator that sets another batch timeout and reads nothing but the groups.
fn timeout_update(network: &Network, config: &Config) -> Envelope {
    let admin = SigningIdentity::load(&network.msp.admin, MSPID).expect("a key");
    let orderer = |values| ConfigGroup {
        groups: [("Orderer".to_owned(), ConfigGroup { values, ..ConfigGroup::default() })].into(),
        ..ConfigGroup::default()
    };
    let root = config.channel_group.as_ref().expect("a root");
    let timeout = ConfigValue { version: 1, ..root.groups["Orderer"].values["BatchTimeout"].clone() };
    let update = ConfigUpdate {
        channel_id: CHANNEL.into(),
        read_set: Some(orderer([].into())),
        write_set: Some(orderer([("BatchTimeout".to_owned(), timeout)].into())),
        ..ConfigUpdate::default()
    };
    create_config_update(&update, &[&admin as &dyn Signer], &admin).expect("signed")
}

#[test]
fn items_without_a_mod_policy_get_one_where_the_ordering_service_has_capabilities() {
    let network = Network::new();
    let mut config = current(&network);
    group(&mut config, &["Application"]).mod_policy.clear();
    let root = group(&mut config, &[]);
    root.values.get_mut("HashingAlgorithm").expect("a value").mod_policy.clear();
    root.policies.get_mut("Readers").expect("a policy").mod_policy.clear();
    let update = timeout_update(&network, &config);
    let made = |config: &Config| {
        let proposed = bundle(config).propose(&update).expect("accepted").config.expect("a configuration");
        let root = proposed.channel_group.expect("a root");
        let value = root.values["HashingAlgorithm"].mod_policy.clone();
        (root.groups["Application"].mod_policy.clone(), value, root.policies["Readers"].mod_policy.clone())
    };
    let admins = || "Admins".to_owned();
    assert_eq!(made(&config), (admins(), admins(), admins()));
    for path in [&[][..], &["Application"], &["Orderer"]] {
        group(&mut config, path).values.remove("Capabilities");
    }
    group(&mut config, &[]).values.get_mut("OrdererAddresses").expect("a value").value =
        OrdererAddresses { addresses: vec!["o:7050".into()] }.encode_to_vec().into();
    assert_eq!(made(&config), (String::new(), String::new(), String::new()), "they stay as they are");
}

#[test]
fn an_item_whose_policy_is_nowhere_cannot_be_changed() {
    let network = Network::new();
    let mut config = current(&network);
    let item = group(&mut config, &["Orderer"]).values.get_mut("BatchTimeout").expect("a value");
    item.mod_policy = "Nobody".into();
    let refused = bundle(&config).propose(&timeout_update(&network, &config)).expect_err("refused").to_string();
    let text = "error authorizing update: error validating DeltaSet: unexpected missing policy Nobody for item \
                [Value]  /Channel/Orderer/BatchTimeout";
    assert_eq!(refused, text);
}

/// A root above so many groups, one in the other, with so many values in the innermost.
fn deep(levels: usize, values: usize) -> ConfigGroup {
    let values = (0..values).map(|number| (number.to_string(), ConfigValue::default())).collect();
    let innermost = ConfigGroup { values, ..ConfigGroup::default() };
    (0..levels).fold(innermost, |group, _| {
        let groups = [("g".repeat(249), group)].into();
        ConfigGroup { groups, ..ConfigGroup::default() }
    })
}

#[test]
fn a_tree_costs_no_more_than_what_was_sent_warrants() {
    let network = Network::new();
    let from = bundle(&current(&network));
    let refused = |write_set: ConfigGroup| {
        let update = ConfigUpdate { channel_id: CHANNEL.into(), write_set: Some(write_set), ..ConfigUpdate::default() };
        let update = create_config_update(&update, &[], &network.user).expect("signed");
        from.propose(&update).expect_err("refused").to_string()
    };
    // 100 kB that would take 200 MB.
    assert_eq!(
        refused(deep(40, 10_000)),
        "error authorizing update: error mapping WriteSet: the paths of the config's items take more than 67108864 \
         bytes; use shorter names or fewer levels of groups"
    );
    assert!(refused(deep(60, 0)).contains("recursion limit reached"), "deeper than anything of ours goes");
}

#[test]
fn signatures_that_do_not_count_cost_no_copies_of_the_update() {
    let network = Network::new();
    let config = current(&network);
    let signed = timeout_update(&network, &config);
    let mut payload = Payload::decode(signed.payload).expect("a payload");
    let mut update = ConfigUpdateEnvelope::decode(payload.data).expect("an update");
    let mut content = ConfigUpdate::decode(update.config_update).expect("an update");
    content.isolated_data.insert("large".into(), vec![0; 1 << 20].into());
    update.config_update = content.encode_to_vec().into();
    // The administrator's, which is over something else now, and many of nobody: 100 GB, if each were put together.
    update.signatures.extend((0..50_000).map(|_| ConfigSignature::default()));
    update.signatures.extend((0..50_000).map(|_| update.signatures[0].clone()).collect::<Vec<_>>());
    payload.data = update.encode_to_vec().into();
    let envelope = Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() };
    let refused = bundle(&config).propose(&envelope).expect_err("nobody signed").to_string();
    assert!(refused.contains("policy for [Value]  /Channel/Orderer/BatchTimeout not satisfied"), "{refused}");
}

#[test]
fn damaged_updates_are_refused_or_mean_the_same() {
    let network = Network::new();
    let config = current(&network);
    let from = bundle(&config);
    let update = timeout_update(&network, &config);
    let expected = from.propose(&update).expect("accepted").config;
    let damage = (0..update.payload.len(), any::<u8>());
    proptest!(ProptestConfig::with_cases(256), |((at, byte) in damage)| {
        let mut payload = update.payload.to_vec();
        payload[at] = byte;
        let damaged = Envelope { payload: Bytes::from(payload), ..update.clone() };
        if let Ok(envelope) = from.propose(&damaged) {
            // What was hit is no part of what was signed.
            prop_assert_eq!(envelope.config, expected.clone());
        }
    });
}
