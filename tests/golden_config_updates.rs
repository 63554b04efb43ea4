//! Configuration updates of real Fabric networks: each that was accepted is accepted here and makes the same
//! configuration, and each fault that is put into one is refused with Fabric's text.

use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;
use selvedge::channel::Bundle;
use selvedge::client::create_config_update;
use selvedge::msp::{Signer, SigningIdentity};
use selvedge::protolator::to_json;
use selvedge_proto::common::{
    Block, ChannelHeader, ConfigEnvelope, ConfigGroup, ConfigUpdate, ConfigUpdateEnvelope, ConfigValue, Envelope,
    Header, HeaderType, Payload,
};
use serde_json::Value;

const CHANNEL: &str = "goldchan";
const ACLS: &str = "[Value]  /Channel/Application/ACLs";

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn read(path: &str) -> Bytes {
    let path = golden(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&read(path)).expect("JSON")
}

fn as_json(name: &str, message: &impl Message) -> Value {
    to_json(name, &message.encode_to_vec().into()).expect("a message of that type")
}

fn block(path: &str) -> Block {
    Block::decode(read(path)).expect("a block")
}

/// The configuration in a block, if its first transaction is one.
fn config_of(block: &Block) -> Option<ConfigEnvelope> {
    let envelope = Envelope::decode(block.data.as_ref()?.data.first()?.clone()).ok()?;
    let payload = Payload::decode(envelope.payload).ok()?;
    let header = ChannelHeader::decode(payload.header?.channel_header).ok()?;
    (header.r#type == HeaderType::Config as i32).then(|| ConfigEnvelope::decode(payload.data).expect("a configuration"))
}

fn bundle(envelope: &ConfigEnvelope) -> Bundle {
    Bundle::from_config(CHANNEL, envelope.config.as_ref().expect("a configuration")).expect("a channel")
}

fn update_of(envelope: &Envelope) -> ConfigUpdateEnvelope {
    let payload = Payload::decode(envelope.payload.clone()).expect("a payload");
    ConfigUpdateEnvelope::decode(payload.data).expect("an update")
}

/// The tree that configtxlator printed of a block's configuration.
fn printed(path: &str) -> Value {
    json(path).pointer_mut("/data/data/0/payload/data/config").expect("a configuration").take()
}

/// Goes through the configuration blocks of a recorded chain; returns their numbers.
fn replay(version: &str, blocks: std::ops::Range<u64>, printed_of: &[u64]) -> Vec<u64> {
    let name = |number: u64, extension: &str| format!("{version}/blocks/block-{number:03}.{extension}");
    let mut current = bundle(&config_of(&block(&name(0, "block"))).expect("block 0 is one"));
    assert_eq!(as_json("common.Config", current.config()), printed(&name(0, "json")), "{version} block 0");
    let mut numbers = Vec::new();
    for number in blocks.filter(|number| golden(&name(*number, "block")).exists()) {
        let Some(envelope) = config_of(&block(&name(number, "block"))) else { continue };
        current.validate(&envelope).unwrap_or_else(|error| panic!("{version} block {number}: {error}"));
        let proposed = current.propose(envelope.last_update.as_ref().expect("an update")).expect("accepted");
        assert_eq!(proposed, envelope, "{version} block {number}");
        let recorded = envelope.config.as_ref().expect("a configuration");
        // Go writes the entries of a map in any order, so the bytes differ in nothing but that.
        assert_eq!(proposed.config.expect("a configuration").encoded_len(), recorded.encoded_len());
        let next = bundle(&envelope);
        current.validate_new(&next).expect("nothing that must not change");
        if printed_of.contains(&number) {
            assert_eq!(
                as_json("common.Config", next.config()),
                printed(&name(number, "json")),
                "{version} block {number}"
            );
        }
        current = next;
        numbers.push(number);
    }
    numbers
}

#[test]
fn every_recorded_update_of_fabric_1_4_makes_the_recorded_configuration() {
    assert_eq!(replay("v1.4", 1..42, &[1]), [1, 2, 3, 4, 34, 37]);
}

#[test]
fn so_do_those_of_fabric_2_5_although_this_node_does_not_serve_such_a_channel() {
    assert_eq!(replay("v2.5", 1..40, &[1, 39]), [1, 2, 3, 36, 39]);
    let last = bundle(&config_of(&block("v2.5/blocks/block-039.block")).expect("a configuration"));
    let refused = last.check_supported().expect_err("the lifecycle of Fabric 2").to_string();
    assert!(refused.contains("Application capability V2_0 is required but not supported"), "{refused}");
    // The configuration block among those that a 2.5 peer was sent last; the one after it is what it refused.
    let envelope = config_of(&block("v2.5/refused/block-40.block")).expect("a configuration");
    last.validate(&envelope).expect("accepted by that peer");
    let refused = last.apply(&envelope).map(drop).expect_err("not served here").to_string();
    assert!(refused.contains("Application capability V2_0 is required but not supported"), "{refused}");
    assert!(config_of(&block("v2.5/refused/block-41-from-orderer.block")).is_none());
}

#[test]
fn an_update_file_is_refused_until_its_sender_has_signed_too() {
    for version in ["v1.4", "v2.5"] {
        let index = json(&format!("{version}/channel/index.json"));
        let mut tested = 0;
        for entry in index.as_array().expect("a list") {
            let name = entry["name"].as_str().expect("a name");
            let number = entry["block"].as_u64().expect("a number");
            let at = |number: u64| config_of(&block(&format!("{version}/blocks/block-{number:03}.block")));
            let before = (0..number)
                .rev()
                .filter(|number| golden(&format!("{version}/blocks/block-{number:03}.block")).exists())
                .find_map(at)
                .expect("a configuration");
            let file = Envelope::decode(read(&format!("{version}/channel/{name}.update-tx.bin"))).expect("an envelope");
            let update = update_of(&file);
            let decoded = ConfigUpdate::decode(update.config_update.clone()).expect("an update");
            let printed = json(&format!("{version}/channel/{name}.update-tx.json"));
            let printed = printed.pointer("/payload/data/config_update").expect("an update");
            assert_eq!(&as_json("common.ConfigUpdate", &decoded), printed, "{version} {name}");

            let refused = bundle(&before).propose(&file).expect_err(name).to_string();
            assert!(
                refused.starts_with("error authorizing update: error validating DeltaSet: policy for ["),
                "{refused}"
            );
            assert!(refused.contains("not satisfied: "), "{version} {name}: {refused}");
            let sent = update_of(&at(number).expect("a configuration").last_update.expect("an update"));
            assert_eq!(sent.config_update, update.config_update, "{version} {name}");
            assert_eq!(sent.signatures.len(), update.signatures.len() + 1, "{version} {name}");
            tested += 1;
        }
        assert_eq!(tested, if version == "v1.4" { 6 } else { 5 });
    }
}

fn identity(folder: &str, mspid: &str) -> SigningIdentity {
    SigningIdentity::load(&golden("v1.4/msp").join(folder), mspid).expect("a key")
}

/// The channel before block 4, and the update of that block, which needs the administrators of both organisations.
struct Case {
    before: Bundle,
    envelope: ConfigEnvelope,
    alpha: SigningIdentity,
    beta: SigningIdentity,
}

impl Case {
    fn new() -> Self {
        let at = |number| config_of(&block(&format!("v1.4/blocks/block-{number:03}.block"))).expect("a configuration");
        let (alpha, beta) = (identity("alpha-admin", "AlphaMSP"), identity("beta-admin", "BetaMSP"));
        Self { before: bundle(&at(3)), envelope: at(4), alpha, beta }
    }

    /// The same update, sent by somebody with other signatures.
    fn with_signatures(&self, change: impl FnOnce(&mut ConfigUpdateEnvelope)) -> Envelope {
        let sent = self.envelope.last_update.clone().expect("an update");
        let mut payload = Payload::decode(sent.payload).expect("a payload");
        let mut update = ConfigUpdateEnvelope::decode(payload.data).expect("an update");
        change(&mut update);
        payload.data = update.encode_to_vec().into();
        Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() }
    }

    /// A changed update, signed by the administrators of both organisations.
    fn with_content(&self, change: impl FnOnce(&mut ConfigUpdate)) -> Envelope {
        let sent = update_of(self.envelope.last_update.as_ref().expect("an update"));
        let mut update = ConfigUpdate::decode(sent.config_update).expect("an update");
        change(&mut update);
        create_config_update(&update, &[&self.alpha as &dyn Signer, &self.beta], &self.alpha).expect("signed")
    }

    fn refusal(&self, envelope: &Envelope) -> String {
        let refused = self.before.propose(envelope).map(drop).expect_err("refused").to_string();
        // A peer that gets such a configuration from an orderer has the same reason.
        let sent = ConfigEnvelope { last_update: Some(envelope.clone()), ..self.envelope.clone() };
        let of_peer = self.before.validate(&sent).expect_err("refused").to_string();
        assert!(refused.ends_with(&of_peer), "{refused} | {of_peer}");
        refused.strip_prefix("error authorizing update: ").unwrap_or(&refused).to_owned()
    }
}

fn application(root: Option<&mut ConfigGroup>) -> &mut ConfigGroup {
    root.expect("a root").groups.get_mut("Application").expect("the group")
}

fn acls(update: &mut ConfigUpdate) -> &mut ConfigValue {
    application(update.write_set.as_mut()).values.get_mut("ACLs").expect("the value")
}

const ONE_OF_TWO: &str = "not satisfied: implicit policy evaluation failed - 1 sub-policies were satisfied, but this \
     policy requires 2 of the 'Admins' sub-policies to be satisfied";

#[test]
fn missing_doubled_and_wrong_signatures_are_refused() {
    let case = Case::new();
    case.before.propose(&case.with_signatures(|_| ())).expect("as it was sent");
    case.before.propose(&case.with_content(|_| ())).expect("signed anew");
    let refused = |change: fn(&mut ConfigUpdateEnvelope)| case.refusal(&case.with_signatures(change));
    let expected = format!("error validating DeltaSet: policy for {ACLS} {ONE_OF_TWO}");
    assert_eq!(refused(|update| drop(update.signatures.pop())), expected, "one dropped");
    let doubled = refused(|update| {
        update.signatures.pop();
        update.signatures.push(update.signatures[0].clone());
    });
    assert_eq!(doubled, expected, "one doubled");
    let swapped = refused(|update| {
        let other = update.signatures[1].signature.clone();
        update.signatures[0].signature = other;
    });
    assert_eq!(swapped, expected, "one under another's name");
    let forged = refused(|update| {
        let mut content = ConfigUpdate::decode(update.config_update.clone()).expect("an update");
        application(content.write_set.as_mut()).values.get_mut("ACLs").expect("it").value = Bytes::new();
        update.config_update = content.encode_to_vec().into();
    });
    assert!(forged.contains("0 sub-policies were satisfied"), "another content under their signatures: {forged}");

    let update = ConfigUpdate::decode(update_of(&case.with_signatures(|_| ())).config_update).expect("an update");
    let (user, beta_user) = (identity("alpha-user1", "AlphaMSP"), identity("beta-user1", "BetaMSP"));
    let by_users = create_config_update(&update, &[&user as &dyn Signer, &beta_user], &case.alpha).expect("signed");
    assert!(
        case.refusal(&by_users).contains("0 sub-policies were satisfied"),
        "the sender's signature counts for nothing"
    );
    let with_admin = create_config_update(&update, &[&case.alpha as &dyn Signer, &beta_user], &user).expect("signed");
    assert_eq!(case.refusal(&with_admin), expected, "a user of Beta is no administrator");
}

#[test]
fn versions_names_and_mod_policies_that_do_not_fit_are_refused() {
    let case = Case::new();
    type Change = fn(&mut ConfigUpdate);
    let cases: [(Change, &str); 11] = [
        (
            |update| update.channel_id = "other".into(),
            "ConfigUpdate for channel 'other' but envelope for channel 'goldchan'",
        ),
        (
            |update| acls(update).version = 2,
            "error validating DeltaSet: attempt to set key [Value]  /Channel/Application/ACLs to version 2, but key is \
             at version 0",
        ),
        (
            |update| application(update.read_set.as_mut()).version = 0,
            "error validating ReadSet: proposed update requires that key [Group]  /Channel/Application be at version \
             0, but it is currently at version 1",
        ),
        (
            |update| drop(application(update.write_set.as_mut()).values.remove("ACLs")),
            "error validating DeltaSet: delta set was empty -- update would have no effect",
        ),
        (
            |update| {
                drop(
                    update.read_set.as_mut().expect("a root").groups.insert("Elsewhere".into(), ConfigGroup::default()),
                )
            },
            "error validating ReadSet: existing config does not contain element for [Group]  /Channel/Elsewhere but \
             was in the read set",
        ),
        (
            |update| acls(update).mod_policy.clear(),
            "error validating DeltaSet: invalid mod_policy for element [Value]  /Channel/Application/ACLs: mod_policy \
             not set",
        ),
        (
            |update| acls(update).mod_policy = "/Channel//Admins".into(),
            "error validating DeltaSet: invalid mod_policy for element [Value]  /Channel/Application/ACLs: path \
             element at 1 is invalid: config ID illegal, cannot be empty",
        ),
        (
            |update| acls(update).mod_policy = "a_b".into(),
            "error validating DeltaSet: invalid mod_policy for element [Value]  /Channel/Application/ACLs: path \
             element at 0 is invalid: config ID 'a_b' contains illegal characters",
        ),
        (
            |update| {
                let value = ConfigValue { version: 1, ..acls(update).clone() };
                application(update.write_set.as_mut()).values.insert("New".into(), value);
            },
            "error validating DeltaSet: attempted to set key [Value]  /Channel/Application/New to version 1, but key \
             does not exist",
        ),
        (
            |update| {
                let value = acls(update).clone();
                application(update.write_set.as_mut()).values.insert("..".into(), value);
            },
            "error mapping WriteSet: Illegal characters in key: [Value] (Application/..: name '..' for config ID is \
             not allowed)",
        ),
        (
            // What only the ordering organisation may change.
            |update| {
                let mut orderer = ConfigGroup::default();
                let size = ConfigValue { version: 2, mod_policy: "Admins".into(), ..ConfigValue::default() };
                orderer.values.insert("BatchSize".into(), size);
                let read = update.read_set.as_mut().expect("a root");
                read.groups.insert("Orderer".into(), ConfigGroup::default());
                update.write_set.as_mut().expect("a root").groups.insert("Orderer".into(), orderer);
            },
            "error validating DeltaSet: policy for [Value]  /Channel/Orderer/BatchSize not satisfied: implicit policy \
             evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the 'Admins' \
             sub-policies to be satisfied",
        ),
    ];
    for (change, text) in cases {
        assert_eq!(case.refusal(&case.with_content(change)), text);
    }
}

#[test]
fn an_update_works_once_and_makes_nothing_but_what_it_says() {
    let case = Case::new();
    let after = bundle(&case.envelope);
    let again =
        after.propose(case.envelope.last_update.as_ref().expect("an update")).expect_err("replayed").to_string();
    let expected = format!(
        "error authorizing update: error validating DeltaSet: attempt to set key {ACLS} to version 1, but key is at \
         version 1"
    );
    assert_eq!(again, expected);
    let again = after.validate(&case.envelope).expect_err("replayed").to_string();
    assert_eq!(again, "config currently at sequence 5, cannot validate config at sequence 5");

    let mut other = case.envelope.clone();
    let root = other.config.as_mut().expect("a configuration").channel_group.as_mut().expect("a root");
    let removed = root.groups.get_mut("Application").expect("the group").values.remove("ACLs");
    assert!(removed.is_some());
    let refused = case.before.validate(&other).expect_err("something else").to_string();
    assert_eq!(refused, "ConfigEnvelope LastUpdate did not produce the supplied config result");
    let none = ConfigEnvelope { config: None, ..case.envelope.clone() };
    assert_eq!(case.before.validate(&none).expect_err("nothing").to_string(), "config envelope has nil config");
    let bare = ConfigEnvelope { last_update: None, ..case.envelope.clone() };
    assert_eq!(case.before.validate(&bare).expect_err("no update").to_string(), "envelope must have a Header");
}

#[test]
fn a_group_that_names_an_item_no_more_loses_it() {
    let case = Case::new();
    let envelope = case.with_content(|update| {
        let current = case.before.config().channel_group.as_ref().expect("a root").groups["Application"].clone();
        let application = application(update.write_set.as_mut());
        *application = ConfigGroup { version: current.version + 1, ..current };
        application.values.remove("ACLs");
        let read = update.read_set.as_mut().expect("a root");
        *read = case.before.config().channel_group.clone().expect("a root");
    });
    let proposed = case.before.propose(&envelope).expect("both administrators signed").config.expect("a configuration");
    let next = Bundle::from_config(CHANNEL, &proposed).expect("a channel");
    assert!(next.application().expect("there are peers").acls().is_empty());
    assert_eq!(next.application_msps().collect::<Vec<_>>(), ["AlphaMSP", "BetaMSP"]);
}

#[test]
fn what_is_no_update_is_refused() {
    let case = Case::new();
    let refused = |payload: Payload| {
        let envelope = Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() };
        case.before.propose(&envelope).expect_err("refused").to_string()
    };
    let typed = |kind: HeaderType| {
        let header = ChannelHeader { r#type: kind as i32, ..ChannelHeader::default() };
        Some(Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() })
    };
    let prefix = "error converting envelope to config update: ";
    assert_eq!(refused(Payload::default()), format!("{prefix}envelope must have a Header"));
    let config = refused(Payload { header: typed(HeaderType::Config), data: Bytes::new() });
    assert_eq!(config, format!("{prefix}invalid type CONFIG, expected CONFIG_UPDATE"));
    let garbage = refused(Payload { header: typed(HeaderType::ConfigUpdate), data: Bytes::from_static(b"\xff") });
    assert!(garbage.starts_with(&format!("{prefix}error unmarshaling message for type CONFIG_UPDATE: ")), "{garbage}");
}
