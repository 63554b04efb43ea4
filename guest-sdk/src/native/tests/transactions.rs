//! What becomes of INIT and TRANSACTION, one by one and many at a time.

use std::collections::BTreeMap;

use selvedge_proto::{Timestamp, common};
use sha2::{Digest, Sha256};

use super::*;

fn signed() -> protos::SignedProposal {
    let channel_header = common::ChannelHeader {
        timestamp: Some(Timestamp { seconds: 1_700_000_000, nanos: 5 }),
        epoch: 3,
        ..Default::default()
    };
    let signature_header = common::SignatureHeader { creator: "Ada".into(), nonce: "nonce".into() };
    let header = common::Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    let transient_map = BTreeMap::from([("secret".to_owned(), Bytes::from("s"))]);
    let payload = protos::ChaincodeProposalPayload { transient_map, ..Default::default() };
    let proposal = protos::Proposal {
        header: header.encode_to_vec().into(),
        payload: payload.encode_to_vec().into(),
        ..Default::default()
    };
    protos::SignedProposal { proposal_bytes: proposal.encode_to_vec().into(), signature: "signed".into() }
}

#[tokio::test]
async fn a_transaction_shows_what_its_message_brought() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        assert_eq!((stub.channel_id().as_str(), stub.txid().as_str()), (CHANNEL, "t"));
        assert_eq!(stub.string_args()?, ["f", "x"]);
        assert_eq!(stub.arg(1).map(|blob| blob.size()), Some(1));
        assert!(stub.arg(2).is_none());
        assert_eq!(stub.decorations()["d"], b"decorated");
        assert_eq!(stub.transient()["secret"], b"s");
        assert_eq!(stub.creator()?, b"Ada");
        assert_eq!((stub.timestamp()?.seconds, stub.timestamp()?.nanos), (1_700_000_000, 5));
        assert_eq!(stub.signed_proposal().map(|signed| signed.signature).as_deref(), Some(&b"signed"[..]));
        assert_eq!((stub.config("max.value").as_deref(), stub.config("other")), (Some("7"), None));
        stub.set_event("first", "1")?;
        stub.set_event("second", "2")?;
        Ok(stub.binding()?.into())
    })
    .await?;
    let decorations = BTreeMap::from([("d".to_owned(), Bytes::from("decorated"))]);
    let input = ChaincodeInput { args: vec!["f".into(), "x".into()], decorations, ..Default::default() };
    peer.give(ChaincodeMessage { proposal: Some(signed()), ..message(Type::Transaction, "t", input.encode_to_vec()) })?;
    let completed = peer.expect(Type::Completed).await;
    let response = protos::Response::decode(completed.payload).expect("a response");
    let binding = Sha256::new().chain_update("nonceAda").chain_update(3_u64.to_le_bytes()).finalize();
    assert_eq!((response.status, &response.payload[..]), (200, &binding[..]));
    let event = completed.chaincode_event.expect("the last event");
    assert_eq!((event.event_name.as_str(), &event.payload[..]), ("second", &b"2"[..]));

    peer.give(message(Type::Init, "t", input.encode_to_vec()))?;
    assert!(peer.failed("t").await.contains("trapped: panicked at"), "without a proposal there is no transient map");
    Ok(())
}

#[tokio::test]
async fn an_error_is_a_response_of_status_500_and_from_init_the_end_of_the_instantiation() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|_: &Stub| Err(Error::new("no"))).await?;
    peer.transaction("t", &[])?;
    let response = peer.completed("t").await;
    assert_eq!((response.status, response.message.as_str()), (500, "no"));
    // Fabric's peers do not look at the status of an INIT that is COMPLETED.
    peer.give(message(Type::Init, "t", input(&[])))?;
    assert_eq!(peer.failed("t").await, "no");
    Ok(())
}

#[tokio::test]
async fn a_chaincode_may_have_a_runtime_of_its_own() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async { read(stub) })
    })
    .await?;
    peer.transaction("t", &["a"])?;
    let request = peer.expect(Type::GetState).await;
    peer.respond(&request, "1")?;
    assert_eq!(peer.completed("t").await.payload, "1");
    Ok(())
}

#[tokio::test]
async fn a_panic_ends_its_transaction_with_the_text_that_the_sandbox_gives() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|stub: &Stub| match stub.string_args()?.first() {
        Some(reason) => panic!("{reason}"),
        None => Ok("fine".into()),
    })
    .await?;
    peer.transaction("t1", &["out of luck"])?;
    let error = peer.failed("t1").await;
    assert!(error.starts_with("chaincode asset:1.0 trapped: panicked at guest-sdk/src/native/tests/"), "{error}");
    assert!(error.ends_with(": out of luck"), "{error}");
    peer.transaction("t2", &[])?;
    assert_eq!(peer.completed("t2").await.payload, "fine");
    Ok(())
}

#[tokio::test]
async fn garbage_ends_its_transaction_and_not_the_stream() -> Result<(), NativeError> {
    let mut peer = Peer::ready(|_: &Stub| Ok(().into())).await?;
    peer.give(message(Type::Transaction, "t1", vec![0xff; 9]))?;
    assert!(peer.failed("t1").await.starts_with("the payload of the message is no ChaincodeInput: "));
    let garbage = protos::SignedProposal { proposal_bytes: vec![0xff; 9].into(), ..Default::default() };
    peer.give(ChaincodeMessage { proposal: Some(garbage), ..message(Type::Init, "t2", input(&[])) })?;
    assert!(peer.failed("t2").await.starts_with("the proposal of the message does not decode: "));
    peer.transaction("t3", &[])?;
    peer.completed("t3").await;
    Ok(())
}

/// Reads the key that is its argument.
fn read(stub: &Stub) -> Result<Payload, Error> {
    Ok(stub.get_state(&stub.string_args()?.concat())?.unwrap_or_default().into())
}

#[tokio::test]
async fn the_same_transaction_twice_at_a_time_may_ask_once_at_a_time() -> Result<(), NativeError> {
    let mut peer = Peer::ready(read).await?;
    peer.transaction("t", &["a"])?;
    let first = peer.expect(Type::GetState).await;
    peer.transaction("t", &["b"])?;
    let second = peer.completed("t").await;
    assert_eq!((second.status, second.message.as_str()), (500, "[mychanne] channel exists"));
    peer.respond(&first, "1")?;
    assert_eq!(peer.completed("t").await.payload, "1");
    Ok(())
}

#[tokio::test]
async fn transactions_wait_for_a_place_in_their_order_and_what_they_call_does_not() -> Result<(), NativeError> {
    let mut peer = Peer::ready_for(1, read, "").await?;
    for txid in ["t1", "t2", "t3"] {
        peer.transaction(txid, &[txid])?;
    }
    let first = peer.expect(Type::GetState).await;
    assert_eq!(first.txid, "t1");
    peer.assert_silent().await;
    // What the first has called, on another channel.
    let nested = message(Type::Transaction, "t1", input(&["nested"]));
    peer.give(ChaincodeMessage { channel_id: "other".to_owned(), ..nested })?;
    let nested = peer.expect(Type::GetState).await;
    assert_eq!((nested.txid.as_str(), nested.channel_id.as_str()), ("t1", "other"));
    peer.respond(&nested, "n")?;
    assert_eq!(peer.expect(Type::Completed).await.channel_id, "other");
    peer.assert_silent().await;

    peer.respond(&first, "1")?;
    assert_eq!(peer.completed("t1").await.payload, "1");
    for (txid, value) in [("t2", "2"), ("t3", "3")] {
        let request = peer.expect(Type::GetState).await;
        assert_eq!(request.txid, txid);
        peer.respond(&request, value)?;
        assert_eq!(peer.completed(txid).await.payload, value);
    }
    Ok(())
}
