//! A chaincode that speaks for others: with their transactions, channels, iterators and names.

use bytes::Bytes;
use selvedge::testing::{TestPeer, commit_unendorsed};
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{
    ChaincodeMessage, GetState, GetStateByRange, PutState, QueryResponse, QueryStateClose, QueryStateNext,
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

/// Gives `cc` rows to read.
pub(crate) fn commit_rows(peer: &TestPeer) -> anyhow::Result<()> {
    let ledger = peer.node().ledgers().get(CHANNEL).expect("the channel");
    let mut simulator = ledger.new_tx_simulator("rows")?;
    for row in 0..ROWS {
        simulator.set_state("cc", &format!("k{row:03}"), "v".into())?;
    }
    commit_unendorsed(&ledger, "rows", simulator.results()?.public)
}
