//! `examples/asset` as a system chaincode in the sandbox, as a process in development mode, as a service, and as a service
//! in the sandbox (`selvedge ccaas`): for the same calls on the same state, the same responses, events, and read and write
//! sets.
//!
//! The peer is one of the recorded Fabric 1.4 network, whose channel has definitions for the two processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use selvedge::client::create_chaincode_proposal;
use selvedge::ledger::{Ledger, LedgerProvider};
use selvedge::msp::{Signer, SigningIdentity};
use selvedge::testing::{
    GOLDEN_CHANNEL, Golden, NativeChaincode, Plugin, TestPeer, commit_unendorsed, connect_service, serve_sandboxed,
};
use selvedge::tls::connect;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ChaincodeAction, ChaincodeEvent, ProposalResponsePayload};
use selvedge_proto::rwset::TxReadWriteSet;
use tonic::transport::Channel;

const GOLDEN: Golden = Golden::V1_4;
/// The definitions of the channel are there, and no transaction has used them.
const HEIGHT: u64 = 9;

/// In the sandbox, as a process that dials, as a process that is dialled, in a sandbox that is dialled.
const FORMS: [&str; 4] = ["asset", "kvand", "kv", "ex02"];

type Row = (&'static str, Option<&'static str>);

/// What is in the state of each before the calls, block by block.
const BLOCKS: [&[Row]; 3] = [
    &[
        ("a1", Some(r#"{"id":"a1","owner":"Ada","value":1}"#)),
        ("a2", Some(r#"{"id":"a2","owner":"Ada","value":2}"#)),
        ("b1", Some(r#"{"id":"b1","owner":"Bob","value":3}"#)),
        ("\0owner~id\0Ada\0a1\0", Some("\0")),
        ("\0owner~id\0Ada\0a2\0", Some("\0")),
        ("\0owner~id\0Bob\0b1\0", Some("\0")),
        ("aztec", Some("this is no asset")),
    ],
    &[("a1", Some(r#"{"id":"a1","owner":"Ada","value":7}"#))],
    // The last two are of the recorded chaincode.
    &[("b1", None), ("\0owner~id\0Bob\0b1\0", None), ("a", None), ("b", None)],
];

/// Rows in all, which go over in three batches.
const MANY: usize = 250;

const CALLS: [&[&str]; 44] = [
    &["create", "c1", "Cy", "5"],
    &["create", "a1", "Cy", "5"],
    &["create", "c1", "Cy", "-5"],
    &["create", "c1", "Cy\0", "5"],
    &["create", "", "Cy", "5"],
    &["read", "a1"],
    &["read", "c1"],
    &["read", "aztec"],
    &["read", ""],
    &["update", "a1", "9"],
    &["update", "c1", "9"],
    &["update", "a1", "18446744073709551616"],
    &["transfer", "a1", "Bob"],
    &["transfer", "c1", "Bob"],
    &["transfer", "a1", "Bob\u{10ffff}"],
    &["delete", "a2"],
    &["delete", "b1"],
    &["list", "a1", "a3"],
    &["list", "a", "b"],
    &["list", "b", "a"],
    &["list", "ops", "opt"],
    &["list", "ops", "p"],
    &["list", "\0", ""],
    &["list", "", "a3"],
    &["page", "a", "a3", "1", ""],
    &["page", "a", "a3", "1", "a2"],
    &["page", "a", "a3", "100", ""],
    &["page", "a", "b", "10", ""],
    &["page", "a", "a3", "0", ""],
    &["page", "a", "a3", "x", ""],
    &["page", "ops", "opt", "120", ""],
    &["ownedBy", "Ada"],
    &["ownedBy", "Bob"],
    &["ownedBy", "A\0da"],
    &["history", "a1"],
    &["history", "b1"],
    &["history", "c1"],
    &["history", "aztec"],
    &["height", GOLDEN_CHANNEL],
    &["height", "nochannel"],
    &["empty"],
    &["ops", "10"],
    &["ops", "0"],
    &["no such function", "x"],
];

/// What a call came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: i32,
    message: String,
    payload: Bytes,
    event: Option<(String, Bytes)>,
    /// The chaincode's own namespace; none where it touched nothing, or was not endorsed.
    results: Option<Bytes>,
}

struct Peer {
    node: TestPeer,
    endorser: EndorserClient<Channel>,
    user: Arc<dyn Signer>,
}

impl Peer {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        {
            let ledger = GOLDEN.replay(&LedgerProvider::open(&folder.join("data/ledgers"))?, HEIGHT)?;
            for (number, rows) in BLOCKS.iter().enumerate() {
                commit(&ledger, &format!("setup{number}"), rows)?;
            }
        }
        let msp = GOLDEN.path("msp/alpha-peer0");
        let settings = [
            ("PEER_MSPCONFIGPATH", msp.to_str().unwrap_or_default()),
            ("PEER_LOCALMSPID", "AlphaMSP"),
            ("CHAINCODE_MODE", "dev"),
        ];
        let node = TestPeer::start(folder, &[Plugin::guest("asset", "asset")?], &settings).await?;
        let endorser = EndorserClient::new(node.connection().await?).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let user = Arc::new(SigningIdentity::load(&GOLDEN.path("msp/alpha-user1"), "AlphaMSP")?);
        Ok(Self { node, endorser, user })
    }

    async fn call(&self, chaincode: &str, args: &[Bytes]) -> anyhow::Result<Outcome> {
        let transient = BTreeMap::new();
        let proposal = create_chaincode_proposal(GOLDEN_CHANNEL, chaincode, args.to_vec(), transient, &*self.user)?;
        let answer = self.endorser.clone().process_proposal(proposal.signed).await?.into_inner();
        let response = answer.response.context("a response")?;
        let action = ProposalResponsePayload::decode(answer.payload)?.extension;
        let action = ChaincodeAction::decode(action)?;
        let event = Some(ChaincodeEvent::decode(action.events)?).filter(|event| !event.event_name.is_empty());
        let sets = TxReadWriteSet::decode(action.results)?.ns_rwset;
        Ok(Outcome {
            status: response.status,
            message: response.message.replace(&proposal.txid, "TXID"),
            payload: response.payload,
            event: event.map(|event| (event.event_name, event.payload)),
            results: sets.into_iter().find(|set| set.namespace == chaincode).map(|set| set.rwset),
        })
    }

    /// Waits until the chaincode answers.
    async fn registered(&self, chaincode: &str) -> anyhow::Result<()> {
        for _ in 0..500 {
            if self.call(chaincode, &bytes(&["empty"])).await?.status == 200 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("chaincode {chaincode} did not register")
    }

    /// The same outcome of each form; returns it.
    async fn compare(&self, args: &[Bytes]) -> anyhow::Result<Outcome> {
        let wasm = self.call(FORMS[0], args).await?;
        for form in &FORMS[1..] {
            assert_eq!(wasm, self.call(form, args).await?, "{args:?} in the sandbox and as {form}");
        }
        Ok(wasm)
    }
}

/// Commits a transaction that does this to the namespace of each form.
fn commit(ledger: &Ledger, txid: &str, rows: &[Row]) -> anyhow::Result<()> {
    let mut simulator = ledger.new_tx_simulator(txid)?;
    for form in FORMS {
        for (key, value) in rows {
            match value {
                Some(value) => simulator.set_state(form, key, Bytes::from_static(value.as_bytes()))?,
                None => simulator.delete_state(form, key)?,
            }
        }
        if txid == "setup0" {
            for number in 0..MANY {
                simulator.set_state(form, &format!("ops{number:04}"), Bytes::from_static(b"x"))?;
            }
        }
    }
    commit_unendorsed(ledger, txid, simulator.results()?.public)
}

fn bytes(args: &[&str]) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_comes_to_the_same_in_the_sandbox_in_a_process_and_in_a_service() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = Peer::start(folder.path()).await?;
    let listener = peer.node.node().chaincode_address().to_string();
    let dialling = tokio::task::spawn_blocking(move || NativeChaincode::dial("asset", "kvand:1", &listener, &[]));
    let dialling = dialling.await??;
    let (service, address) = tokio::task::spawn_blocking(|| NativeChaincode::serve("asset", "kv:1", &[])).await??;
    connect_service(peer.node.node().support(), connect(&address, None).await?).await?;
    let service = tokio::task::spawn_blocking(move || service.registered().map(|()| service)).await??;

    let address = serve_sandboxed(folder.path(), "ex02:1", &[]).await?;
    connect_service(peer.node.node().support(), connect(&address, None).await?).await?;
    peer.registered("ex02").await?;

    let mut written = 0;
    for call in CALLS {
        let outcome = peer.compare(&bytes(call)).await?;
        written += usize::from(outcome.results.is_some());
    }
    assert!(written > 20, "only {written} calls read or wrote");
    let outcome = peer.compare(&[]).await?;
    assert_eq!(outcome.message, "there is no function  of 0 parameters");
    let outcome = peer.compare(&["read".into(), Bytes::from_static(b"\xff")]).await?;
    assert_eq!(outcome.message, "argument 1 is not valid UTF-8");

    // What they have in common is right.
    let outcome = peer.compare(&bytes(&["history", "a1"])).await?;
    let history = String::from_utf8_lossy(&outcome.payload).into_owned();
    assert!(history.contains("setup0") && history.contains("setup1"), "{history}");
    let outcome = peer.compare(&bytes(&["transfer", "a1", "Bob"])).await?;
    let event = outcome.event.context("an event")?;
    assert_eq!((event.0.as_str(), &event.1[..]), ("transferred", br#"{"id":"a1","owner":"Bob","value":7}"#.as_slice()));
    let outcome = peer.compare(&bytes(&["height", GOLDEN_CHANNEL])).await?;
    assert_eq!(outcome.payload, "12");
    drop((dialling, service));
    peer.node.stop().await;
    Ok(())
}
