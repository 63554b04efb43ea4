//! Which configurations are a channel's, and which a channel of this node.

use prost::Message;
use selvedge_proto::common::{
    AcLs, AnchorPeers, ApiResource, BatchSize, BatchTimeout, BlockDataHashingStructure, Capabilities, Capability,
    Config, ConfigGroup, ConfigValue, HashingAlgorithm, KafkaBrokers, MspConfig, OrdererAddresses, consensus_type,
};

use super::*;
use crate::channel::Channels;
use crate::endorser::fixture::{CHANNEL, MSPID, Network};

fn development() -> Config {
    Network::new().channels.get(CHANNEL).expect("joined").config().clone()
}

fn root(config: &mut Config) -> &mut ConfigGroup {
    config.channel_group.as_mut().expect("a root")
}

fn group<'a>(config: &'a mut Config, path: &str) -> &'a mut ConfigGroup {
    path.split('/').fold(root(config), |group, name| group.groups.get_mut(name).expect("a group"))
}

fn set(group: &mut ConfigGroup, key: &str, value: &impl Message) {
    let value = ConfigValue { value: value.encode_to_vec().into(), mod_policy: "Admins".into(), version: 0 };
    group.values.insert(key.to_owned(), value);
}

fn capabilities(names: &[&str]) -> Capabilities {
    Capabilities { capabilities: names.iter().map(|name| ((*name).to_owned(), Capability {})).collect() }
}

fn read(change: impl FnOnce(&mut Config)) -> Result<Bundle, String> {
    let mut config = development();
    change(&mut config);
    Bundle::from_config(CHANNEL, &config).map_err(|error| error.to_string())
}

#[test]
fn a_configuration_says_what_its_channel_is_like() {
    let bundle = read(|config| {
        let acl = |policy: &str| ApiResource { policy_ref: policy.into() };
        let acls = [("a", acl("Admins")), ("b", acl("/Channel/Readers")), ("c", acl(""))];
        let acls = acls.map(|(resource, policy)| (resource.to_owned(), policy)).into();
        set(group(config, "Application"), "ACLs", &AcLs { acls });
        let peer = |host: &str, port| selvedge_proto::common::AnchorPeer { host: host.into(), port };
        let anchors =
            AnchorPeers { anchor_peers: vec![peer("p", 7051), peer("", 7051), peer("p", 0), peer("p", 70_000)] };
        set(group(config, &format!("Application/{MSPID}")), "AnchorPeers", &anchors);
        let endpoints = OrdererAddresses { addresses: vec!["o:7050".into()] };
        set(group(config, &format!("Orderer/{MSPID}")), "Endpoints", &endpoints);
        set(group(config, "Orderer"), "BatchTimeout", &BatchTimeout { timeout: "1m0.5s".into() });
    })
    .expect("a channel");
    assert_eq!((bundle.channel(), bundle.sequence()), (CHANNEL, 0));
    assert_eq!(bundle.application_msps().collect::<Vec<_>>(), [MSPID]);
    assert!(bundle.missing_policies().is_empty());
    let application = bundle.application().expect("there are peers");
    let acls: Vec<_> = application.acls().iter().map(|(resource, policy)| (&resource[..], &policy[..])).collect();
    assert_eq!(acls, [("a", "/Channel/Application/Admins"), ("b", "/Channel/Readers")]);
    let organisation = &application.organisations()[MSPID];
    assert_eq!(organisation.anchor_peers, [crate::channel::AnchorPeer { host: "p".into(), port: 7051 }]);
    let orderer = bundle.orderer().expect("there are orderers");
    assert_eq!((orderer.consensus_type(), orderer.batch_timeout().as_millis()), ("solo", 60_500));
    assert_eq!(orderer.consensus_state(), consensus_type::State::Normal);
    assert_eq!(orderer.batch_size().max_message_count, 10);
    assert_eq!(orderer.organisations()[MSPID].endpoints, ["o:7050"]);
    assert!(bundle.capabilities().org_specific_orderer_endpoints());
    assert!(application.capabilities().key_level_endorsement());
    bundle.check_supported().expect("this node has all of it");
}

#[test]
fn what_fabric_refuses_is_refused_with_its_text() {
    type Change = Box<dyn FnOnce(&mut Config)>;
    let orderer = |key: &'static str, value: Vec<u8>| -> Change {
        Box::new(move |config| {
            let item = ConfigValue { value: value.into(), mod_policy: "Admins".into(), version: 0 };
            group(config, "Orderer").values.insert(key.into(), item);
        })
    };
    let size = |count, absolute, preferred| {
        BatchSize { max_message_count: count, absolute_max_bytes: absolute, preferred_max_bytes: preferred }
            .encode_to_vec()
    };
    let timeout = |text: &str| BatchTimeout { timeout: text.into() }.encode_to_vec();
    let in_orderer = "could not create channel Orderer sub-group config: ";
    let in_application = "could not create channel Application sub-group config: ";
    let cases: Vec<(Change, String)> = vec![
        (
            Box::new(|config| set(root(config), "HashingAlgorithm", &HashingAlgorithm { name: "MD5".into() })),
            "Unknown hashing algorithm type: MD5".into(),
        ),
        (
            Box::new(|config| set(root(config), "BlockDataHashingStructure", &BlockDataHashingStructure { width: 7 })),
            "BlockDataHashStructure width only supported at MaxUint32 in this version".into(),
        ),
        (
            Box::new(|config| {
                set(root(config), "Capabilities", &capabilities(&["V1_3"]));
                set(root(config), "OrdererAddresses", &OrdererAddresses::default());
            }),
            "Must set some OrdererAddresses".into(),
        ),
        (
            Box::new(|config| set(root(config), "Motto", &OrdererAddresses::default())),
            "failed to deserialize values: Unexpected key Motto".into(),
        ),
        (
            Box::new(|config| _ = root(config).groups.insert("Spectators".into(), ConfigGroup::default())),
            "Disallowed channel group: Spectators".into(),
        ),
        (orderer("BatchSize", size(0, 9, 9)), format!("{in_orderer}Attempted to set the batch size max message count")),
        (
            orderer("BatchSize", size(9, 0, 9)),
            format!("{in_orderer}Attempted to set the batch size absolute max bytes"),
        ),
        (
            orderer("BatchSize", size(9, 9, 0)),
            format!("{in_orderer}Attempted to set the batch size preferred max bytes"),
        ),
        (
            orderer("BatchSize", size(9, 8, 9)),
            format!(
                "{in_orderer}Attempted to set the batch size preferred max bytes (9) greater than the absolute max \
                 bytes (8)."
            ),
        ),
        (
            orderer("BatchTimeout", timeout("soon")),
            format!("{in_orderer}Attempted to set the batch timeout to a invalid value: 'soon' is not a duration"),
        ),
        (
            orderer("BatchTimeout", timeout(" 1s")),
            format!("{in_orderer}Attempted to set the batch timeout to a invalid value: ' 1s' has white space"),
        ),
        (
            orderer("BatchTimeout", timeout("0s")),
            format!("{in_orderer}Attempted to set the batch timeout to a non-positive value: 0s"),
        ),
        (
            orderer("KafkaBrokers", KafkaBrokers { brokers: vec!["k:9092".into(), "-k:1".into()] }.encode_to_vec()),
            format!("{in_orderer}Invalid broker entry: -k:1"),
        ),
        (
            orderer("BatchSize", vec![0xff]),
            format!("{in_orderer}failed to deserialize values: value BatchSize cannot be decoded: "),
        ),
        (
            Box::new(|config| {
                group(config, &format!("Orderer/{MSPID}")).groups.insert("x".into(), ConfigGroup::default());
            }),
            format!("{in_orderer}OrdererOrg config does not allow sub-groups"),
        ),
        (
            Box::new(|config| {
                set(root(config), "Capabilities", &capabilities(&["V1_3"]));
                set(root(config), "OrdererAddresses", &OrdererAddresses { addresses: vec!["o:1".into()] });
                let organisation = group(config, &format!("Orderer/{MSPID}"));
                set(organisation, "Endpoints", &OrdererAddresses::default());
            }),
            format!(
                "{in_orderer}Orderer Org {MSPID} cannot contain endpoints value until V1_4_2+ capabilities have been \
                 enabled"
            ),
        ),
        (
            Box::new(|config| {
                let application = group(config, "Application");
                set(application, "ACLs", &AcLs::default());
                set(application, "Capabilities", &capabilities(&["V1_1"]));
            }),
            format!("{in_application}ACLs may not be specified without the required capability"),
        ),
        (
            Box::new(|config| set(group(config, &format!("Application/{MSPID}")), "MSP", &MspConfig::default())),
            format!("{in_application}organisation {MSPID}: setting up the MSP manager failed: "),
        ),
        (
            Box::new(|config| {
                let mut other = development();
                let value = group(&mut other, &format!("Application/{MSPID}")).values["MSP"].clone();
                group(config, &format!("Application/{MSPID}")).values.insert("MSP".into(), value);
            }),
            format!("{in_orderer}Attempted to define two different versions of MSP: {MSPID}"),
        ),
    ];
    for (index, (change, cause)) in cases.into_iter().enumerate() {
        let refused = read(change).expect_err(&cause);
        let expected = format!("configuration of channel {CHANNEL}: initializing channelconfig failed: {cause}");
        assert!(refused.starts_with(&expected), "case {index}: {refused}");
    }
}

#[test]
fn names_policies_and_capabilities_have_to_fit_the_whole_tree() {
    let prefix = format!("configuration of channel {CHANNEL}: ");
    let refused =
        |change: Box<dyn FnOnce(&mut Config)>| read(change).map(drop).expect_err("refused").replace(&prefix, "");
    assert_eq!(refused(Box::new(|config| config.channel_group = None)), "config must contain a channel group");
    assert_eq!(
        refused(Box::new(|config| _ = group(config, "Orderer").values.remove("Capabilities"))),
        "cannot enable channel capabilities without orderer support first"
    );
    assert_eq!(
        refused(Box::new(|config| {
            group(config, "Orderer").values.remove("Capabilities");
            root(config).values.remove("Capabilities");
        })),
        "cannot enable application capabilities without orderer support first"
    );
    assert!(
        refused(
            Box::new(|config| group(config, "Application").policies.get_mut("Readers").expect("one").policy = None)
        )
        .starts_with("initializing policymanager failed: ")
    );
    assert_eq!(
        refused(Box::new(|config| {
            let policy = root(config).policies["Readers"].clone();
            root(config).policies.insert("a_b".into(), policy);
        })),
        "initializing configtx manager failed: error converting config to map: Illegal characters in key: [Policy] (a_b: \
         config ID 'a_b' contains illegal characters)"
    );
    assert!(Bundle::from_config("A", &development()).expect_err("no name").to_string().contains("channel name 'A'"));
}

#[test]
fn a_channel_that_asks_for_more_than_this_node_has_is_read_and_not_served() {
    let channels = Channels::default();
    let application = read(|config| set(group(config, "Application"), "Capabilities", &capabilities(&["V2_0"])));
    let refused = channels.put(application.expect("a channel")).expect_err("another lifecycle").to_string();
    let expected =
        format!("[channel {CHANNEL}] incompatible: Application capability V2_0 is required but not supported; ");
    assert!(refused.starts_with(&expected), "{refused}");
    let root_level = read(|config| set(root(config), "Capabilities", &capabilities(&["V1_4_3", "V3_0"])));
    let refused = channels.put(root_level.expect("a channel")).expect_err("another kind of signature").to_string();
    assert!(refused.contains("Channel capability V3_0 is required but not supported"), "{refused}");
    let nobody = read(|config| _ = root(config).groups.remove("Application")).expect("a channel");
    let refused = channels.put(nobody).expect_err("no peers").to_string();
    assert_eq!(refused, format!("[channel {CHANNEL}] does not have application config so is incompatible"));
    assert!(channels.get(CHANNEL).is_none() && channels.names().is_empty());
    let fine = read(|config| set(root(config), "Capabilities", &capabilities(&["V2_0"]))).expect("a channel");
    channels.put(fine).expect("V2_0 asks nothing more of a peer at this level");
    assert_eq!(channels.names(), [CHANNEL]);
}
