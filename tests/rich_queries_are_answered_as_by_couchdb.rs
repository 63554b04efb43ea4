//! Chaincode on Fabric's shim and on our SDK asks a node that stands for CouchDB; the indexes come out of an installed
//! package.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use selvedge::chaincode::packages::{ChaincodePackage, PackageStore};
use selvedge::ledger::{Ledger, LedgerProvider};
use selvedge::testing::{Client, NodeChaincode, Plugin, TestPeer, chaincode_package, commit_unendorsed};
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::{ChaincodeAction, ChaincodeData, ProposalResponsePayload, TxValidationCode};
use selvedge_proto::rwset::TxReadWriteSet;
use selvedge_proto::{DecodeAsGo, Message};
use serde_json::{Value, json};

const CHANNEL: &str = "mychannel";
const COUCHDB: (&str, &str) = ("LEDGER_STATE_STATEDATABASE", "CouchDB");
const INDEX: &str = "META-INF/statedb/couchdb/indexes/indexOwner.json";

/// Commits a transaction with these writes to a channel whose node does not run.
fn commit(ledger: &Ledger, txid: &str, writes: &[(&str, &str, Bytes)]) -> anyhow::Result<()> {
    let mut simulator = ledger.new_tx_simulator(txid)?;
    for (namespace, key, value) in writes {
        simulator.set_state(namespace, key, value.clone())?;
    }
    commit_unendorsed(ledger, txid, simulator.results()?.public)
}

/// Installs a package of `kv` with an index, deploys it and gives it marbles, while the node does not run.
fn prepare(data: &Path) -> anyhow::Result<()> {
    let definition = r#"{"index":{"fields":["owner","size"]},"ddoc":"indexOwnerDoc","name":"indexOwner"}"#;
    let package = chaincode_package("kv", "1", &[("src/kv.js", "// the code"), (INDEX, definition)])?;
    let packages = Arc::new(PackageStore::open(&data.join("chaincodes"))?);
    packages.put(&package)?;
    let fingerprint = ChaincodePackage::parse(&package)?.fingerprint();

    let provider = LedgerProvider::open(&data.join("ledgers"))?;
    provider.use_couchdb(packages)?;
    let ledger = provider.get(CHANNEL).expect("the node made it");
    let marble =
        |owner: &str, size: u32| Bytes::from(json!({"owner": owner, "size": size, "docType": "marble"}).to_string());
    let before = [("kv", "m1", marble("tom", 35)), ("kv", "m2", marble("jerry", 50)), ("kv", "text", "tom".into())];
    commit(&ledger, "before", &before)?;
    let recorded = selvedge::testing::Golden::V1_4.read("proposals/04-lscc-deploy-kv.response.bin")?;
    let recorded = selvedge_proto::protos::ProposalResponse::decode(recorded)?.response.unwrap_or_default().payload;
    let definition = ChaincodeData {
        data: fingerprint.data,
        id: Bytes::copy_from_slice(&fingerprint.id),
        ..ChaincodeData::decode(recorded)?
    };
    commit(&ledger, "deploy", &[("lscc", "kv", definition.encode_to_vec().into())])?;
    assert_eq!(
        ledger.indexes(),
        ["kv/indexOwnerDoc/indexOwner"],
        "the block that deploys brings the package's indexes"
    );
    commit(&ledger, "after", &[("kv", "m3", marble("tom", 5)), ("kv", "m4", marble("tom", 70))])?;
    Ok(())
}

async fn ask(client: &Client, args: &[&str]) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&client.query("kv", args).await?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn chaincode_on_fabrics_shim_asks_with_the_index_of_its_package() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = [COUCHDB, ("CHAINCODE_MODE", "dev")];
    TestPeer::start(folder.path(), &[], &settings).await?.stop().await;
    prepare(&folder.path().join("data"))?;

    let peer = TestPeer::start(folder.path(), &[], &settings).await?;
    let ledger = peer.node().ledgers().get(CHANNEL).expect("it is joined");
    assert_eq!(ledger.indexes(), ["kv/indexOwnerDoc/indexOwner"], "indexes survive a restart");
    let listener = peer.node().chaincode_address().to_string();
    let _chaincode = tokio::task::spawn_blocking(move || NodeChaincode::start("kv", "kv:1", &listener)).await??;
    let client = peer.client().await?;

    let toms = r#"{"selector":{"docType":"marble","owner":"tom"},"sort":[{"owner":"desc"},{"size":"desc"}],"fields":["size"],"use_index":["_design/indexOwnerDoc","indexOwner"]}"#;
    let found = ask(&client, &["rich", toms]).await?;
    assert_eq!(found, json!([["m4", "{\"size\":70}"], ["m1", "{\"size\":35}"], ["m3", "{\"size\":5}"]]));
    let whole = ask(&client, &["rich", r#"{"selector":{"size":50}}"#]).await?;
    assert_eq!(whole, json!([["m2", "{\"docType\":\"marble\",\"owner\":\"jerry\",\"size\":50}"]]));

    let (mut pages, mut bookmark) = (Vec::new(), String::new());
    loop {
        let page = ask(&client, &["richPage", toms, "2", &bookmark]).await?;
        assert_eq!(page["count"], page["keys"].as_array().map_or(0, Vec::len));
        if page["count"] == 0 {
            break;
        }
        pages.push(page["keys"].clone());
        bookmark = page["bookmark"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(pages, [json!(["m4", "m1"]), json!(["m3"])]);

    let endorsed = client.endorse(&client.proposal("kv", &["rich", toms])?).await?;
    let payload = ProposalResponsePayload::decode(endorsed.payload)?;
    let results = TxReadWriteSet::decode_as_go(ChaincodeAction::decode(payload.extension)?.results)?;
    let set = results.ns_rwset.into_iter().find(|set| set.namespace == "kv").expect("kv's own");
    let set = KvrwSet::decode(set.rwset)?;
    assert_eq!(set.reads.iter().map(|read| read.key.as_str()).collect::<Vec<_>>(), ["m1", "m3", "m4"]);
    assert!(set.range_queries_info.is_empty());

    for (args, refusal) in [
        (
            &["rich", r#"{"selector":{"size":{"$like":1}}}"#][..],
            "Error:invalid_operator,  Status Code:400,  Reason:Invalid operator: $like",
        ),
        (&["put", "_k", "v"], "invalid key [_k], cannot begin with \"_\""),
        (&["put", "k", r#"{"_id":1}"#], "field [_id] is not valid for the CouchDB state database"),
    ] {
        let text = client.query("kv", args).await.expect_err("refused").to_string();
        assert!(text.contains(refusal), "{args:?}: {text}");
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chaincode_on_the_sdk_asks_and_the_same_data_may_be_served_without() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[COUCHDB]).await?;
    let client = peer.client().await?;
    for number in 0..7_u32 {
        let owner = if number % 2 == 0 { "Ada" } else { "Bob" };
        let args = ["create", &format!("a{number}"), owner, &number.to_string()];
        assert_eq!(client.submit("asset", &args).await?, TxValidationCode::Valid);
    }
    let query = r#"{"selector":{"owner":"Ada","value":{"$gt":0}}}"#;
    let found: Value = serde_json::from_slice(&client.query("asset", &["find", query]).await?)?;
    let ids =
        |found: &Value| found.as_array().into_iter().flatten().map(|asset| asset["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&found), ["a2", "a4", "a6"]);
    let page: Value = serde_json::from_slice(&client.query("asset", &["findPage", query, "2", ""]).await?)?;
    assert_eq!(ids(&page["records"]), ["a2", "a4"]);
    let bookmark = page["bookmark"].as_str().expect("a bookmark");
    let page: Value = serde_json::from_slice(&client.query("asset", &["findPage", query, "2", bookmark]).await?)?;
    assert_eq!(ids(&page["records"]), ["a6"]);
    // A transaction may ask and write, as long as it asks for no page.
    assert_eq!(client.submit("asset", &["find", query]).await?, TxValidationCode::Valid);
    peer.stop().await;

    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let client = peer.client().await?;
    let text = client.query("asset", &["find", query]).await.expect_err("refused").to_string();
    assert!(text.ends_with("ExecuteQuery not supported for leveldb"), "{text}");
    assert!(client.query("asset", &["read", "a2"]).await?.starts_with(b"{\"id\":\"a2\""));
    peer.stop().await;
    Ok(())
}
