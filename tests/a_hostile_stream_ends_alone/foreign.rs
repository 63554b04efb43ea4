//! A chaincode that speaks for others: with their transactions, channels, iterators, names and signatures.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::TransactionParams;
use selvedge::client::create_chaincode_proposal;
use selvedge::container::Ccid;
use selvedge::testing::{TestPeer, commit_unendorsed, guest_path, wasm_package};
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{
    ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, GetState, GetStateByRange, Proposal, PutState,
    QueryResponse, QueryStateClose, QueryStateNext, Response,
};

use super::process::{CHANNEL, Process, dev_peer, message};

/// Rows that do not fit into one answer.
const ROWS: usize = 150;

fn put(key: &str) -> Bytes {
    PutState { key: key.to_owned(), value: "v".into(), collection: String::new() }.encode_to_vec().into()
}

fn text(answer: &ChaincodeMessage) -> String {
    String::from_utf8_lossy(&answer.payload).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chaincode_has_its_own_transactions_and_no_others() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let mut thief = Process::registered(&peer, "thief").await?;
    let execution = good.begin(&peer, "good").await?;

    // Of another chaincode, and on another channel; it is answered what a transaction of nobody is.
    for (kind, payload) in [
        (Type::GetState, GetState { key: "k".into(), collection: String::new() }.encode_to_vec().into()),
        (Type::PutState, put("k")),
        (Type::QueryStateClose, QueryStateClose { id: "x".into() }.encode_to_vec().into()),
    ] {
        thief.send(message(kind, "good", payload.clone()))?;
        let wanted = format!("{} failed: transaction ID: good: no ledger context", kind.as_str_name());
        assert_eq!(text(&thief.expect(Type::Error).await?), wanted);
        for channel in ["", "other", "mychannelgood"] {
            good.send(ChaincodeMessage { channel_id: channel.into(), ..message(kind, "good", payload.clone()) })?;
            assert_eq!(text(&good.expect(Type::Error).await?), wanted, "channel {channel:?}");
        }
    }
    // Channel and id are no more than their parts, wherever they are cut.
    let cut = ChaincodeMessage { channel_id: format!("{CHANNEL}g"), ..message(Type::PutState, "ood", put("k")) };
    good.send(cut)?;
    assert!(text(&good.expect(Type::Error).await?).ends_with("no ledger context"));

    // An answer to another's transaction, or before there is a question, answers nothing.
    thief.complete("good", "stolen")?;
    thief.send(message(Type::Error, "good", "stolen"))?;
    good.complete("later", "too early")?;
    // By the time this is answered, that was taken in.
    good.send(message(Type::GetState, "nobody", ""))?;
    good.expect(Type::Error).await?;
    let later = good.begin(&peer, "later").await?;
    thief.assert_silent().await;
    assert!(!execution.is_finished() && !later.is_finished());
    good.complete("later", "in time")?;
    good.complete("later", "twice")?;
    good.complete("good", "its own")?;
    good.send(message(Type::Completed, "good", vec![0xff; 9]))?;
    assert_eq!((execution.await??.as_str(), later.await??.as_str()), ("its own", "in time"));

    // The id is free again, for the same chaincode too.
    good.serve(&peer, "good").await?;
    drop(thief);
    good.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_belongs_to_its_transaction() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut cc = Process::registered(&peer, "cc").await?;
    commit_rows(&peer)?;
    let range = GetStateByRange { start_key: "k".into(), end_key: "l".into(), ..Default::default() };
    let range = Bytes::from(range.encode_to_vec());
    let (owner, other) = (cc.begin(&peer, "owner").await?, cc.begin(&peer, "other").await?);
    cc.send(message(Type::GetStateByRange, "owner", range.clone()))?;
    let batch = QueryResponse::decode(cc.expect(Type::Response).await?.payload)?;
    assert!(batch.has_more && batch.results.len() == 100, "{} rows", batch.results.len());

    let next = Bytes::from(QueryStateNext { id: batch.id.clone() }.encode_to_vec());
    let close = Bytes::from(QueryStateClose { id: batch.id.clone() }.encode_to_vec());
    cc.send(message(Type::QueryStateNext, "other", next.clone()))?;
    let refusal = "QUERY_STATE_NEXT failed: transaction ID: other: query iterator not found";
    assert_eq!(text(&cc.expect(Type::Error).await?), refusal);
    // Closing what is not open succeeds, and closes nobody else's.
    cc.send(message(Type::QueryStateClose, "other", close.clone()))?;
    cc.expect(Type::Response).await?;
    cc.send(message(Type::QueryStateNext, "owner", next.clone()))?;
    let rest = QueryResponse::decode(cc.expect(Type::Response).await?.payload)?;
    assert_eq!((rest.has_more, rest.results.len()), (false, ROWS - 100));
    cc.send(message(Type::QueryStateNext, "owner", next.clone()))?;
    assert!(text(&cc.expect(Type::Error).await?).ends_with("query iterator not found"));

    // It is gone with its transaction.
    cc.send(message(Type::GetStateByRange, "owner", range))?;
    let batch = QueryResponse::decode(cc.expect(Type::Response).await?.payload)?;
    cc.complete("owner", "done")?;
    owner.await??;
    cc.send(message(Type::QueryStateNext, "owner", QueryStateNext { id: batch.id }.encode_to_vec()))?;
    assert!(text(&cc.expect(Type::Error).await?).ends_with("no ledger context"));
    cc.complete("other", "done")?;
    other.await??;
    peer.stop().await;
    Ok(())
}

/// A transaction of `cc` that this peer's administrator has signed.
fn of_the_administrator(peer: &TestPeer) -> anyhow::Result<TransactionParams> {
    let made = create_chaincode_proposal(CHANNEL, "cc", vec!["f".into()], Default::default(), &*peer.admin()?)?;
    let ledger = peer.node().ledgers().get(CHANNEL).context("the channel")?;
    Ok(TransactionParams {
        simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(&made.txid)?))),
        txid: made.txid,
        channel_id: CHANNEL.to_owned(),
        proposal: Some(Arc::new(Proposal::decode(made.proposal)?)),
        signed_proposal: Some(Arc::new(made.signed)),
        ..Default::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chaincode_installs_nothing_with_the_signature_of_an_administrator_who_calls_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut cc = Process::registered(&peer, "cc").await?;
    let package = wasm_package("planted", "1.0", &std::fs::read(guest_path("asset")?)?, &[])?;
    let installed = folder.path().join("data/chaincodes/planted.1.0");

    let (params, support) = (of_the_administrator(&peer)?, peer.node().support().clone());
    let txid = params.txid.clone();
    let execution =
        tokio::spawn(async move { support.execute(&params, &Ccid::new("cc", "1.0"), ChaincodeInput::default()).await });
    cc.expect(Type::Transaction).await?;
    let call = |args: &[&Bytes]| ChaincodeSpec {
        chaincode_id: Some(ChaincodeId { name: "lscc".into(), ..Default::default() }),
        input: Some(ChaincodeInput { args: args.iter().copied().cloned().collect(), ..Default::default() }),
        ..Default::default()
    };
    cc.send(message(Type::InvokeChaincode, &txid, call(&[&"install".into(), &package]).encode_to_vec()))?;
    let called = ChaincodeMessage::decode(cc.expect(Type::Response).await?.payload)?;
    let refused = Response::decode(called.payload)?;
    let text = "a package is installed by a proposal to lscc, not by another chaincode's call";
    assert!(refused.status == 500 && refused.message.contains(text), "{refused:?}");
    assert!(!installed.exists());
    // What the administrator may see, the chaincode that works for him may.
    cc.send(message(Type::InvokeChaincode, &txid, call(&[&"getinstalledchaincodes".into()]).encode_to_vec()))?;
    let called = ChaincodeMessage::decode(cc.expect(Type::Response).await?.payload)?;
    assert_eq!(Response::decode(called.payload)?.status, 200);
    cc.complete(&txid, "done")?;
    execution.await??;

    let answer = peer.install(&package).await?;
    assert!(answer.status == 200 && installed.exists(), "the same by his own proposal: {answer:?}");
    peer.stop().await;
    Ok(())
}

/// Gives `cc` rows to read.
pub(crate) fn commit_rows(peer: &TestPeer) -> anyhow::Result<()> {
    let ledger = peer.node().ledgers().get(CHANNEL).expect("the channel");
    let mut simulator = ledger.new_tx_simulator("rows")?;
    for row in 0..ROWS {
        simulator.set_state("cc", &format!("k{row:03}"), "v".into())?;
    }
    commit_unendorsed(&ledger, "rows", simulator.results()?.public)
}
