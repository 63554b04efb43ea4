//! The stub's calls as messages, and the peer's answers.

use selvedge_proto::protos::{
    ChaincodeAdditionalParams, ChaincodeSpec, GetState, GetStateByRange, GetStateMultiple, GetStateMultipleResult,
    PutState, PutStateMetadata, QueryMetadata, QueryResponse, QueryResponseMetadata, QueryResultBytes, QueryStateClose,
    QueryStateNext, StateMetadata, StateMetadataResult,
};
use selvedge_proto::{MAX_MESSAGE_SIZE, queryresult};

use super::super::link::fits;
use super::*;

const ID: &str = "query";

fn batch(keys: &[&str], has_more: bool) -> Vec<u8> {
    let row = |key: &&str| {
        let row = queryresult::Kv { key: (*key).to_owned(), value: "v".into(), ..Default::default() };
        QueryResultBytes { result_bytes: row.encode_to_vec().into() }
    };
    let results = keys.iter().map(row).collect();
    QueryResponse { results, has_more, id: ID.to_owned(), ..Default::default() }.encode_to_vec()
}

fn decode<T: Message + Default>(message: &ChaincodeMessage) -> T {
    T::decode(message.payload.clone()).expect("a request")
}

#[tokio::test]
async fn keys_are_read_and_written_and_the_peers_refusal_is_the_error() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        assert_eq!(stub.get_state("absent")?, None);
        stub.put_private_data("c", "k", "v")?;
        let refused = stub.del_state("k").expect_err("refused");
        Ok(refused.to_string().into())
    })
    .await?;
    peer.transaction("t", &[])?;
    let get = peer.expect(Type::GetState).await;
    assert_eq!(decode::<GetState>(&get), GetState { key: "absent".into(), collection: String::new() });
    peer.respond(&get, "")?;
    let put = peer.expect(Type::PutState).await;
    assert_eq!(decode::<PutState>(&put), PutState { key: "k".into(), value: "v".into(), collection: "c".into() });
    peer.respond(&put, "")?;
    peer.expect(Type::DelState).await;
    peer.give(message(Type::Error, "t", "DEL_STATE failed: transaction ID: t: no ledger context"))?;
    let text = peer.completed("t").await.payload;
    assert_eq!(text, "DEL_STATE failed: transaction ID: t: no ledger context");
    Ok(())
}

#[tokio::test]
async fn rows_come_in_batches_and_the_peer_is_told_when_some_are_left() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        let most: usize = stub.string_args()?.concat().parse().unwrap_or(usize::MAX);
        let keys: Result<Vec<_>, Error> = stub.get_state_by_range("", "")?.take(most).map(|row| Ok(row?.key)).collect();
        Ok(keys?.join(",").into())
    })
    .await?;
    peer.transaction("all", &[])?;
    let range = peer.expect(Type::GetStateByRange).await;
    assert_eq!(decode::<GetStateByRange>(&range).start_key, "\u{1}");
    peer.respond(&range, batch(&["a", "b"], true))?;
    let next = peer.expect(Type::QueryStateNext).await;
    assert_eq!(decode::<QueryStateNext>(&next).id, ID);
    peer.respond(&next, batch(&["c"], false))?;
    assert_eq!(peer.completed("all").await.payload, "a,b,c");

    peer.transaction("two", &["2"])?;
    let range = peer.expect(Type::GetStateByRange).await;
    peer.respond(&range, batch(&["a", "b"], true))?;
    let close = peer.expect(Type::QueryStateClose).await;
    assert_eq!(decode::<QueryStateClose>(&close).id, ID);
    peer.respond(&close, QueryResponse::default().encode_to_vec())?;
    assert_eq!(peer.completed("two").await.payload, "a,b");

    peer.transaction("damaged", &[])?;
    let range = peer.expect(Type::GetStateByRange).await;
    peer.respond(&range, vec![0xff; 9])?;
    let response = peer.completed("damaged").await;
    assert!(response.message.starts_with("the peer's QueryResponse does not decode"), "{}", response.message);
    Ok(())
}

#[tokio::test]
async fn a_page_comes_whole_with_its_bookmark() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        let page = stub.get_state_by_range_with_pagination("a", "z", 2, "b")?;
        Ok(format!("{} {} {}", page.rows.len(), page.fetched_records_count, page.bookmark).into())
    })
    .await?;
    peer.transaction("t", &[])?;
    let range = peer.expect(Type::GetStateByRange).await;
    let metadata = QueryMetadata::decode(decode::<GetStateByRange>(&range).metadata).expect("QueryMetadata");
    assert_eq!(metadata, QueryMetadata { page_size: 2, bookmark: "b".to_owned() });
    let metadata = QueryResponseMetadata { fetched_records_count: 2, bookmark: "d".to_owned() };
    let mut page = QueryResponse::decode(&*batch(&["b", "c"], false)).expect("a batch");
    page.metadata = metadata.encode_to_vec().into();
    peer.respond(&range, page.encode_to_vec())?;
    assert_eq!(peer.completed("t").await.payload, "2 2 d");
    Ok(())
}

#[tokio::test]
async fn metadata_goes_under_fabrics_name() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        stub.set_state_validation_parameter("k", "policy")?;
        Ok(stub.get_state_validation_parameter("k")?.unwrap_or_default().into())
    })
    .await?;
    peer.transaction("t", &[])?;
    let put = peer.expect(Type::PutStateMetadata).await;
    let entry = StateMetadata { metakey: "VALIDATION_PARAMETER".to_owned(), value: "policy".into() };
    assert_eq!(decode::<PutStateMetadata>(&put).metadata, Some(entry.clone()));
    peer.respond(&put, "")?;
    let get = peer.expect(Type::GetStateMetadata).await;
    peer.respond(&get, StateMetadataResult { entries: vec![entry] }.encode_to_vec())?;
    assert_eq!(peer.completed("t").await.payload, "policy");
    Ok(())
}

#[tokio::test]
async fn another_chaincode_answers_or_its_failure_is_the_error() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        let answer = stub.invoke_chaincode("other", &["f"], "elsewhere")?;
        assert_eq!((answer.status, answer.message.as_str()), (404, "not here"));
        Ok(answer.payload)
    })
    .await?;
    let completed = protos::Response { status: 404, message: "not here".to_owned(), payload: "p".into() };
    let callee = |kind, payload: Vec<u8>| message(kind, "t", payload).encode_to_vec();
    peer.transaction("t", &[])?;
    let invoke = peer.expect(Type::InvokeChaincode).await;
    let spec: ChaincodeSpec = decode(&invoke);
    assert_eq!(spec.chaincode_id.unwrap_or_default().name, "other/elsewhere");
    assert_eq!(spec.input.unwrap_or_default().args, ["f"]);
    peer.respond(&invoke, callee(Type::Completed, completed.encode_to_vec()))?;
    assert_eq!(peer.completed("t").await.payload, "p");

    peer.transaction("t", &[])?;
    let invoke = peer.expect(Type::InvokeChaincode).await;
    peer.respond(&invoke, callee(Type::Error, b"it failed".to_vec()))?;
    assert_eq!(peer.completed("t").await.message, "it failed");
    Ok(())
}

#[tokio::test]
async fn several_keys_are_one_message_where_the_peer_knows_it() -> Result<(), NativeError> {
    let script = |stub: &Stub| {
        let keys: Vec<_> = (0..150).map(|n| n.to_string()).collect();
        let values = stub.get_state_multiple(&keys)?;
        Ok(format!("{} {}", values.len(), values.iter().flatten().count()).into())
    };
    let params = |most| ChaincodeAdditionalParams {
        use_get_multiple_keys: true,
        max_size_get_multiple_keys: most,
        ..Default::default()
    };
    let mut peer = Peer::ready_for(8, script, params(10).encode_to_vec()).await?;
    peer.transaction("t", &[])?;
    for expected in [100, 50] {
        let get = peer.expect(Type::GetStateMultiple).await;
        let keys = decode::<GetStateMultiple>(&get).keys.len();
        assert_eq!(keys, expected);
        let mut values = vec![Bytes::new(); keys];
        values[0] = "v".into();
        peer.respond(&get, GetStateMultipleResult { values }.encode_to_vec())?;
    }
    assert_eq!(peer.completed("t").await.payload, "150 2");

    let mut peer = Peer::ready(script).await?;
    peer.transaction("t", &[])?;
    for _ in 0..150 {
        let get = peer.expect(Type::GetState).await;
        peer.respond(&get, "")?;
    }
    assert_eq!(peer.completed("t").await.payload, "150 0");
    Ok(())
}

#[test]
fn what_no_peer_takes_is_refused_before_it_ends_the_stream() {
    assert_eq!(fits(Type::PutState, 1 << 20), Ok(()));
    let refused = fits(Type::PutState, MAX_MESSAGE_SIZE).unwrap_err();
    assert_eq!(refused, "PUT_STATE of 104857600 bytes is larger than a message to the peer may be (104857600 bytes)");
}
