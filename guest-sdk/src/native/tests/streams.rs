//! States, and messages that no state takes.

use tokio::sync::mpsc;

use super::*;

fn nothing(_: &Stub) -> Result<Payload, Error> {
    Ok(().into())
}

#[tokio::test]
async fn a_stream_begins_with_the_name_and_is_ready_after_two_answers() -> Result<(), NativeError> {
    let mut peer = Peer::created(8, nothing);
    let register = peer.expect(Type::Register).await;
    let id = protos::ChaincodeId::decode(register.payload).expect("a ChaincodeID");
    assert_eq!(id.name, "asset:1.0");
    peer.give(message(Type::Registered, "", ""))?;
    peer.give(message(Type::Ready, "", ""))?;
    peer.transaction("t1", &[])?;
    assert_eq!(peer.completed("t1").await.status, 200);
    Ok(())
}

/// The stream ends with this text, and the peer is told.
async fn ends(mut peer: Peer, given: ChaincodeMessage, expected: &str) {
    let txid = given.txid.clone();
    let end = peer.give(given).expect_err("the stream ends");
    assert_eq!(end.to_string(), format!("error handling message: {expected}"));
    let told = peer.expect(Type::Error).await;
    assert_eq!((told.payload, told.txid), (Bytes::copy_from_slice(expected.as_bytes()), txid));
}

#[tokio::test]
async fn a_message_that_the_state_does_not_take_ends_the_stream_in_fabrics_words() -> Result<(), NativeError> {
    let text = |kind: &str, size: usize, state: &str| {
        format!(
            "[t] Chaincode handler cannot handle message ({kind}) with payload size ({size}) while in state: {state}"
        )
    };
    for kind in [Type::Ready, Type::Transaction, Type::Response, Type::Error, Type::Undefined] {
        let mut peer = Peer::created(8, nothing);
        peer.expect(Type::Register).await;
        ends(peer, message(kind, "t", "abc"), &text(kind.as_str_name(), 3, "created")).await;
    }
    for kind in [Type::Registered, Type::Init, Type::Response] {
        let mut peer = Peer::created(8, nothing);
        peer.expect(Type::Register).await;
        peer.give(message(Type::Registered, "", ""))?;
        ends(peer, message(kind, "t", ""), &text(kind.as_str_name(), 0, "established")).await;
    }
    for kind in [Type::Registered, Type::Ready, Type::Register, Type::Completed, Type::GetState] {
        ends(Peer::ready(nothing).await?, message(kind, "t", ""), &text(kind.as_str_name(), 0, "ready")).await;
    }
    let unknown = ChaincodeMessage { r#type: 99, ..message(Type::Undefined, "t", "") };
    ends(Peer::ready(nothing).await?, unknown, &text("99", 0, "ready")).await;
    Ok(())
}

#[tokio::test]
async fn a_keepalive_is_echoed_in_every_state_and_changes_none() -> Result<(), NativeError> {
    let mut peer = Peer::created(8, nothing);
    peer.expect(Type::Register).await;
    for next in [Some(Type::Registered), Some(Type::Ready), None] {
        peer.give(message(Type::Keepalive, "", ""))?;
        peer.expect(Type::Keepalive).await;
        if let Some(next) = next {
            peer.give(message(next, "", ""))?;
        }
    }
    peer.transaction("t", &[])?;
    peer.completed("t").await;
    Ok(())
}

#[tokio::test]
async fn an_answer_to_nobody_ends_the_stream_and_an_error_to_nobody_does_not() -> Result<(), NativeError> {
    let mut peer = Peer::ready(nothing).await?;
    peer.give(message(Type::Error, "0123456789", "too late"))?;
    peer.transaction("t", &[])?;
    peer.completed("t").await;
    ends(peer, message(Type::Response, "0123456789", "too late"), "[01234567] sendChannel does not exist").await;
    Ok(())
}

#[tokio::test]
async fn what_waits_for_a_place_when_the_stream_ends_is_not_begun() -> Result<(), NativeError> {
    let (begun, mut transactions) = mpsc::unbounded_channel();
    let script = move |stub: &Stub| {
        let _ = begun.send(stub.txid());
        stub.get_state("a").map(|_| ().into())
    };
    let mut peer = Peer::ready_for(1, script, "").await?;
    peer.transaction("first", &[])?;
    peer.expect(Type::GetState).await;
    peer.transaction("second", &[])?;
    let Peer { handler, sent: _still_open } = peer;
    drop(handler);
    assert_eq!(transactions.recv().await.as_deref(), Some("first"));
    // Its sender is gone with the chaincode, when nothing waits any more.
    let next = tokio::time::timeout(Duration::from_secs(10), transactions.recv()).await.expect("in time");
    assert_eq!(next, None);
    Ok(())
}

#[tokio::test]
async fn the_end_of_the_stream_wakes_who_waits_and_who_asks_later() -> Result<(), NativeError> {
    let (woken, mut errors) = mpsc::unbounded_channel();
    let mut peer = Peer::ready(move |stub: &Stub| {
        for key in ["a", "b"] {
            let _ = woken.send(stub.get_state(key));
        }
        Ok(().into())
    })
    .await?;
    peer.transaction("t", &[])?;
    peer.expect(Type::GetState).await;
    let Peer { handler, sent: _still_open } = peer;
    drop(handler);
    for _ in 0..2 {
        let error = tokio::time::timeout(Duration::from_secs(10), errors.recv()).await.expect("in time");
        assert_eq!(error, Some(Err(Error::Peer("the stream to the peer has ended".to_owned()))));
    }
    Ok(())
}
