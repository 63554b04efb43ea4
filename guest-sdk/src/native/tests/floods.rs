//! What a peer causes and does not take, or does not wait for, has an end.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::outbox::{ECHOES, FULL};
use super::super::running::{NESTED, WAITING};
use super::*;

fn read(stub: &Stub) -> Result<Payload, Error> {
    Ok(stub.get_state("k")?.unwrap_or_default().into())
}

/// Answers more than there is room for.
fn large(_: &Stub) -> Result<Payload, Error> {
    Ok(vec![b'x'; FULL].into())
}

impl Peer {
    /// Has sent all that fits of what it does not take.
    async fn is_full(&self) {
        for _ in 0..1000 {
            if !self.handler.has_room() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there is room still");
    }
}

#[tokio::test]
async fn a_peer_that_takes_none_of_its_keepalives_has_its_stream_ended() -> Result<(), NativeError> {
    let mut peer = Peer::ready(read).await?;
    for round in 0..2 {
        for _ in 0..ECHOES {
            peer.give(message(Type::Keepalive, "", "x"))?;
        }
        if round == 0 {
            for _ in 0..ECHOES {
                peer.expect(Type::Keepalive).await;
            }
        }
    }
    let end = peer.give(message(Type::Keepalive, "", "x")).expect_err("one too many").to_string();
    let text = "error handling message: the peer sends KEEPALIVE and takes no answer: 1024 with ";
    assert!(end.starts_with(text), "{end}");
    // What it did not take is kept no longer.
    peer.expect(Type::Error).await;
    peer.assert_silent().await;
    Ok(())
}

#[tokio::test]
async fn keepalives_are_bounded_in_bytes_too() -> Result<(), NativeError> {
    let mut peer = Peer::ready(read).await?;
    peer.give(message(Type::Keepalive, "", vec![0; 2 << 20]))?;
    let end = peer.give(message(Type::Keepalive, "", "")).expect_err("the first is large").to_string();
    assert!(end.contains(": 1 with 2097"), "{end}");
    Ok(())
}

#[tokio::test]
async fn a_transaction_begins_when_the_peer_has_taken_the_answers_to_others() -> Result<(), NativeError> {
    let begun = Arc::<AtomicUsize>::default();
    let script = {
        let begun = Arc::clone(&begun);
        move |stub: &Stub| {
            begun.fetch_add(1, Ordering::SeqCst);
            large(stub)
        }
    };
    let mut peer = Peer::ready_for(1, script, "").await?;
    peer.transaction("t1", &[])?;
    peer.is_full().await;
    for txid in ["t2", "t3"] {
        peer.transaction(txid, &[])?;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    for txid in ["t1", "t2", "t3"] {
        assert_eq!(peer.completed(txid).await.payload.len(), FULL);
    }
    Ok(())
}

#[tokio::test]
async fn more_than_may_wait_are_refused_and_those_that_wait_are_not() -> Result<(), NativeError> {
    let mut peer = Peer::ready_for(1, read, "").await?;
    peer.transaction("runs", &[])?;
    let request = peer.expect(Type::GetState).await;
    for number in 0..WAITING {
        peer.transaction(&format!("waits{number}"), &[])?;
    }
    for _ in 0..2 {
        peer.transaction("refused", &[])?;
        let text = peer.failed("refused").await;
        let expected = "[refused] chaincode asset:1.0 refuses the transaction: 16384 transactions of this peer with ";
        assert!(text.starts_with(expected), "{text}");
    }
    peer.respond(&request, "1")?;
    peer.completed("runs").await;
    assert_eq!(peer.expect(Type::GetState).await.txid, "waits0");
    // It has made room for another.
    peer.transaction("late", &[])?;
    peer.assert_silent().await;
    Ok(())
}

#[tokio::test]
async fn a_peer_that_does_not_take_refusals_either_has_its_stream_ended() -> Result<(), NativeError> {
    let mut peer = Peer::ready(large).await?;
    peer.transaction("t", &[])?;
    peer.is_full().await;
    for number in 0..WAITING {
        peer.transaction(&format!("waits{number}"), &[])?;
    }
    let end = peer.transaction("ends", &[]).expect_err("it takes nothing").to_string();
    assert!(end.ends_with("; and the peer takes no answers"), "{end}");
    peer.expect(Type::Error).await;
    peer.assert_silent().await;
    Ok(())
}

#[tokio::test]
async fn one_transaction_runs_no_more_often_than_calls_are_nested() -> Result<(), NativeError> {
    let mut peer = Peer::ready_for(1, read, "").await?;
    let on = |number: usize| ChaincodeMessage { channel_id: number.to_string(), ..message(Type::Transaction, "t", "") };
    for number in 0..NESTED {
        peer.give(on(number))?;
        peer.expect(Type::GetState).await;
    }
    peer.give(on(NESTED))?;
    let refused = peer.expect(Type::Error).await;
    assert_eq!(refused.channel_id, NESTED.to_string());
    assert!(refused.payload.ends_with(b"it runs here 64 times already"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_a_transaction_called_keeps_its_place_until_the_last_of_it_has_ended() -> Result<(), NativeError> {
    let mut peer = Peer::ready_for(1, read, "").await?;
    peer.transaction("t", &[])?;
    let first = peer.expect(Type::GetState).await;
    peer.give(ChaincodeMessage { channel_id: "other".to_owned(), ..message(Type::Transaction, "t", "") })?;
    let second = peer.expect(Type::GetState).await;
    peer.transaction("waits", &[])?;
    peer.respond(&first, "")?;
    peer.completed("t").await;
    peer.assert_silent().await;
    peer.respond(&second, "")?;
    assert_eq!(peer.expect(Type::Completed).await.channel_id, "other");
    assert_eq!(peer.expect(Type::GetState).await.txid, "waits");
    Ok(())
}
