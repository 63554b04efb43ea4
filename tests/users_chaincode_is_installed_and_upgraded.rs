//! Chaincode of users from its installation to its end, in WebAssembly and as a service: installed, instantiated, called,
//! upgraded and stopped through lscc, on a node that is restarted in between, with what a system chaincode of the same source
//! answers; and what a client is told when it cannot run.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use selvedge::container::{Ccid, VmType};
use selvedge::policies::parse;
use selvedge::testing::{
    Client, Deployment, NativeChaincode, Plugin, SmallGuest, TestPeer, guest_path, service_package, wasm_package,
};
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::collection_config::Payload as Collection;
use selvedge_proto::protos::collection_policy_config::Payload as Members;
use selvedge_proto::protos::{
    ChaincodeAction, CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig, ProposalResponse,
    ProposalResponsePayload, StaticCollectionConfig, TxValidationCode,
};
use selvedge_proto::rwset::TxReadWriteSet;
use selvedge_proto::{DecodeAsGo, Message};

const CHANNEL: &str = "mychannel";
const OTHER: &str = "other";
const COUCHDB: (&str, &str) = ("LEDGER_STATE_STATEDATABASE", "CouchDB");
const INDEX: (&str, &str) = (
    "META-INF/statedb/couchdb/indexes/indexOwner.json",
    r#"{"index":{"fields":["owner","value"]},"ddoc":"indexOwnerDoc","name":"indexOwner"}"#,
);
const VALID: TxValidationCode = TxValidationCode::Valid;
/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

const CALLS: [&[&str]; 9] = [
    &["read", "a1"],
    &["read", "none"],
    &["create", "a3", "Ada", "3"],
    &["transfer", "a1", "Bob"],
    &["list", "a", "b"],
    &["ownedBy", "Bob"],
    &["find", r#"{"selector":{"owner":"Bob"}}"#],
    &["height", CHANNEL],
    &["no such function"],
];

/// A package of `examples/asset` as users' chaincode.
fn asset(version: &str) -> anyhow::Result<Bytes> {
    Ok(wasm_package("users", version, &std::fs::read(guest_path("asset")?)?, &[INDEX])?)
}

/// Of a service without TLS.
fn connection(address: &str) -> String {
    format!(r#"{{"address":"{address}","dial_timeout":"10s","tls_required":false}}"#)
}

async fn install(peer: &TestPeer, package: &Bytes) -> anyhow::Result<()> {
    let answer = peer.install(package).await?;
    anyhow::ensure!(answer.status == 200 && answer.payload == "OK", "{answer:?}");
    Ok(())
}

fn collections() -> anyhow::Result<Bytes> {
    let members = Members::SignaturePolicy(parse("OR('DevMSP.member')")?);
    let config = StaticCollectionConfig {
        name: "secrets".into(),
        maximum_peer_count: 0,
        required_peer_count: 0,
        member_orgs_policy: Some(CollectionPolicyConfig { payload: Some(members) }),
        ..StaticCollectionConfig::default()
    };
    let config = CollectionConfig { payload: Some(Collection::StaticCollectionConfig(config)) };
    Ok(CollectionConfigPackage { config: vec![config] }.encode_to_vec().into())
}

/// Response, event and what was read and written in the chaincode's own namespace.
fn outcome(answer: ProposalResponse, namespace: &str) -> anyhow::Result<(i32, Bytes, String, Option<KvrwSet>)> {
    let response = answer.response.context("a response")?;
    let action = ChaincodeAction::decode(ProposalResponsePayload::decode(answer.payload)?.extension)?;
    let sets = TxReadWriteSet::decode_as_go(action.results)?.ns_rwset;
    let own = sets.into_iter().find(|set| set.namespace == namespace);
    Ok((response.status, response.payload, response.message, own.map(|set| KvrwSet::decode(set.rwset)).transpose()?))
}

/// As the system chaincode `asset`, and as the users' chaincode of this name.
async fn the_same_in_both_forms(client: &Client, name: &str, args: &[&str]) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    for form in ["asset", name] {
        let answer = client.endorse(&client.proposal(form, args)?).await?;
        outcomes.push(outcome(answer, form).with_context(|| format!("{form} {args:?}"))?);
    }
    // Versions of what was read are those of each one's own transactions.
    let mut without_versions = outcomes.into_iter().map(|(status, payload, message, set)| {
        let set = set.map(|mut set| {
            set.reads.iter_mut().for_each(|read| read.version = None);
            (set.reads, set.writes)
        });
        (status, payload, message, set)
    });
    assert_eq!(without_versions.next(), without_versions.next(), "{args:?}");
    Ok(())
}

async fn two_assets(client: &Client, name: &str) -> anyhow::Result<()> {
    for form in ["asset", name] {
        for args in [["create", "a1", "Ada", "1"], ["create", "a2", "Bob", "2"]] {
            assert_eq!(client.submit(form, &args).await?, VALID);
        }
    }
    Ok(())
}

/// Resolves when the container has ended.
async fn ended(peer: &TestPeer, vm: VmType, ccid: &Ccid) -> anyhow::Result<()> {
    let ended = peer.node().controller().wait(vm, ccid);
    // One that was not found has ended before.
    drop(tokio::time::timeout(PATIENCE, ended).await.with_context(|| format!("{ccid} goes on"))?);
    Ok(())
}

async fn is_running(peer: &TestPeer, version: &str) -> bool {
    let ccid = Ccid::new("users", version);
    let wait = peer.node().controller().wait(VmType::System, &ccid);
    tokio::time::timeout(Duration::from_millis(300), wait).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_installed_instantiated_called_restarted_and_upgraded() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[COUCHDB]).await?;
    let client = peer.client().await?;
    let first = Deployment { collections: Some(collections()?), ..Deployment::new("users", "1.0") };
    let missing = client.call("users", &["read", "a1"]).await?;
    let text =
        "make sure the chaincode users has been successfully instantiated and try again: chaincode users not found";
    assert_eq!((missing.status, missing.message.as_str()), (500, text));

    install(&peer, &asset("1.0")?).await?;
    assert_eq!(peer.instantiate(&first).await?, VALID);
    let ledger = peer.node().ledgers().get(CHANNEL).context("a ledger")?;
    assert_eq!(ledger.indexes(), ["users/indexOwnerDoc/indexOwner"]);
    two_assets(&client, "users").await?;
    for call in CALLS {
        the_same_in_both_forms(&client, "users", call).await?;
    }

    drop(ledger);
    peer.stop().await;
    let peer = TestPeer::start(folder.path(), &plugins, &[COUCHDB]).await?;
    let client = peer.client().await?;
    for call in CALLS {
        the_same_in_both_forms(&client, "users", call).await?;
    }

    // The same chaincode on a second channel, which keeps the first version.
    let block = peer.genesis(OTHER)?;
    assert_eq!(peer.join(&*peer.admin()?, &block).await?.status, 200);
    let elsewhere = peer.client_on(peer.user()?, OTHER).await?;
    assert_eq!(peer.instantiate(&Deployment { channel: OTHER, ..first.clone() }).await?, VALID);
    assert_eq!(elsewhere.submit("users", &["create", "b1", "Cy", "3"]).await?, VALID);

    let upgrade = |version, channel| Deployment { channel, ..Deployment::new("users", version) };
    let refused = peer.upgrade(&upgrade("2.0", CHANNEL)).await.expect_err("it is not installed").to_string();
    assert!(refused.contains("cannot get package for chaincode (users:2.0)"), "{refused}");
    install(&peer, &asset("2.0")?).await?;
    assert_eq!(peer.upgrade(&upgrade("2.0", CHANNEL)).await?, VALID);
    assert!(is_running(&peer, "2.0").await);
    for call in CALLS {
        the_same_in_both_forms(&client, "users", call).await?;
    }
    assert!(is_running(&peer, "1.0").await, "the other channel has it");
    elsewhere.query("users", &["read", "b1"]).await?;

    assert_eq!(peer.upgrade(&upgrade("2.0", OTHER)).await?, VALID);
    ended(&peer, VmType::System, &Ccid::new("users", "1.0")).await?;
    elsewhere.query("users", &["read", "b1"]).await?;
    client.query("users", &["read", "a1"]).await?;
    assert!(!is_running(&peer, "1.0").await);
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_installed_instantiated_called_restarted_and_upgraded_too() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let serve = |id: &'static str| tokio::task::spawn_blocking(move || NativeChaincode::serve("asset", id, &[]));
    let ((first, old), (_second, new)) = (serve("service:1.0").await??, serve("service:2.0").await??);

    let peer = TestPeer::start(folder.path(), &plugins, &[COUCHDB]).await?;
    install(&peer, &service_package("service", "1.0", &connection(&old), &[])?).await?;
    assert_eq!(peer.instantiate(&Deployment::new("service", "1.0")).await?, VALID);
    let client = peer.client().await?;
    two_assets(&client, "service").await?;
    for call in CALLS {
        the_same_in_both_forms(&client, "service", call).await?;
    }
    peer.stop().await;

    let peer = TestPeer::start(folder.path(), &plugins, &[COUCHDB]).await?;
    let client = peer.client().await?;
    client.query("service", &["read", "a1"]).await?;

    // From here on it is a service that the node has dialled again, and that no transaction has launched.
    let again = tokio::task::spawn_blocking(move || {
        drop(first);
        let again = [("CHAINCODE_SERVER_ADDRESS", &*old)];
        NativeChaincode::start("asset", "service:1.0", &[], &again).and_then(|again| again.registered().map(|()| again))
    });
    let _again = again.await??;
    install(&peer, &service_package("service", "2.0", &connection(&new), &[])?).await?;
    assert_eq!(peer.upgrade(&Deployment::new("service", "2.0")).await?, VALID);
    for call in CALLS {
        the_same_in_both_forms(&client, "service", call).await?;
    }
    ended(&peer, VmType::Server, &Ccid::new("service", "1.0")).await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_brings_indexes_to_what_is_instantiated_already() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[COUCHDB]).await?;
    install(&peer, &asset("1.0")?).await?;
    assert_eq!(peer.instantiate(&Deployment::new("users", "1.0")).await?, VALID);
    peer.stop().await;

    // As on a peer that did not have the package when the channel agreed.
    std::fs::remove_file(folder.path().join("data/chaincodes/users.1.0"))?;
    let data = folder.path().join("data/ledgers");
    let ledgers = selvedge::ledger::LedgerProvider::open(&data)?;
    let ledger = ledgers.get(CHANNEL).context("a ledger")?;
    ledger.define_indexes("users", &[])?;
    drop((ledger, ledgers));

    let peer = TestPeer::start(folder.path(), &[], &[COUCHDB]).await?;
    let client = peer.client().await?;
    let ledger = peer.node().ledgers().get(CHANNEL).context("a ledger")?;
    assert!(ledger.indexes().is_empty());
    let missing = client.call("users", &["read", "a1"]).await?;
    assert!(
        missing.message.starts_with("cannot retrieve package for chaincode users/1.0, error open /"),
        "{missing:?}"
    );
    install(&peer, &asset("1.0")?).await?;
    assert_eq!(ledger.indexes(), ["users/indexOwnerDoc/indexOwner"]);
    assert_eq!(client.submit("users", &["create", "a1", "Ada", "1"]).await?, VALID);
    drop(ledger);
    peer.stop().await;
    Ok(())
}

/// Why a chaincode of this module is not instantiated.
async fn refusal(peer: &TestPeer, name: &str, module: &[u8]) -> anyhow::Result<String> {
    install(peer, &wasm_package(name, "1.0", module, &[])?).await?;
    let refused = peer.instantiate(&Deployment::new(name, "1.0")).await.expect_err("it is refused").to_string();
    let client = peer.client().await?;
    let after = client.call(name, &["f"]).await?.message;
    assert!(after.ends_with(&format!("chaincode {name} not found")), "nothing is committed: {after}");
    Ok(refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_is_not_instantiated_and_the_client_is_told_why() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let guest = |functions: &str| SmallGuest::new(functions);
    let greedy = SmallGuest {
        wit_imports: "import selvedge:peer/ledger@0.1.0;".to_owned(),
        imports: r#"(import "selvedge:peer/ledger@0.1.0" "chain-info" (func (param i32 i32 i32)))"#.to_owned(),
        ..guest("(func $run)")
    };
    let started = "error starting container: error starting container: could not create instance for";
    for (name, module, expected) in [
        (
            "broken",
            b"\0asm\x01\0\0\0\x01\xff\xff".to_vec(),
            format!("{started} broken-1.0: chaincode broken:1.0 (src/chaincode.wasm): the core module cannot be made"),
        ),
        (
            "greedy",
            greedy.module()?,
            format!(
                "{started} greedy-1.0: chaincode greedy:1.0 (src/chaincode.wasm): imports selvedge:peer/ledger@0.1.0, which is \
                 for system chaincode alone"
            ),
        ),
        (
            "trapping",
            SmallGuest { init: "unreachable".to_owned(), ..guest("(func $run)") }.module()?,
            "transaction returned with failure: chaincode trapping:1.0 trapped".to_owned(),
        ),
        (
            "endless",
            SmallGuest { init: "(loop $l (br $l))".to_owned(), ..guest("(func $run)") }.module()?,
            "(chaincode.wasm.limits.time)".to_owned(),
        ),
    ] {
        let refused = refusal(&peer, name, &module).await?;
        assert!(refused.contains(&expected), "{name}: {refused}");
    }
    // The node goes on.
    install(&peer, &wasm_package("good", "1.0", &guest("(func $run)").module()?, &[])?).await?;
    assert_eq!(peer.instantiate(&Deployment::new("good", "1.0")).await?, VALID);
    peer.client().await?.query("good", &["f"]).await?;
    peer.stop().await;
    Ok(())
}

/// How many compiled modules the node keeps.
fn compiled(folder: &Path) -> anyhow::Result<usize> {
    let files = std::fs::read_dir(folder.join("data/wasm-cache"))?.collect::<Result<Vec<_>, _>>()?;
    Ok(files.iter().filter(|file| file.path().extension().is_some_and(|extension| extension == "cwasm")).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_modules_of_old_versions_go_where_the_cache_has_no_room() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let install_as = async |peer: &TestPeer, version, body| {
        let module = SmallGuest::new(&format!("(func $run {body})")).module()?;
        install(peer, &wasm_package("small", version, &module, &[])?).await
    };
    let peer = TestPeer::start(folder.path(), &[], &[("CHAINCODE_WASM_CACHESIZE", "0")]).await?;
    let own = compiled(folder.path())?;
    assert_eq!(own, 3, "the node's own, which are loaded");
    install_as(&peer, "1", "").await?;
    assert_eq!(peer.instantiate(&Deployment::new("small", "1")).await?, VALID);
    assert_eq!(compiled(folder.path())?, own + 1);
    for (version, before, body) in [("2", "1", "nop"), ("3", "2", "nop nop")] {
        install_as(&peer, version, body).await?;
        assert_eq!(peer.upgrade(&Deployment::new("small", version)).await?, VALID);
        ended(&peer, VmType::System, &Ccid::new("small", before)).await?;
        // The new one was compiled while the old one was loaded.
        assert_eq!(compiled(folder.path())?, own + 2, "version {version}");
    }
    peer.stop().await;

    // As much room as there is by default, and then none again.
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    peer.client().await?.query("small", &["f"]).await?;
    assert_eq!(compiled(folder.path())?, own + 2);
    peer.stop().await;
    let peer = TestPeer::start(folder.path(), &[], &[("CHAINCODE_WASM_CACHESIZE", "0")]).await?;
    assert_eq!(compiled(folder.path())?, own);
    peer.client().await?.query("small", &["f"]).await?;
    assert_eq!(compiled(folder.path())?, own + 1, "compiled again");
    peer.stop().await;
    Ok(())
}
