//! Configuration blocks that a node makes, read with Fabric's own message definitions (npm's `@hyperledger/fabric-protos`): the
//! first block of the development channel, and the block of an update.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use prost::Message;
use selvedge::client::create_config_update;
use selvedge::testing::{TestPeer, node_with_packages_of};
use selvedge_proto::common::{
    AcLs, AnchorPeer, AnchorPeers, ApiResource, ConfigEnvelope, ConfigGroup, ConfigUpdate, ConfigValue, Envelope,
    Payload,
};
use serde_json::{Value, json};

const MSPID: &str = "SampleOrg";

/// What the script of that name in `tests/scripts` says of a block.
fn read_by_fabric(block: &Path) -> anyhow::Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/decode_config_block.js");
    let output = node_with_packages_of("kv")?.arg(script).arg(block).output()?;
    if !output.status.success() {
        bail!("{} cannot be read: {}", block.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs `selvedge channel` in the folder of core.yaml, as the development organisation's administrator.
async fn channel(folder: &Path, peer: &TestPeer, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command
        .arg("channel")
        .args(arguments)
        .args(["--connTimeout", "20s"])
        .current_dir(folder)
        .env("CORE_PEER_ADDRESS", peer.node().peer_address().to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn organisation(extra: &Value) -> Value {
    let mut values = json!({"MSP": {
        "type": 0,
        "name": MSPID,
        "rootCerts": ["ROOT"],
        "admins": ["ADMIN"],
        "hasSigningIdentity": false,
        "crypto": {"signatureHashFamily": "SHA2", "identityIdentifierHashFunction": "SHA256"},
        "nodeOus": false
    }});
    if let (Some(values), Some(extra)) = (values.as_object_mut(), extra.as_object()) {
        values.extend(extra.clone());
    }
    json!({
        "version": if extra == &json!({}) { 0 } else { 1 },
        "modPolicy": "Admins",
        "policies": {
            "Admins": "OutOf(1, SampleOrg.admin)",
            "Endorsement": "OutOf(1, SampleOrg.member)",
            "Readers": "OutOf(1, SampleOrg.member)",
            "Writers": "OutOf(1, SampleOrg.member)"
        },
        "values": values,
        "groups": {}
    })
}

fn implicit(extra: &Value) -> Value {
    let mut policies = json!({"Admins": "MAJORITY Admins", "Readers": "ANY Readers", "Writers": "ANY Writers"});
    if let (Some(policies), Some(extra)) = (policies.as_object_mut(), extra.as_object()) {
        policies.extend(extra.clone());
    }
    policies
}

fn expected_root(address: &str) -> Value {
    json!({
        "version": 0,
        "modPolicy": "Admins",
        "policies": implicit(&json!({})),
        "values": {
            "HashingAlgorithm": {"name": "SHA256"},
            "BlockDataHashingStructure": {"width": u32::MAX},
            "OrdererAddresses": {"addressesList": [address]},
            "Consortium": {"name": "SampleConsortium"},
            "Capabilities": ["V1_4_3"]
        },
        "groups": {
            "Application": {
                "version": 0,
                "modPolicy": "Admins",
                "policies": implicit(&json!({})),
                "values": {"Capabilities": ["V1_4_2"]},
                "groups": {MSPID: organisation(&json!({}))}
            },
            "Orderer": {
                "version": 0,
                "modPolicy": "Admins",
                "policies": implicit(&json!({"BlockValidation": "ANY Writers"})),
                "values": {
                    "ConsensusType": {"type": "solo", "metadata": "", "state": 0},
                    "BatchSize": {"maxMessageCount": 7, "absoluteMaxBytes": 10 << 20, "preferredMaxBytes": 2 << 20},
                    "BatchTimeout": {"timeout": "150ms"},
                    "ChannelRestrictions": {"maxCount": 0},
                    "Capabilities": ["V1_4_2"]
                },
                "groups": {MSPID: organisation(&json!({}))}
            }
        }
    })
}

/// Certificates are made anew by each node; that they are some is all that is compared.
fn forget_names(tree: &mut Value) {
    for level in ["Application", "Orderer"] {
        let msp = &mut tree["groups"][level]["groups"][MSPID]["values"]["MSP"];
        for (field, text) in [("rootCerts", "ROOT"), ("admins", "ADMIN")] {
            for certificate in msp[field].as_array_mut().into_iter().flatten() {
                assert!(certificate.as_str().is_some_and(|subject| subject.contains("CN=")), "{field}: {certificate}");
                *certificate = text.into();
            }
        }
    }
}

/// An update of the block's configuration: ACLs for the channel and an anchor peer for the organisation.
fn update(block: &Path) -> anyhow::Result<ConfigUpdate> {
    let block = selvedge_proto::common::Block::decode(std::fs::read(block)?.as_slice())?;
    let envelope = Envelope::decode(block.data.context("data")?.data.remove(0))?;
    let config = ConfigEnvelope::decode(Payload::decode(envelope.payload)?.data)?.config.context("a configuration")?;
    let read_set = config.channel_group;
    let mut write_set = read_set.clone();
    let application = write_set.as_mut().and_then(|root| root.groups.get_mut("Application")).context("Application")?;
    let acl = ApiResource { policy_ref: "Admins".into() };
    set(application, "ACLs", &AcLs { acls: [("event/Block".to_owned(), acl)].into() });
    let organisation = application.groups.get_mut(MSPID).context("the organisation")?;
    let anchor = AnchorPeer { host: "peer0.example.com".into(), port: 7051 };
    set(organisation, "AnchorPeers", &AnchorPeers { anchor_peers: vec![anchor] });
    Ok(ConfigUpdate { channel_id: "mychannel".into(), read_set, write_set, ..ConfigUpdate::default() })
}

/// Puts a new value into a group, which is a new version of the group.
fn set(group: &mut ConfigGroup, name: &str, message: &impl Message) {
    let value = ConfigValue { value: message.encode_to_vec().into(), mod_policy: "Admins".into(), version: 0 };
    group.values.insert(name.to_owned(), value);
    group.version += 1;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_block_and_the_block_of_an_update_say_what_they_should() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = [
        ("PEER_ADDRESS", "peer0.example.com:7051"),
        ("NETWORK_DEVELOPMENT_BATCHTIMEOUT", "150ms"),
        ("NETWORK_DEVELOPMENT_MAXMESSAGECOUNT", "7"),
    ];
    let peer = TestPeer::start(folder.path(), &[], &settings).await?;
    let file = |name: &str| folder.path().join(name);

    channel(folder.path(), &peer, &["fetch", "0", "-c", "mychannel"]).await?;
    let mut first = read_by_fabric(&file("mychannel_0.block"))?;
    forget_names(&mut first["root"]);
    let mut root = expected_root("peer0.example.com:7051");
    let metadata = json!({"slots": 5, "signedBy": [], "lastConfig": 0, "codes": [0]});
    assert_eq!(first["metadata"], metadata);
    assert_eq!(
        (&first["number"], &first["channel"], &first["creator"], &first["sequence"], &first["update"]),
        (&json!(0), &json!("mychannel"), &Value::Null, &json!(0), &Value::Null)
    );
    assert_eq!(first["root"], root);

    let admin = peer.admin()?;
    let update = create_config_update(&update(&file("mychannel_0.block"))?, &[], &*admin)?;
    std::fs::write(file("update.pb"), update.encode_to_vec())?;
    channel(folder.path(), &peer, &["update", "-c", "mychannel", "-f", "update.pb"]).await?;
    channel(folder.path(), &peer, &["fetch", "1", "-c", "mychannel"]).await?;
    let mut second = read_by_fabric(&file("mychannel_1.block"))?;
    forget_names(&mut second["root"]);
    let application = &mut root["groups"]["Application"];
    application["version"] = 1.into();
    application["values"]["ACLs"] = json!({"event/Block": "Admins"});
    let anchors = json!({"AnchorPeers": {"anchorPeersList": [{"host": "peer0.example.com", "port": 7051}]}});
    application["groups"][MSPID] = organisation(&anchors);
    assert_eq!(second["metadata"], json!({"slots": 5, "signedBy": [MSPID], "lastConfig": 1, "codes": [0]}));
    assert_eq!(
        (&second["number"], &second["channel"], &second["creator"], &second["sequence"], &second["update"]),
        (
            &json!(1),
            &json!("mychannel"),
            &json!(MSPID),
            &json!(1),
            &json!({"channel": "mychannel", "sentBy": MSPID, "signedBy": [MSPID]})
        )
    );
    assert_eq!(second["root"], root);
    peer.stop().await;
    Ok(())
}
