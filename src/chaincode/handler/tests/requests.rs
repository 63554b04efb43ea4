//! Each request's effect, the type of its answer and what its errors say.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{
    ChaincodeMessage, DelState, GetHistoryForKey, GetState, GetStateByRange, GetStateMetadata, GetStateMultiple,
    GetStateMultipleResult, PurgePrivateState, PutState, PutStateMetadata, QueryStateNext, StateMetadata,
    StateMetadataResult, WriteBatchState, WriteRecord,
};
use selvedge_proto::{kvrwset, rwset};

use super::super::super::environment::Access;
use super::super::super::message::Type;
use super::super::super::testing::{CHANNEL, TestPeer, capabilities, like, outcome};
use crate::ledger::SharedSimulator;

fn key(key: &str) -> GetState {
    GetState { key: key.into(), collection: String::new() }
}

fn put(key: &str, value: &'static str, collection: &str) -> PutState {
    PutState { key: key.into(), value: value.into(), collection: collection.into() }
}

fn entry(metakey: &str, value: &'static str) -> Option<StateMetadata> {
    Some(StateMetadata { metakey: metakey.into(), value: value.into() })
}

/// What a transaction writes to the chaincode's namespace.
fn writes(simulator: &SharedSimulator) -> kvrwset::KvrwSet {
    let results = simulator.lock().unwrap().results().unwrap().public;
    let set = rwset::TxReadWriteSet::decode(results).unwrap();
    let ns = set.ns_rwset.into_iter().find(|ns| ns.namespace == "cc").expect("the namespace is the chaincode's name");
    kvrwset::KvrwSet::decode(ns.rwset).unwrap()
}

#[tokio::test]
async fn state_is_read_as_committed_and_written_under_the_chaincodes_name() {
    let peer = TestPeer::new();
    peer.put("cc", [("a".into(), "1".into())]);
    *peer.rules.capabilities.lock().unwrap() = capabilities(true, false);
    let mut cc = peer.chaincode("cc:1.0").await;
    let params = peer.params("t1", CHANNEL);
    let simulator = params.simulator.clone().unwrap();
    let execution = peer.execute(params, "cc");
    let tx = cc.next().await;

    assert_eq!(cc.ask(&tx, Type::GetState, &key("a")).await.unwrap(), "1");
    assert_eq!(cc.ask(&tx, Type::GetState, &key("none")).await.unwrap(), "");
    assert_eq!(cc.ask(&tx, Type::PutState, &put("a", "2", "")).await.unwrap(), "");
    assert_eq!(cc.ask(&tx, Type::GetState, &key("a")).await.unwrap(), "1", "own writes are not read");
    assert_eq!(cc.ask(&tx, Type::PutState, &put("b", "", "")).await.unwrap(), "");
    let delete = DelState { key: "c".into(), collection: String::new() };
    assert_eq!(cc.ask(&tx, Type::DelState, &delete).await.unwrap(), "");
    let metadata =
        PutStateMetadata { key: "a".into(), metadata: entry("VALIDATION_PARAMETER", "p"), ..Default::default() };
    assert_eq!(cc.ask(&tx, Type::PutStateMetadata, &metadata).await.unwrap(), "");
    let metadata = GetStateMetadata { key: "a".into(), ..Default::default() };
    let entries = StateMetadataResult::decode(cc.ask(&tx, Type::GetStateMetadata, &metadata).await.unwrap()).unwrap();
    assert_eq!(entries, StateMetadataResult::default(), "no metadata is committed");

    let several = GetStateMultiple { keys: ["a", "none", "a"].map(String::from).into(), ..Default::default() };
    let values = cc.ask(&tx, Type::GetStateMultiple, &several).await.unwrap();
    assert_eq!(GetStateMultipleResult::decode(values).unwrap().values, ["1", "", "1"].map(Bytes::from));

    cc.complete(&tx, "done");
    assert_eq!(outcome(execution).await.unwrap(), "done");
    let written = writes(&simulator);
    let keys: Vec<_> =
        written.writes.iter().map(|write| (write.key.as_str(), &write.value[..], write.is_delete)).collect();
    assert_eq!(keys, [("a", &b"2"[..], false), ("b", b"", true), ("c", b"", true)]);
    assert_eq!(written.metadata_writes.len(), 1);
}

#[tokio::test]
async fn an_answer_that_no_message_can_hold_is_refused_before_it_is_made() {
    let peer = TestPeer::new();
    peer.put("cc", [("large".into(), "x".repeat(1 << 20))]);
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    let times = |times| GetStateMultiple { keys: vec!["large".into(); times], ..Default::default() };
    assert!(cc.ask(&tx, Type::GetStateMultiple, &times(100)).await.is_ok());
    assert_eq!(
        cc.ask(&tx, Type::GetStateMultiple, &times(1_000_000)).await.unwrap_err(),
        "GET_STATE_MULTIPLE failed: transaction ID: t1: the answer has more than 104857600 bytes, which is all that a \
         message can hold: ask for less at a time"
    );
    cc.complete(&tx, "done");
    assert_eq!(outcome(execution).await.unwrap(), "done");
}

#[tokio::test]
async fn a_write_batch_is_applied_in_order_up_to_its_first_error() {
    let peer = TestPeer::new();
    *peer.rules.capabilities.lock().unwrap() = capabilities(true, true);
    let mut cc = peer.chaincode("cc:1.0").await;
    let params = peer.params("t1", CHANNEL);
    let simulator = params.simulator.clone().unwrap();
    let execution = peer.execute(params, "cc");
    let tx = cc.next().await;

    let record = |kind: Type, key: &str, value: &'static str| WriteRecord {
        key: key.into(),
        value: value.into(),
        metadata: entry("VALIDATION_PARAMETER", "p"),
        r#type: kind.into(),
        ..Default::default()
    };
    let good = [
        record(Type::PutState, "a", "1"),
        record(Type::DelState, "b", ""),
        record(Type::PutStateMetadata, "a", ""),
        record(Type::PutState, "a", "2"),
    ];
    let batch = |records: &[WriteRecord]| WriteBatchState { rec: records.to_vec() };
    assert_eq!(cc.ask(&tx, Type::WriteBatchState, &batch(&good)).await.unwrap(), "");
    let bad = [record(Type::PutState, "c", "3"), record(Type::GetState, "d", ""), record(Type::PutState, "e", "5")];
    assert_eq!(
        cc.ask(&tx, Type::WriteBatchState, &batch(&bad)).await.unwrap_err(),
        "WRITE_BATCH_STATE failed: transaction ID: t1: unknown operation type"
    );
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
    let keys: Vec<_> = writes(&simulator).writes.into_iter().map(|write| (write.key, write.value)).collect();
    assert_eq!(keys, [("a", "2"), ("b", ""), ("c", "3")].map(|(key, value)| (key.to_owned(), Bytes::from(value))));
}

#[tokio::test]
async fn errors_name_the_type_the_transaction_and_the_cause() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    let elsewhere = ChaincodeMessage { channel_id: "elsewhere".into(), ..tx.clone() };
    let unknown = ChaincodeMessage { txid: "t0".into(), ..tx.clone() };

    let get = key("a").encode_to_vec();
    let private = GetState { key: "a".into(), collection: "coll".into() }.encode_to_vec();
    let no_metadata = PutStateMetadata { key: "a".into(), ..Default::default() }.encode_to_vec();
    let metadata = GetStateMetadata { key: "a".into(), ..Default::default() }.encode_to_vec();
    let purge = PurgePrivateState { key: "a".into(), collection: String::new() }.encode_to_vec();
    let range = GetStateByRange { collection: "coll".into(), ..Default::default() }.encode_to_vec();
    let write = put("a", "1", "coll").encode_to_vec();
    let no_collections = "collection config not defined for chaincode [cc], pass the collection configuration upon \
                          chaincode definition/instantiation";
    let no_read =
        "tx creator does not have read access permission on privatedata in chaincodeName:cc collectionName: coll";
    let no_write =
        "tx creator does not have write access permission on privatedata in chaincodeName:cc collectionName: coll";
    let no_v1_3 = "key level endorsement is not enabled, channel application capability of V1_3 or later is required";
    let no_v2_5 = "purge private data is not enabled, channel application capability of V2_5 or later is required";

    let (off, on) = (capabilities(false, false), capabilities(true, true));
    for (about, capabilities, refused, kind, payload, cause) in [
        (&elsewhere, None, None, Type::GetState, &get, "no ledger context"),
        (&unknown, None, None, Type::QueryStateNext, &get, "no ledger context"),
        (&unknown, None, None, Type::InvokeChaincode, &get, "could not get valid transaction"),
        (&tx, None, None, Type::GetStateMetadata, &metadata, "application config does not exist for ch"),
        (&tx, off, None, Type::GetStateMetadata, &metadata, no_v1_3),
        (&tx, off, None, Type::PutStateMetadata, &no_metadata, no_v1_3),
        (&tx, on, None, Type::PutStateMetadata, &no_metadata, "the request holds no metadata entry"),
        (&tx, off, None, Type::PurgePrivateData, &purge, no_v2_5),
        (&tx, on, None, Type::PurgePrivateData, &purge, "only applicable for private data"),
        (&tx, on, None, Type::GetState, &private, no_collections),
        (&tx, on, None, Type::GetPrivateDataHash, &private, no_collections),
        (&tx, on, None, Type::PutState, &write, no_collections),
        (&tx, on, None, Type::GetStateByRange, &range, no_collections),
    ] {
        *peer.rules.capabilities.lock().unwrap() = capabilities;
        *peer.rules.refused_access.lock().unwrap() = refused;
        let error = cc.ask_raw(about, kind, payload.clone()).await.unwrap_err();
        assert_eq!(error, format!("{} failed: transaction ID: {}: {cause}", kind.as_str_name(), about.txid));
    }
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();

    // Permissions are asked once for each transaction, so these need transactions of their own.
    for (n, (refused, kind, payload, cause)) in [
        (Access::Read, Type::GetState, &private, no_read),
        (Access::Read, Type::GetStateByRange, &range, no_read),
        (Access::Write, Type::PutState, &write, no_write),
        (Access::Read, Type::GetPrivateDataHash, &private, no_collections),
    ]
    .into_iter()
    .enumerate()
    {
        *peer.rules.refused_access.lock().unwrap() = Some(refused);
        let execution = peer.execute(peer.params(&format!("r{n}"), CHANNEL), "cc");
        let tx = cc.next().await;
        let error = cc.ask_raw(&tx, kind, payload.clone()).await.unwrap_err();
        assert_eq!(error, format!("{} failed: transaction ID: r{n}: {cause}", kind.as_str_name()));
        cc.complete(&tx, "");
        outcome(execution).await.unwrap();
    }
}

#[tokio::test]
async fn malformed_payloads_are_told_so() {
    let peer = TestPeer::new();
    *peer.rules.capabilities.lock().unwrap() = capabilities(true, true);
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    for kind in [
        Type::GetState,
        Type::PutState,
        Type::DelState,
        Type::InvokeChaincode,
        Type::GetStateByRange,
        Type::GetQueryResult,
        Type::QueryStateNext,
        Type::QueryStateClose,
        Type::GetHistoryForKey,
        Type::GetStateMetadata,
        Type::PutStateMetadata,
        Type::GetPrivateDataHash,
        Type::PurgePrivateData,
        Type::WriteBatchState,
        Type::GetStateMultiple,
    ] {
        let error = cc.ask_raw(&tx, kind, vec![0x0a, 0xff]).await.unwrap_err();
        let expected = format!("{} failed: transaction ID: t1: unmarshal failed: ", kind.as_str_name());
        assert!(error.starts_with(&expected), "{error}");
    }
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
}

#[tokio::test]
async fn an_init_has_no_private_data() {
    let peer = TestPeer::new();
    *peer.rules.capabilities.lock().unwrap() = capabilities(true, true);
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute_init(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    assert_eq!(tx.r#type(), Type::Init);
    let coll = || "coll".to_owned();
    let (get, range) = (
        GetState { key: "a".into(), collection: coll() }.encode_to_vec(),
        GetStateByRange { collection: coll(), ..Default::default() }.encode_to_vec(),
    );
    let metadata = PutStateMetadata { collection: coll(), metadata: entry("k", "v"), ..Default::default() };
    for (kind, payload) in [
        (Type::GetState, get.clone()),
        (Type::DelState, get.clone()),
        (Type::GetPrivateDataHash, get.clone()),
        (Type::PurgePrivateData, get.clone()),
        (Type::GetStateMetadata, get),
        (Type::PutState, put("a", "1", "coll").encode_to_vec()),
        (Type::PutStateMetadata, metadata.encode_to_vec()),
        (Type::GetStateByRange, range),
    ] {
        assert_eq!(
            cc.ask_raw(&tx, kind, payload).await.unwrap_err(),
            format!(
                "{} failed: transaction ID: t1: private data APIs are not allowed in chaincode Init()",
                kind.as_str_name()
            )
        );
    }
    assert_eq!(cc.ask(&tx, Type::GetState, &key("a")).await.unwrap(), "");
    cc.complete(&tx, "initialised");
    assert_eq!(outcome(execution).await.unwrap(), "initialised");
}

#[tokio::test]
async fn a_second_request_in_flight_is_dropped_and_the_next_one_is_not() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    // One that is not answered at once.
    let request = || like(&tx, Type::GetStateByRange, Vec::new());
    let first = cc.peer.receive(request()).unwrap().unwrap();
    assert!(cc.peer.receive(request()).unwrap().is_none(), "the second is dropped");
    first.await;
    assert_eq!(cc.next().await.r#type(), Type::Response);
    cc.assert_silent();
    drop(cc.peer.receive(request()).unwrap().unwrap());
    cc.ask(&tx, Type::GetState, &key("a")).await.expect("an abandoned request is out of the way");
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
}

#[tokio::test]
async fn without_a_ledger_there_is_nothing_to_ask() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let params = crate::chaincode::TransactionParams { txid: "t1".into(), ..Default::default() };
    let execution = peer.execute(params, "cc");
    let tx = cc.next().await;
    assert!(tx.proposal.is_none());
    for (kind, payload) in [
        (Type::GetState, key("a").encode_to_vec()),
        (Type::QueryStateNext, QueryStateNext::default().encode_to_vec()),
        (Type::GetHistoryForKey, GetHistoryForKey::default().encode_to_vec()),
    ] {
        let error = cc.ask_raw(&tx, kind, payload).await.unwrap_err();
        assert_eq!(error, format!("{} failed: transaction ID: t1: no ledger context", kind.as_str_name()));
    }
    cc.complete(&tx, "");
    outcome(execution).await.unwrap();
}
