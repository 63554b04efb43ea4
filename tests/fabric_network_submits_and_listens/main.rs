//! Applications on npm's `fabric-network` 2.2, unmodified, with a static connection profile: they evaluate, submit and wait
//! for the commit, and listen to contracts and blocks; in the clear, over TLS and over mutual TLS.

mod sdk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use prost::Message;
use sdk::Sdk;
use selvedge::ledger::LedgerProvider;
use selvedge::msp::development;
use selvedge::node::Node;
use selvedge::testing::{GOLDEN_CHANNEL, Golden, NodeChaincode, Plugin, TestPeer, TlsAuthority, TlsPair, TlsPurpose};
use selvedge_proto::common::Block;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// What the guide for operators shows.
const PROFILE: &str = include_str!("../../examples/application/connection.json");

/// A node, and a process of applications.
struct Scene {
    folder: TempDir,
    /// None while another takes its place.
    peer: Option<TestPeer>,
    sdk: Arc<Sdk>,
}

impl Scene {
    async fn start(overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_in(tempfile::tempdir()?, overrides).await
    }

    async fn start_in(folder: TempDir, overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        let sdk = Arc::new(Sdk::start()?);
        let peer = Some(start(folder.path(), overrides).await?);
        Ok(Self { folder, peer, sdk })
    }

    fn node(&self) -> &Node {
        self.peer.as_ref().expect("it runs").node()
    }

    fn address(&self) -> String {
        self.node().peer_address().to_string()
    }

    async fn stop(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.stop().await;
        }
    }

    fn profile(&self) -> anyhow::Result<Value> {
        let address = self.address();
        Ok(serde_json::from_str(&PROFILE.replace("127.0.0.1:7051", &address))?)
    }

    /// The development organisation's user.
    fn user(&self) -> anyhow::Result<Value> {
        let made = development::ensure(&self.folder.path().join("data/development"), "SampleOrg")?;
        identity(&made.user, &made.mspid)
    }

    async fn connect(&self, gateway: &str) -> anyhow::Result<()> {
        let request = json!({"gateway": gateway, "profile": self.profile()?, "identity": self.user()?});
        self.sdk.done("connect", request).await.map(drop)
    }

    async fn listen(&self, listener: &str, gateway: &str, options: Value) -> anyhow::Result<()> {
        let mut request = options;
        (request["listener"], request["gateway"], request["channel"]) =
            (listener.into(), gateway.into(), "mychannel".into());
        self.sdk.done("listen", request).await.map(drop)
    }
}

/// The identity in an MSP folder.
fn identity(folder: &Path, mspid: &str) -> anyhow::Result<Value> {
    let only = |folder: PathBuf| -> anyhow::Result<String> {
        let file = std::fs::read_dir(&folder)?.next().context("an empty folder")??;
        std::fs::read_to_string(file.path()).with_context(|| folder.display().to_string())
    };
    let (certificate, key) = (only(folder.join("signcerts"))?, only(folder.join("keystore"))?);
    Ok(json!({"mspId": mspid, "certificate": certificate, "privateKey": key}))
}

async fn start(folder: &Path, overrides: &[(&str, &str)]) -> anyhow::Result<TestPeer> {
    TestPeer::start(folder, &[Plugin::guest("asset", "asset")?], overrides).await
}

/// The numbers of the blocks that a listener heard of.
fn blocks(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["block"].as_u64()).collect()
}

/// The events of contracts among the blocks that a listener heard of: name and payload.
fn contract_events(events: &[Value]) -> Vec<(String, String)> {
    let transactions = events.iter().filter_map(|block| block["transactions"].as_array()).flatten();
    let events = transactions.filter_map(|transaction| transaction["events"].as_array()).flatten();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    events.map(|event| (text(event, "name"), text(event, "payload"))).collect()
}

#[test]
fn the_guide_for_operators_shows_the_profile() {
    let shown: Vec<_> = PROFILE.lines().map(|line| format!("    {line}")).collect();
    assert!(include_str!("../../docs/operators.md").contains(&shown.join("\n")), "it is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_evaluates_and_submits_with_every_strategy() -> anyhow::Result<()> {
    // Blocks of two, for the conflict.
    let mut scene = Scene::start(&[("NETWORK_DEVELOPMENT_MAXMESSAGECOUNT", "2")]).await?;
    let sdk = &scene.sdk;
    scene.connect("gateway").await?;

    let created = sdk.submit("gateway", "asset", &["create", "a1", "Ada", "7"]).await?;
    assert_eq!(String::from_utf8_lossy(&created.payload), r#"{"id":"a1","owner":"Ada","value":7}"#);
    for (value, strategy) in [
        "MSPID_SCOPE_ALLFORTX",
        "MSPID_SCOPE_ANYFORTX",
        "NETWORK_SCOPE_ALLFORTX",
        "NETWORK_SCOPE_ANYFORTX",
        "PREFER_MSPID_SCOPE_ALLFORTX",
        "PREFER_MSPID_SCOPE_ANYFORTX",
    ]
    .into_iter()
    .enumerate()
    {
        let value = value.to_string();
        let more = json!({"strategy": strategy});
        let answer = sdk.transact("submit", "gateway", "asset", &["update", "a1", &value], more).await?;
        answer.unwrap_or_else(|rejected| panic!("{strategy}: {rejected:?}"));
        // Whoever was told of the commit sees it.
        let read = sdk.evaluate("gateway", "asset", &["read", "a1"]).await?;
        let expected = format!(r#"{{"id":"a1","owner":"Ada","value":{value}}}"#);
        assert_eq!(String::from_utf8_lossy(&read), expected, "{strategy}");
    }

    assert!(sdk.evaluate("gateway", "asset", &["empty"]).await?.is_empty(), "an empty payload");
    let first = sdk.evaluate("gateway", "qscc", &["GetBlockByNumber", "mychannel", "0"]).await?;
    assert_eq!(Block::decode(&first[..])?.encode_to_vec(), first, "a binary payload arrives as it was sent");

    for does in ["evaluate", "submit"] {
        let refused = sdk.transact(does, "gateway", "asset", &["read", "nothing"], json!({})).await?;
        let refused = refused.expect_err("there is no such asset");
        assert!(refused.message.contains("asset nothing does not exist"), "{does}: {refused:?}");
    }
    conflict(sdk).await?;
    many_at_once(sdk).await?;
    a_stranger(&scene).await?;
    scene.stop().await;
    Ok(())
}

/// Of two updates of one asset in one block the second is invalid.
async fn conflict(sdk: &Sdk) -> anyhow::Result<()> {
    // Two that the machine holds up between endorsement and commit may both be valid.
    for _ in 0..5 {
        let update = |value| sdk.transact("submit", "gateway", "asset", value, json!({}));
        let (one, other) = tokio::join!(update(&["update", "a1", "100"]), update(&["update", "a1", "200"]));
        let refused = match (one?, other?) {
            (Ok(_), Ok(_)) => continue,
            (Err(refused), Ok(_)) | (Ok(_), Err(refused)) => refused,
            (Err(one), Err(other)) => panic!("neither is committed: {one:?} {other:?}"),
        };
        assert_eq!((&*refused.name, &*refused.code), ("TransactionError", "MVCC_READ_CONFLICT"), "{refused:?}");
        assert!(refused.message.contains("failed on peer peer0 with status MVCC_READ_CONFLICT"), "{refused:?}");
        return Ok(());
    }
    anyhow::bail!("five pairs of updates, and no conflict")
}

/// Transactions that wait for their commits side by side.
async fn many_at_once(sdk: &Arc<Sdk>) -> anyhow::Result<()> {
    const TRANSACTIONS: usize = 40;
    let mut submitted = JoinSet::new();
    for number in 0..TRANSACTIONS {
        let sdk = Arc::clone(sdk);
        let id = format!("many{number}");
        submitted.spawn(async move { sdk.submit("gateway", "asset", &["create", &id, "Bob", "1"]).await });
    }
    for done in submitted.join_all().await {
        done?;
    }
    let owned = sdk.evaluate("gateway", "asset", &["ownedBy", "Bob"]).await?;
    assert_eq!(serde_json::from_slice::<Vec<String>>(&owned)?.len(), TRANSACTIONS);
    Ok(())
}

/// Somebody of another organisation that has taken the name of the channel's.
async fn a_stranger(scene: &Scene) -> anyhow::Result<()> {
    let elsewhere = tempfile::tempdir()?;
    let made = development::ensure(&elsewhere.path().join("msp"), "SampleOrg")?;
    let identity = identity(&made.user, &made.mspid)?;
    let request = json!({"gateway": "stranger", "profile": scene.profile()?, "identity": identity});
    scene.sdk.done("connect", request).await?;
    let refused = scene.sdk.transact("evaluate", "stranger", "asset", &["empty"], json!({})).await?;
    let refused = refused.expect_err("nobody here knows them");
    let text = "access denied: channel [mychannel] creator org [SampleOrg]";
    assert!(refused.message.contains(text), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_transient_data_reach_a_chaincode_on_fabric_shim() -> anyhow::Result<()> {
    // The recorded channel has the chaincode's definition.
    let (golden, folder) = (Golden::V1_4, tempfile::tempdir()?);
    golden.replay(&LedgerProvider::open(&folder.path().join("data/ledgers"))?, 42)?;
    let msp = golden.path("msp/alpha-peer0");
    let overrides = [
        ("PEER_MSPCONFIGPATH", msp.to_str().unwrap_or_default()),
        ("PEER_LOCALMSPID", "AlphaMSP"),
        ("CHAINCODE_MODE", "dev"),
    ];
    let mut scene = Scene::start_in(folder, &overrides).await?;
    let listener = scene.node().chaincode_address().to_string();
    let chaincode = tokio::task::spawn_blocking(move || NodeChaincode::start("kv", "kv:1", &listener)).await??;

    let mut profile = scene.profile()?;
    profile["organizations"]["development"]["mspid"] = "AlphaMSP".into();
    profile["channels"] = json!({ GOLDEN_CHANNEL: profile["channels"]["mychannel"] });
    let identity = identity(&golden.path("msp/alpha-user1"), "AlphaMSP")?;
    let request = json!({"gateway": "gateway", "profile": profile, "identity": identity});
    scene.sdk.done("connect", request).await?;
    // The bytes 0xff and 0x00, and nothing.
    let more = json!({"channel": GOLDEN_CHANNEL, "transient": {"bytes": "/wA=", "none": ""}});
    let answer = scene.sdk.transact("evaluate", "gateway", "kv", &["ctx"], more).await?;
    let done = answer.map_err(|rejected| anyhow::anyhow!("{rejected:?}"))?;
    let context: Value = serde_json::from_slice(&done.payload)?;
    assert_eq!(context["transient"], json!({"bytes": "ff00", "none": ""}));
    assert_eq!((&context["tx"], &context["cid"]["msp"]), (&json!(done.transaction), &json!("AlphaMSP")));
    drop(chaincode);
    scene.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_listeners_hear_replay_resume_and_survive_a_restart() -> anyhow::Result<()> {
    let mut scene = Scene::start(&[]).await?;
    scene.connect("gateway").await?;
    scene.connect("other").await?;
    let checkpoint = scene.folder.path().join("checkpoint.json");
    let resuming = json!({"type": "full", "startBlock": 0, "checkpoint": checkpoint});

    scene.listen("full events", "gateway", json!({"chaincode": "asset", "type": "full"})).await?;
    scene.listen("filtered events", "gateway", json!({"chaincode": "asset", "type": "filtered"})).await?;
    scene.listen("resuming", "other", resuming.clone()).await?;
    let created = scene.sdk.submit("gateway", "asset", &["create", "a1", "Ada", "7"]).await?;
    scene.sdk.submit("other", "asset", &["update", "a1", "8"]).await?;

    let record = |value: u64| format!(r#"{{"id":"a1","owner":"Ada","value":{value}}}"#);
    let heard = scene.sdk.heard("full events", 2).await?;
    assert_eq!((&heard[0]["name"], &heard[0]["block"]), (&json!("created"), &json!(1)), "{heard:#?}");
    assert_eq!(heard[0]["transaction"], created.transaction.as_str());
    assert_eq!((&heard[0]["payload"], &heard[1]["payload"]), (&json!(record(7)), &json!(record(8))));
    let heard = scene.sdk.heard("filtered events", 2).await?;
    assert_eq!((&heard[1]["name"], &heard[1]["chaincode"]), (&json!("updated"), &json!("asset")), "{heard:#?}");
    assert_eq!(heard[1]["payload"], "", "a filtered block has no payloads");

    // The form of Fabric 2.x with private data has the rest, too.
    for (listener, form) in [("full replay", "full"), ("filtered replay", "filtered"), ("private replay", "private")] {
        scene.listen(listener, "other", json!({"type": form, "startBlock": 0})).await?;
        let heard = scene.sdk.heard(listener, 3).await?;
        assert_eq!(blocks(&heard), [0, 1, 2], "{listener}");
        assert_eq!(heard[1]["transactions"][0]["status"], "VALID", "{listener}");
        let payloads = if form == "filtered" { Default::default() } else { [record(7), record(8)] };
        let expected: Vec<_> = ["created", "updated"].map(str::to_owned).into_iter().zip(payloads).collect();
        assert_eq!(contract_events(&heard), expected, "{listener}");
    }

    // One that stopped goes on behind the last block it had, although it asks for block 0 again.
    assert_eq!(blocks(&scene.sdk.heard("resuming", 3).await?), [0, 1, 2]);
    scene.sdk.done("stop", json!({"listener": "resuming"})).await?;
    scene.sdk.submit("gateway", "asset", &["update", "a1", "9"]).await?;
    scene.listen("resuming", "gateway", resuming).await?;
    assert_eq!(blocks(&scene.sdk.heard("resuming", 1).await?), [3]);

    restart(&mut scene).await?;
    scene.sdk.submit("gateway", "asset", &["update", "a1", "10"]).await?;
    for (listener, expected) in
        [("full replay", 0..5), ("filtered replay", 0..5), ("private replay", 0..5), ("resuming", 3..5)]
    {
        let heard = blocks(&scene.sdk.heard(listener, expected.clone().count()).await?);
        assert_eq!(heard, expected.collect::<Vec<_>>(), "{listener}, over the restart");
    }
    let heard = scene.sdk.heard("full events", 4).await?;
    let payloads: Vec<_> = heard.iter().map(|event| event["payload"].clone()).collect();
    assert_eq!(payloads, [7, 8, 9, 10].map(|value| json!(record(value))), "over the restart");
    scene.stop().await;
    Ok(())
}

/// Another node in place of the scene's, at the same address.
async fn restart(scene: &mut Scene) -> anyhow::Result<()> {
    let address = scene.address();
    scene.stop().await;
    scene.peer = Some(start(scene.folder.path(), &[("PEER_LISTENADDRESS", &address)]).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_tls_and_mutual_tls() -> anyhow::Result<()> {
    let mutual = [("PEER_TLS_CLIENTAUTHREQUIRED", "true"), ("PEER_TLS_CLIENTROOTCAS_FILES", "ca.pem")];
    for overrides in [&[][..], &mutual] {
        let folder = tempfile::tempdir()?;
        let authority = TlsAuthority::new(folder.path(), "ca")?;
        authority.issue("server", &["127.0.0.1"], TlsPurpose::Both)?;
        let client = authority.issue("client", &["client"], TlsPurpose::Both)?;
        let mut all = vec![
            ("PEER_TLS_ENABLED", "true"),
            ("PEER_TLS_CERT_FILE", "server.crt"),
            ("PEER_TLS_KEY_FILE", "server.key"),
        ];
        all.extend_from_slice(overrides);
        let mut scene = Scene::start_in(folder, &all).await?;
        let mut request = json!({
            "gateway": "gateway",
            "profile": over_tls(scene.profile()?, &authority.certificate),
            "identity": scene.user()?,
        });
        if !overrides.is_empty() {
            request["tls"] = shown(&client)?;
        }
        scene.sdk.done("connect", request).await?;
        scene.listen("events", "gateway", json!({"chaincode": "asset", "type": "full"})).await?;
        scene.sdk.submit("gateway", "asset", &["create", "a1", "Ada", "7"]).await?;
        let heard = scene.sdk.heard("events", 1).await?;
        assert_eq!(heard[0]["name"], "created", "mutual: {}", !overrides.is_empty());
        scene.stop().await;
    }
    Ok(())
}

/// The profile as the guide for operators changes it for TLS.
fn over_tls(mut profile: Value, authority: &Path) -> Value {
    for (kind, name) in [("peers", "peer0"), ("orderers", "orderer")] {
        let url = profile[kind][name]["url"].as_str().unwrap_or_default().replace("grpc://", "grpcs://");
        profile[kind][name] = json!({"url": url, "tlsCACerts": {"path": authority}});
    }
    profile
}

/// What a client shows in a TLS handshake.
fn shown(pair: &TlsPair) -> anyhow::Result<Value> {
    let read = |file: &Path| std::fs::read_to_string(file).context("the client's TLS files");
    Ok(json!({"certificate": read(&pair.certificate)?, "key": read(&pair.key)?}))
}
