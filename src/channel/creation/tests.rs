use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::EncodeAsGo;
use selvedge_proto::common::{ConfigGroup, ConfigUpdate, ConfigValue, Envelope, HeaderType};

use super::*;
use crate::channel::genesis::{OrderingSettings, SAMPLE_CONSORTIUM};
use crate::channel::{Bundle, ChannelError, ConfigError};
use crate::client::{create_config_update, create_signed_envelope};
use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{SigningIdentity, folder};
use crate::protolator::to_json;
use crate::testing::Golden;

struct Scene {
    _folder: tempfile::TempDir,
    member: DevelopmentMsp,
    stranger: DevelopmentMsp,
    template: ChannelTemplate,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let made = |name: &str| development::ensure(&folder.path().join(name), name).expect("an MSP");
        let (member, stranger) = (made("MemberMSP"), made("StrangerMSP"));
        let organisation = folder::verifying_config(&member.organisation, "MemberMSP").expect("its definition");
        let orderers = folder::verifying_config(&stranger.organisation, "OrdererMSP").expect("its definition");
        let ordering = OrderingSettings {
            addresses: vec!["127.0.0.1:7050".into()],
            max_message_count: 10,
            absolute_max_bytes: 10 << 20,
            preferred_max_bytes: 512 << 10,
            batch_timeout: Duration::from_millis(200),
        };
        let template = ChannelTemplate::new(SAMPLE_CONSORTIUM, &[organisation], &orderers, &ordering);
        Self { _folder: folder, member, stranger, template }
    }

    fn envelope(&self, update: &ConfigUpdate, signer: &std::path::Path, mspid: &str) -> Envelope {
        let signer = SigningIdentity::load(signer, mspid).expect("its key");
        create_config_update(update, &[&signer], &signer).expect("signs")
    }

    /// What an administrator of the member asks for.
    fn asked(&self, update: &ConfigUpdate) -> Result<NewChannel, CreationError> {
        self.template.new_channel(&self.envelope(update, &self.member.admin, "MemberMSP"))
    }

    fn refusal(&self, change: impl FnOnce(&mut ConfigUpdate)) -> String {
        let mut update = update();
        change(&mut update);
        self.asked(&update).expect_err("refused").to_string()
    }
}

fn update() -> ConfigUpdate {
    creation_update("new-channel", SAMPLE_CONSORTIUM, &["MemberMSP"])
}

fn written(update: &mut ConfigUpdate) -> &mut ConfigGroup {
    update.write_set.as_mut().expect("a write set")
}

fn application(update: &mut ConfigUpdate) -> &mut ConfigGroup {
    written(update).groups.get_mut("Application").expect("a group")
}

/// An orderer in Go takes what is left out for nil, and looks into it.
#[test]
fn a_creation_leaves_out_no_group_of_a_member() {
    let scene = Scene::new();
    let envelope = scene.envelope(&update(), &scene.member.admin, "MemberMSP");
    let member = [&[0x0a, 9][..], b"MemberMSP", &[0x12, 0]].concat();
    let found = envelope.payload.windows(member.len()).filter(|part| *part == member).count();
    assert_eq!(found, 2, "in what was read, and in what is written");
}

#[test]
fn a_member_of_the_consortium_makes_a_channel_and_nobody_else() {
    let scene = Scene::new();
    let made = scene.asked(&update()).expect("a creation");
    assert_eq!(made.name, "new-channel");
    let envelope = scene.envelope(&update(), &scene.member.admin, "MemberMSP");
    let config = made.template.propose(&envelope).expect("accepted").config.expect("a configuration");
    assert_eq!(config.sequence, 1);
    let bundle = Bundle::from_config("new-channel", &config).expect("a channel");
    made.template.validate_new(&bundle).expect("nothing that must not change");
    bundle.check_supported().expect("served here");
    assert_eq!(bundle.application_msps().collect::<Vec<_>>(), ["MemberMSP"]);
    assert_eq!(bundle.orderer_addresses(), ["127.0.0.1:7050"]);
    assert_eq!(bundle.missing_policies(), [""; 0]);
    let group = &config.channel_group.as_ref().expect("a root").groups["Application"];
    assert!(!group.policies.contains_key("ChannelCreationPolicy") && group.mod_policy == "Admins");

    let unsatisfied = "error authorizing update: error validating DeltaSet: policy for [Group]  /Channel/Application not \
                       satisfied: implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires \
                       1 of the 'Admins' sub-policies to be satisfied";
    for (signer, mspid) in [
        (&scene.member.user, "MemberMSP"),
        (&scene.stranger.admin, "StrangerMSP"),
        (&scene.stranger.admin, "MemberMSP"),
        (&scene.stranger.admin, "OrdererMSP"),
    ] {
        let envelope = scene.envelope(&update(), signer, mspid);
        let refused = made.template.propose(&envelope).expect_err("refused").to_string();
        assert_eq!(refused, unsatisfied, "{mspid}");
    }
}

/// What is a creation, in Fabric's words and its order.
#[test]
fn what_is_no_creation_is_refused_in_fabrics_words() {
    let scene = Scene::new();
    type Change = fn(&mut ConfigUpdate);
    let table: [(Change, &str); 10] = [
        (|update| update.write_set = None, "Config update has an empty writeset"),
        (|update| written(update).groups.clear(), "Config update has missing application group"),
        (
            |update| application(update).version = 0,
            "Config update for channel creation does not set application group version to 1, was 0",
        ),
        (
            |update| application(update).version = 2,
            "Config update for channel creation does not set application group version to 1, was 2",
        ),
        (|update| written(update).values.clear(), "Consortium config value missing"),
        (
            |update| {
                let cut = ConfigValue { value: Bytes::from_static(&[0x0a, 9]), ..ConfigValue::default() };
                written(update).values.insert("Consortium".into(), cut);
            },
            "Error reading unmarshaling consortium name: ",
        ),
        (
            |update| *update = creation_update("new-channel", "Other", &["MemberMSP"]),
            "Unknown consortium name: Other; this ordering service knows SampleConsortium",
        ),
        (
            |update| application(update).groups.clear(),
            "Proposed configuration has no application group members, but consortium contains members",
        ),
        (
            |update| {
                application(update).groups.insert("StrangerMSP".into(), ConfigGroup::default());
            },
            "Attempted to include a member which is not in the consortium (StrangerMSP; its members are MemberMSP)",
        ),
        (
            |update| update.channel_id = "Bad_Name".into(),
            "initializing configtx manager failed: bad channel ID: channel ID 'Bad_Name' contains illegal characters; ",
        ),
    ];
    for (change, expected) in table {
        let refused = scene.refusal(change);
        assert!(refused.starts_with(expected), "expected {expected:?}, not {refused:?}");
    }
    let long = scene.refusal(|update| update.channel_id = "a".repeat(250));
    assert_eq!(
        long,
        "initializing configtx manager failed: bad channel ID: channel ID illegal, cannot be longer than 249"
    );
    let empty = scene.refusal(|update| update.channel_id = String::new());
    assert_eq!(empty, "initializing configtx manager failed: bad channel ID: channel ID illegal, cannot be empty");
}

#[test]
fn a_transaction_that_does_not_decode_is_refused_in_fabrics_words() {
    let scene = Scene::new();
    let refused = |envelope: &Envelope| scene.template.new_channel(envelope).expect_err("refused").to_string();
    let cut = Bytes::from_static(&[0x0a, 9]);
    let payload = refused(&Envelope { payload: cut.clone(), ..Envelope::default() });
    assert!(payload.starts_with("Failing initial channel config creation because of payload unmarshaling error: "));
    assert_eq!(
        refused(&Envelope::default()),
        "Failed initial channel config creation because config update header was missing"
    );
    let signer = SigningIdentity::load(&scene.member.admin, "MemberMSP").expect("its key");
    let envelope = |channel: &str, data: &Bytes| {
        let update = selvedge_proto::common::ConfigUpdateEnvelope { config_update: data.clone(), signatures: vec![] };
        create_signed_envelope(HeaderType::ConfigUpdate, channel, &update, &signer).expect("signs")
    };
    let inside = refused(&envelope("new-channel", &cut));
    assert!(
        inside.starts_with("Failing initial channel config creation because of config update unmarshaling error: ")
    );
    assert_eq!(
        refused(&envelope("other", &update().encode_to_vec().into())),
        "Failing initial channel config creation: mismatched channel IDs: 'new-channel' != 'other'"
    );
}

/// The update that configtxgen made for the recorded channel, and the one that is made here.
#[test]
fn what_is_made_here_has_the_form_of_what_configtxgen_makes() {
    let recorded = Golden::V1_4.read("channel/channel-create.tx").expect("a file");
    let bytes = update_in(&Envelope::decode(recorded).expect("an envelope"));
    let recorded = ConfigUpdate::decode(bytes.clone()).expect("an update");
    let mut made = creation_update("goldchan", "Cons", &["AlphaMSP", "BetaMSP"]);
    // That profile has ACLs.
    let acls = recorded.write_set.as_ref().expect("a write set").groups["Application"].values["ACLs"].clone();
    application(&mut made).values.insert("ACLs".into(), acls);
    // Go writes the entries of a map in any order.
    assert_eq!(made.encode_as_go().len(), bytes.len());
    let json =
        |update: &ConfigUpdate| to_json("common.ConfigUpdate", &update.encode_to_vec().into()).expect("an update");
    assert_eq!(json(&made), json(&recorded));
}

fn update_in(envelope: &Envelope) -> Bytes {
    let payload = selvedge_proto::common::Payload::decode(envelope.payload.clone()).expect("a payload");
    selvedge_proto::common::ConfigUpdateEnvelope::decode(payload.data).expect("an update").config_update
}

#[test]
fn a_template_that_is_no_channel_says_so() {
    let error = ChannelError::Config { channel: "c".into(), source: ConfigError::NoOrdererAddresses };
    assert!(CreationError::template(error).to_string().contains("Must set some OrdererAddresses"));
}
