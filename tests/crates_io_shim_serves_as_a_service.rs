//! Chaincode on crates.io's `fabric-shim`, which nobody of this project wrote, as a service that the node dials: everything
//! its stub can do, from the installation of a package with a connection.json on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use selvedge::client::{CreatedProposal, create_chaincode_proposal, create_signed_tx};
use selvedge::container::{Ccid, StopContainer, VmType};
use selvedge::msp::Signer;
use selvedge::policies::parse;
use selvedge::testing::{Client, Deployment, Plugin, RustShim, TestPeer, service_package};
use selvedge_proto::Message;
use selvedge_proto::protos::collection_config::Payload as Collection;
use selvedge_proto::protos::collection_policy_config::Payload as Members;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeEvent, CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig,
    ProposalResponse, ProposalResponsePayload, StaticCollectionConfig, TxValidationCode,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

const CHANNEL: &str = "mychannel";
const MSPID: &str = "SampleOrg";

struct Peer {
    node: TestPeer,
    client: Client,
    user: Arc<dyn Signer>,
}

impl Peer {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        let settings = [
            ("CHAINCODE_CCAAS_REDIAL_MINDELAY", "10ms"),
            ("CHAINCODE_CCAAS_REDIAL_MAXDELAY", "50ms"),
            ("LEDGER_STATE_STATEDATABASE", "CouchDB"),
        ];
        let node = TestPeer::start(folder, &[Plugin::guest("asset", "asset")?], &settings).await?;
        let (client, user) = (node.client().await?, node.user()?);
        Ok(Self { node, client, user })
    }

    /// Installs and instantiates a service as version 1 of this chaincode: the node dials it for its Init.
    async fn deploy(&self, name: &str, service: &RustShim) -> anyhow::Result<()> {
        let connection = json!({"address": service.address, "dial_timeout": "60s"});
        let installed = self.node.install(&service_package(name, "1", &connection.to_string(), &[])?).await?;
        ensure!(installed.status == 200, "{}", installed.message);
        let deployment =
            Deployment { init: &["get", "x"], collections: Some(collections()?), ..Deployment::new(name, "1") };
        let code = self.node.instantiate(&deployment).await?;
        ensure!(code == TxValidationCode::Valid, "{code:?}");
        Ok(())
    }

    async fn propose(
        &self,
        chaincode: &str,
        args: &[&str],
        secret: &str,
    ) -> anyhow::Result<(CreatedProposal, ProposalResponse)> {
        let args = args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect();
        let transient = BTreeMap::from([("value".to_owned(), Bytes::copy_from_slice(secret.as_bytes()))]);
        let created = create_chaincode_proposal(CHANNEL, chaincode, args, transient, &*self.user)?;
        let answer = self.client.endorse(&created).await?;
        Ok((created, answer))
    }

    /// What the chaincode answers; the message where it fails.
    async fn query(&self, chaincode: &str, args: &[&str]) -> anyhow::Result<Result<Bytes, String>> {
        let response = self.propose(chaincode, args, "").await?.1.response.unwrap_or_default();
        Ok(if response.status == 200 { Ok(response.payload) } else { Err(response.message) })
    }

    async fn refused(&self, args: &[&str]) -> anyhow::Result<String> {
        let answer = self.query("kv", args).await?;
        answer.err().with_context(|| format!("{args:?} was not refused"))
    }

    async fn ask(&self, args: &[&str]) -> anyhow::Result<Value> {
        let answer = self.query("kv", args).await?.map_err(|text| anyhow::anyhow!("{args:?}: {text}"))?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn height(&self) -> anyhow::Result<u64> {
        Ok(self.node.node().ledgers().get(CHANNEL).context("the channel")?.chain_info()?.height)
    }

    /// Has it endorsed and ordered, and waits until it is committed.
    async fn submit(&self, args: &[&str], secret: &str) -> anyhow::Result<ProposalResponse> {
        let (created, answer) = self.propose("kv", args, secret).await?;
        let response = answer.response.clone().unwrap_or_default();
        ensure!(response.status == 200, "{args:?}: {}", response.message);
        let envelope = create_signed_tx(&created.proposal, &*self.user, std::slice::from_ref(&answer))?;
        let code = self.client.commit(created.txid, envelope).await?;
        ensure!(code == TxValidationCode::Valid, "{args:?}: {code:?}");
        Ok(answer)
    }
}

/// `collA`, of the node's own organisation.
fn collections() -> anyhow::Result<Bytes> {
    let members = Members::SignaturePolicy(parse(&format!("OR('{MSPID}.member')"))?);
    let config = StaticCollectionConfig {
        name: "collA".into(),
        member_orgs_policy: Some(CollectionPolicyConfig { payload: Some(members) }),
        ..StaticCollectionConfig::default()
    };
    let config = CollectionConfig { payload: Some(Collection::StaticCollectionConfig(config)) };
    Ok(CollectionConfigPackage { config: vec![config] }.encode_to_vec().into())
}

fn event(answer: &ProposalResponse) -> anyhow::Result<ChaincodeEvent> {
    let payload = ProposalResponsePayload::decode(answer.payload.clone())?;
    Ok(ChaincodeEvent::decode(ChaincodeAction::decode(payload.extension)?.events)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_its_stub_can_do_is_answered() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = Arc::new(Peer::start(folder.path()).await?);
    let service = RustShim::start("kv:1")?;
    peer.deploy("kv", &service).await?;

    state_and_ranges(&peer).await?;
    private_data(&peer).await?;
    what_surrounds_a_transaction(&peer).await?;

    let other = RustShim::start("kvand:1")?;
    peer.deploy("kvand", &other).await?;
    calls(&peer).await?;
    failures(&peer).await?;

    // A service that was started again is found again, and one that was stopped is dialled for the next transaction.
    let address = service.address.clone();
    drop(service);
    let _service = RustShim::start_at("kv:1", &address)?;
    let mut tries = 0;
    while let Err(error) = peer.ask(&["range", "r", "s"]).await {
        tries += 1;
        // Sent before the node saw it go.
        ensure!(tries < 10 && error.to_string().contains("chaincode stream terminated"), "{error:#}");
    }
    peer.node.node().controller().stop(VmType::Server, &Ccid::new("kv", "1"), StopContainer::default()).await?;
    assert_eq!(peer.ask(&["range", "r", "s"]).await?["n"], 250);

    // One that is another: its launch fails, and the good one goes on.
    let impostor = RustShim::start("kv:1")?;
    let refused = peer.deploy("third", &impostor).await.expect_err("it is kv:1").to_string();
    assert!(refused.contains("the service registers as \"kv:1\", and it was dialled for \"third:1\""), "{refused}");
    assert_eq!(peer.ask(&["range", "r", "s"]).await?["n"], 250);
    Arc::into_inner(peer).context("one user")?.node.stop().await;
    Ok(())
}

async fn state_and_ranges(peer: &Peer) -> anyhow::Result<()> {
    peer.submit(&["put", "a", r#"{"owner":"Ada","size":1}"#], "").await?;
    peer.submit(&["put", "b", r#"{"owner":"Bob","size":2}"#], "").await?;
    peer.submit(&["del", "b"], "").await?;
    assert_eq!(peer.query("kv", &["get", "a"]).await?.unwrap_or_default(), r#"{"owner":"Ada","size":1}"#);
    assert_eq!(peer.query("kv", &["get", "b"]).await?, Ok(Bytes::new()));
    peer.submit(&["putMany", "r", "250"], "").await?;
    for rows in [0, 1, 49, 50, 51, 99, 100, 101, 250] {
        let end = format!("r{rows:06}");
        let mut values = Sha256::new();
        (0..rows).for_each(|number| values.update(format!("v{number}")));
        let last = (rows > 0).then(|| format!("r{:06}", rows - 1));
        let first = last.as_ref().map(|_| "r000000");
        let found = json!({"n": rows, "first": first, "last": last, "values": hex::encode(values.finalize())});
        assert_eq!(peer.ask(&["range", "r", &end]).await?, found);
        let half = peer.ask(&["half", "r", &end, &(rows / 2).to_string()]).await?;
        assert_eq!(half["n"], rows / 2);
        assert_eq!(peer.ask(&["twoRanges", "r", &end]).await?, rows);
    }
    let (mut bookmark, mut pages) = (String::new(), Vec::new());
    loop {
        let page = peer.ask(&["page", "r", "s", "120", &bookmark]).await?;
        pages.push(page["fetched"].clone());
        bookmark = page["bookmark"].as_str().unwrap_or_default().to_owned();
        if bookmark.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [120, 120, 10]);

    for (first, second) in [("red", "1"), ("red", "2"), ("reddish", "3")] {
        peer.submit(&["putComposite", "color~id", first, second, "v"], "").await?;
    }
    assert_eq!(peer.ask(&["partial", "color~id", "red"]).await?, json!([["red", "1"], ["red", "2"]]));

    assert_eq!(peer.ask(&["query", r#"{"selector":{"owner":"Ada"}}"#]).await?["first"], "a");
    let refused = peer.refused(&["query", "no query"]).await?;
    assert!(refused.contains("GET_QUERY_RESULT failed: transaction ID: "), "{refused}");
    let history = json!([[false, r#"{"owner":"Bob","size":2}"#], [true, ""]]);
    assert_eq!(peer.ask(&["history", "b"]).await?, history);

    peer.submit(&["putLarge", "large", "1048576"], "").await?;
    assert_eq!(peer.query("kv", &["get", "large"]).await?.map(|value| value.len()), Ok(1 << 20));
    peer.submit(&["putMany", "many", "5000"], "").await?;
    assert_eq!(peer.ask(&["range", "many", "manz"]).await?["n"], 5000);
    Ok(())
}

async fn private_data(peer: &Peer) -> anyhow::Result<()> {
    for key in ["p1", "p2"] {
        peer.submit(&["putPrivate", "collA", key], "secret").await?;
    }
    assert_eq!(peer.query("kv", &["getPrivate", "collA", "p1"]).await?.unwrap_or_default(), "secret");
    let hash = peer.query("kv", &["hashOfPrivate", "collA", "p1"]).await?.unwrap_or_default();
    assert_eq!(hash, Sha256::digest(b"secret").as_slice());
    assert_eq!(peer.ask(&["rangeOfPrivate", "collA", "p", "q"]).await?["n"], 2);
    peer.submit(&["delPrivate", "collA", "p1"], "").await?;
    assert_eq!(peer.query("kv", &["getPrivate", "collA", "p1"]).await?, Ok(Bytes::new()));
    let refused = peer.refused(&["purgePrivate", "collA", "p2"]).await?;
    assert!(refused.contains("purge private data is not enabled"), "{refused}");
    let refused = peer.refused(&["getPrivate", "collX", "p2"]).await?;
    assert!(refused.contains("collX"), "{refused}");
    Ok(())
}

async fn what_surrounds_a_transaction(peer: &Peer) -> anyhow::Result<()> {
    let told = event(&peer.submit(&["event", "done", "payload"], "").await?)?;
    assert_eq!((&*told.chaincode_id, &*told.event_name, &told.payload[..]), ("kv", "done", &b"payload"[..]));
    assert_eq!(told.tx_id.len(), 64);

    let answer = peer.propose("kv", &["about"], "between us").await?.1.response.unwrap_or_default();
    let about: Value = serde_json::from_slice(&answer.payload)?;
    assert_eq!(
        (&about["channel"], &about["mspid"], &about["transient"], &about["signed"]),
        (&CHANNEL.into(), &MSPID.into(), &"between us".into(), &true.into())
    );
    assert!(about["timestamp"].as_i64().is_some_and(|seconds| seconds > 1_700_000_000), "{about}");
    Ok(())
}

/// Calls of the same chaincode in another process, of one in the sandbox, of a system chaincode, and of itself.
async fn calls(peer: &Peer) -> anyhow::Result<()> {
    let ok = |payload: &str| json!({"status": 200, "message": "", "payload": payload});
    assert_eq!(peer.ask(&["call", "kvand", "", "put", "c", "1"]).await?, ok(""));
    let nested = peer.ask(&["call", "kvand", "", "call", "asset", "", "empty"]).await?;
    assert_eq!(nested, ok(&ok("").to_string()));
    assert_eq!(peer.ask(&["call", "asset", CHANNEL, "empty"]).await?, ok(""));
    let height = peer.height()?;
    assert_eq!(peer.ask(&["call", "asset", "", "height", CHANNEL]).await?, ok(&height.to_string()));
    let failed = peer.ask(&["call", "kvand", "", "fail", "callee says no"]).await?;
    assert_eq!(failed, json!({"status": 500, "message": "callee says no", "payload": ""}));
    let itself = peer.refused(&["call", "kv", "", "get", "a"]).await?;
    assert!(itself.contains("txid: ") && itself.contains("(mychannel) exists"), "{itself}");
    let nobody = peer.refused(&["call", "nobody", "", "get", "a"]).await?;
    assert!(nobody.contains("chaincode nobody not found"), "{nobody}");
    Ok(())
}

async fn failures(peer: &Arc<Peer>) -> anyhow::Result<()> {
    assert_eq!(peer.refused(&["fail", "as it likes"]).await?, "as it likes");
    assert!(peer.refused(&["panic"]).await?.contains("chaincode handler panicked"));
    assert_eq!(peer.refused(&["nothing"]).await?, "there is no function nothing of 0 parameters");
    assert!(peer.refused(&["put", "", "x"]).await?.contains("key must not be empty"));
    // Side by side, and the failures among them hurt no other.
    let mut calls = JoinSet::new();
    for number in 0..64 {
        let peer = Arc::clone(peer);
        calls.spawn(async move {
            match number % 3 {
                0 => anyhow::Ok(peer.refused(&["panic"]).await?.contains("panicked")),
                1 => Ok(peer.ask(&["range", "r", "s"]).await?["n"] == 250),
                _ => Ok(peer.query("kv", &["get", "a"]).await?.is_ok()),
            }
        });
    }
    for right in calls.join_all().await {
        assert!(right?);
    }
    Ok(())
}
