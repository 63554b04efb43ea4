//! Queries as the chaincode sees them: batches, pages, and iterators that are gone.

use std::time::{Duration, Instant};

use prost::Message;
use selvedge_proto::protos::{
    ChaincodeMessage, GetHistoryForKey, GetQueryResult, GetStateByRange, QueryMetadata, QueryResponse,
    QueryResponseMetadata, QueryStateClose, QueryStateNext,
};
use selvedge_proto::queryresult::{KeyModification, Kv};
use selvedge_proto::{kvrwset, rwset};

use super::super::super::message::Type;
use super::super::super::testing::{CHANNEL, TestChaincode, TestPeer, outcome};
use super::super::super::{RequestError, TransactionParams};
use crate::container::Budget;
use crate::ledger::LedgerError;
use crate::ledger::rich_query::{DeployedIndexes, PackagedIndex, RichQueryError};

fn range(metadata: &QueryMetadata) -> GetStateByRange {
    let metadata = metadata.encode_to_vec().into();
    GetStateByRange { start_key: "\u{1}".into(), metadata, ..GetStateByRange::default() }
}

async fn query(
    cc: &mut TestChaincode,
    tx: &ChaincodeMessage,
    kind: Type,
    request: &impl Message,
) -> Result<QueryResponse, String> {
    Ok(QueryResponse::decode(cc.ask(tx, kind, request).await?).unwrap())
}

fn keys(response: &QueryResponse) -> Vec<String> {
    let rows = response.results.iter().map(|row| Kv::decode(row.result_bytes.clone()).unwrap());
    rows.inspect(|row| assert_eq!(row.namespace, "cc")).map(|row| row.key).collect()
}

/// A chaincode `cc` with this many rows, `k000` and so on.
async fn with_rows(rows: u32) -> (TestPeer, TestChaincode) {
    let peer = TestPeer::new();
    peer.put("cc", (0..rows).map(|n| (format!("k{n:03}"), n.to_string())));
    let cc = peer.chaincode("cc:1.0").await;
    (peer, cc)
}

#[tokio::test]
async fn a_range_read_fully_and_one_read_half() {
    for rows in [49, 50, 51, 99, 100, 101, 250] {
        let (peer, mut cc) = with_rows(rows).await;
        let execution = peer.execute(peer.params("full", CHANNEL), "cc");
        let tx = cc.next().await;
        let mut seen = Vec::new();
        let mut response = query(&mut cc, &tx, Type::GetStateByRange, &range(&QueryMetadata::default())).await.unwrap();
        loop {
            assert!(response.metadata.is_empty() && response.results.len() <= 100);
            seen.extend(keys(&response));
            let next = QueryStateNext { id: response.id.clone() };
            if !response.has_more {
                let gone = query(&mut cc, &tx, Type::QueryStateNext, &next).await.unwrap_err();
                assert_eq!(gone, "QUERY_STATE_NEXT failed: transaction ID: full: query iterator not found");
                break;
            }
            response = query(&mut cc, &tx, Type::QueryStateNext, &next).await.unwrap();
            assert_eq!(response.id, next.id);
        }
        assert_eq!(seen, (0..rows).map(|n| format!("k{n:03}")).collect::<Vec<_>>());
        cc.complete(&tx, "");
        outcome(execution).await.unwrap();

        let params = peer.params("half", CHANNEL);
        let simulator = params.simulator.clone().unwrap();
        let execution = peer.execute(params, "cc");
        let tx = cc.next().await;
        let first = query(&mut cc, &tx, Type::GetStateByRange, &range(&QueryMetadata::default())).await.unwrap();
        let close = QueryStateClose { id: first.id.clone() };
        for _ in 0..2 {
            let closed = query(&mut cc, &tx, Type::QueryStateClose, &close).await.unwrap();
            assert_eq!(closed, QueryResponse { id: first.id.clone(), ..QueryResponse::default() });
        }
        let next = QueryStateNext { id: first.id };
        assert!(query(&mut cc, &tx, Type::QueryStateNext, &next).await.is_err());
        cc.complete(&tx, "");
        outcome(execution).await.unwrap();
        let results = simulator.lock().unwrap().results().unwrap().public;
        let set = rwset::TxReadWriteSet::decode(results).unwrap().ns_rwset.remove(0);
        let info = kvrwset::KvrwSet::decode(set.rwset).unwrap().range_queries_info.remove(0);
        let (end, exhausted) = if rows > 100 { ("k100", false) } else { ("", true) };
        assert_eq!((info.end_key.as_str(), info.itr_exhausted), (end, exhausted), "{rows} rows, the first batch taken");
    }
}

#[tokio::test]
async fn iterators_that_nobody_closes_are_bounded_and_the_transaction_ends_there() {
    let (peer, mut cc) = with_rows(101).await;
    let open = range(&QueryMetadata::default());
    let params = peer.params("open", CHANNEL);
    let execution = peer.execute(params, "cc");
    let tx = cc.next().await;
    let first = query(&mut cc, &tx, Type::GetStateByRange, &open).await.unwrap();
    for _ in 1..10_000 {
        assert!(query(&mut cc, &tx, Type::GetStateByRange, &open).await.unwrap().has_more);
    }
    // One that is closed makes room for one.
    query(&mut cc, &tx, Type::QueryStateClose, &QueryStateClose { id: first.id }).await.unwrap();
    query(&mut cc, &tx, Type::GetStateByRange, &open).await.unwrap();
    let refused = query(&mut cc, &tx, Type::GetHistoryForKey, &GetHistoryForKey { key: "k".into() }).await.unwrap_err();
    let reason =
        "10000 query iterators are open, the most that one execution may have: close those that are no longer read";
    assert_eq!(refused, format!("GET_HISTORY_FOR_KEY failed: transaction ID: open: {reason}"));
    // No endorser of another make fails there, so nothing may come of it.
    cc.complete(&tx, "all is well");
    let failed = outcome(execution).await.unwrap_err();
    assert!(failed.ends_with(reason), "{failed}");
}

#[tokio::test]
async fn a_page_comes_in_one_answer_with_the_bookmark_of_the_next() {
    let (peer, mut cc) = with_rows(250).await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    for (page_size, bookmark, first, count, next) in [
        (120, "", "k000", 120, "k120"),
        (120, "k120", "k120", 120, "k240"),
        (120, "k240", "k240", 10, ""),
        (0, "k249", "k249", 1, ""),
    ] {
        let page = QueryMetadata { page_size, bookmark: bookmark.into() };
        let response = query(&mut cc, &tx, Type::GetStateByRange, &range(&page)).await.unwrap();
        let end = QueryResponseMetadata::decode(response.metadata.clone()).unwrap();
        assert_eq!((keys(&response)[0].as_str(), response.results.len(), response.has_more), (first, count, false));
        assert_eq!((end.fetched_records_count as usize, end.bookmark.as_str()), (count, next));
    }
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
}

#[tokio::test]
async fn history_comes_oldest_first_and_rich_queries_are_refused() {
    let (peer, mut cc) = with_rows(1).await;
    peer.put("cc", [("k000".into(), "later".into())]);
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    let history = GetHistoryForKey { key: "k000".into() };
    let response = query(&mut cc, &tx, Type::GetHistoryForKey, &history).await.unwrap();
    let values = response.results.iter().map(|row| KeyModification::decode(row.result_bytes.clone()).unwrap().value);
    assert_eq!(values.collect::<Vec<_>>(), ["0", "later"]);
    assert!(!response.has_more);

    let rich = GetQueryResult { query: "{}".into(), ..GetQueryResult::default() };
    assert_eq!(
        query(&mut cc, &tx, Type::GetQueryResult, &rich).await.unwrap_err(),
        "GET_QUERY_RESULT failed: transaction ID: t1: ExecuteQuery not supported for leveldb"
    );
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();

    let without = crate::chaincode::TransactionParams { history: None, ..peer.params("t2", CHANNEL) };
    let execution = peer.execute(without, "cc");
    let tx = cc.next().await;
    assert_eq!(
        query(&mut cc, &tx, Type::GetHistoryForKey, &history).await.unwrap_err(),
        "GET_HISTORY_FOR_KEY failed: transaction ID: t2: history database not enabled"
    );
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
}

#[tokio::test]
async fn a_rich_query_comes_in_batches_and_in_pages_with_bookmarks() {
    let peer = TestPeer::new();
    peer.ledgers.use_couchdb(std::sync::Arc::new(NothingInstalled)).unwrap();
    peer.put("cc", (0..250).map(|n| (format!("k{n:03}"), format!("{{\"n\":{n}}}"))));
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    let descending = r#"{"selector":{"n":{"$gte":10}},"sort":[{"n":"desc"}]}"#;
    let rich = GetQueryResult { query: descending.into(), ..GetQueryResult::default() };
    let mut response = query(&mut cc, &tx, Type::GetQueryResult, &rich).await.unwrap();
    let mut sizes = vec![response.results.len()];
    assert_eq!(keys(&response)[0], "k249");
    while response.has_more {
        response = query(&mut cc, &tx, Type::QueryStateNext, &QueryStateNext { id: response.id }).await.unwrap();
        sizes.push(response.results.len());
    }
    assert_eq!((sizes, keys(&response).last().map(String::as_str)), (vec![100, 100, 40], Some("k010")));

    let (mut bookmark, mut seen) = (String::new(), Vec::new());
    for expected in [150, 90, 0] {
        let metadata = QueryMetadata { page_size: 150, bookmark }.encode_to_vec().into();
        let page = GetQueryResult { metadata, ..rich.clone() };
        let response = query(&mut cc, &tx, Type::GetQueryResult, &page).await.unwrap();
        let end = QueryResponseMetadata::decode(response.metadata.clone()).unwrap();
        assert_eq!((end.fetched_records_count, response.has_more), (expected, false));
        seen.extend(keys(&response));
        bookmark = end.bookmark;
    }
    assert_eq!(seen, (10..250).rev().map(|n| format!("k{n:03}")).collect::<Vec<_>>());
    let bad = QueryMetadata { page_size: 1, bookmark: "not one".into() }.encode_to_vec().into();
    let bad = query(&mut cc, &tx, Type::GetQueryResult, &GetQueryResult { metadata: bad, ..rich }).await.unwrap_err();
    assert!(
        bad.ends_with("Error:invalid_bookmark,  Status Code:400,  Reason:Invalid bookmark value: \"not one\""),
        "{bad}"
    );
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
}

#[tokio::test]
async fn a_rich_query_ends_when_nothing_can_come_of_its_transaction() {
    let peer = TestPeer::new();
    peer.ledgers.use_couchdb(std::sync::Arc::new(NothingInstalled)).unwrap();
    peer.put("cc", (0..250).map(|n| (format!("k{n:03}"), format!("{{\"n\":{n}}}"))));
    let mut cc = peer.chaincode("cc:1.0").await;
    let budget = Budget::root(Instant::now() + Duration::from_secs(30), None);
    let params = TransactionParams { budget: Some(budget.clone()), ..peer.params("t1", CHANNEL) };
    let execution = peer.execute(params, "cc");
    let tx = cc.next().await;
    let rich = GetQueryResult { query: r#"{"selector":{}}"#.into(), ..GetQueryResult::default() };
    let open = query(&mut cc, &tx, Type::GetQueryResult, &rich).await.unwrap();
    assert!(open.has_more);
    budget.fail("a callee ran out of time");
    let stopped = "failed: transaction ID: t1: the rich query was stopped, because its transaction is over";
    let next = query(&mut cc, &tx, Type::QueryStateNext, &QueryStateNext { id: open.id }).await.unwrap_err();
    assert_eq!(next, format!("QUERY_STATE_NEXT {stopped}"));
    let another = query(&mut cc, &tx, Type::GetQueryResult, &rich).await.unwrap_err();
    assert_eq!(another, format!("GET_QUERY_RESULT {stopped}"));
    cc.complete(&tx, "");
    outcome(execution).await.unwrap_err();
}

/// Another endorser may be faster: a caller must not be able to make something of the failure.
#[test]
fn a_rich_query_that_took_too_long_dooms_its_transaction() {
    let (spent, limit) = (Duration::from_secs(21), Duration::from_secs(20));
    assert!(RequestError::from(LedgerError::from(RichQueryError::Time { spent, limit })).is_local());
    assert!(RequestError::from(LedgerError::from(RichQueryError::Stopped)).is_local());
    assert!(!RequestError::from(LedgerError::from(RichQueryError::Fields)).is_local());
}

struct NothingInstalled;

impl DeployedIndexes for NothingInstalled {
    fn index_files(&self, _: &str, _: &str) -> Option<Vec<PackagedIndex>> {
        None
    }
}
