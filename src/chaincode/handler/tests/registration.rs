//! The states of a stream, and who may register.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message;
use selvedge_proto::protos::{ChaincodeAdditionalParams, ChaincodeMessage};

use super::super::super::message::{self, Type, type_name};
use super::super::super::testing::{CHANNEL, TestPeer, outcome};
use super::super::super::{ChaincodeConfig, ChaincodeMode};
use crate::container::{Budget, ChaincodeStream, Pending, StreamAcceptor, StreamError, VmController};

/// Every number that may come as a type: Fabric's, the unused 12, and one of the future.
const TYPES: std::ops::RangeInclusive<i32> = 0..=26;

fn of_type(number: i32) -> ChaincodeMessage {
    ChaincodeMessage { r#type: number, txid: "t".into(), ..ChaincodeMessage::default() }
}

#[tokio::test]
async fn a_stream_takes_nothing_but_register_and_keepalive_before_it_is_registered() {
    let peer = TestPeer::new();
    for number in TYPES {
        let result = peer.stream().peer.receive(of_type(number)).map(|work| work.is_some());
        match Type::try_from(number) {
            Ok(Type::Register | Type::Keepalive) => assert_eq!(result, Ok(false)),
            _ => assert_eq!(
                result.unwrap_err().to_string(),
                format!(
                    "error handling message, ending stream: [t] Fabric side handler cannot handle message ({}) while in \
                     created state",
                    type_name(number)
                )
            ),
        }
    }
}

#[tokio::test]
async fn a_ready_stream_takes_answers_and_requests() {
    let peer = TestPeer::new();
    let mut chaincode = peer.chaincode("cc:1.0").await;
    for number in TYPES {
        let result = chaincode.peer.receive(of_type(number));
        match number {
            6 | 7 | 18 => assert!(result.unwrap().is_none(), "{number} is done at once"),
            8..=11 | 14..=17 | 19..=25 => {
                result.unwrap().expect("a request is work").await;
                let answer = chaincode.next().await;
                let text = String::from_utf8_lossy(&answer.payload).into_owned();
                assert!(text.starts_with(&format!("{} failed: transaction ID: t: ", type_name(number))), "{text}");
            }
            _ => assert_eq!(
                result.map(|work| work.is_some()).unwrap_err().0,
                format!("[t] Fabric side handler cannot handle message ({}) while in ready state", type_name(number))
            ),
        }
    }
}

/// Fails from the second message on.
struct OneMessage(AtomicBool);

impl ChaincodeStream for OneMessage {
    fn send(&self, _: ChaincodeMessage) -> Result<(), StreamError> {
        match self.0.swap(true, Ordering::SeqCst) {
            false => Ok(()),
            true => Err(StreamError("broken".into())),
        }
    }

    fn execute(&self, _: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
        Err(StreamError("broken".into()))
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_sent_ready_takes_nothing() {
    let peer = TestPeer::new();
    let broken = peer.support.accept(Arc::new(OneMessage(false.into())));
    let id = selvedge_proto::protos::ChaincodeId { name: "cc:1.0".into(), ..Default::default() };
    broken.receive(message::bare(Type::Register, id.encode_to_vec().into())).map(|_| ()).unwrap();
    assert!(broken.receive(of_type(18)).unwrap().is_none());
    for number in [1, 6, 8] {
        let end = broken.receive(of_type(number)).map(|_| ()).unwrap_err();
        assert_eq!(end.0, "handle message: invalid state established for transaction t");
    }
    let failed = outcome(peer.execute(peer.params("t1", CHANNEL), "cc")).await.unwrap_err();
    assert_eq!(
        failed,
        "failed to execute transaction t1: [channel ch] could not launch chaincode cc:1.0: chaincode registration failed: \
         [] error sending READY: broken"
    );
}

#[tokio::test]
async fn a_registration_that_arrives_after_the_end_leaves_nothing_behind() {
    let peer = TestPeer::new();
    let mut late = peer.stream();
    late.peer.closed();
    late.register("cc:1.0").unwrap();
    late.assert_silent();
    assert!(peer.support.registry().handler("cc:1.0").is_none());
    peer.chaincode("cc:1.0").await;
}

#[tokio::test]
async fn ready_offers_batching_if_so_configured() {
    for (config, payload) in [
        (
            ChaincodeConfig { mode: ChaincodeMode::Dev, ..ChaincodeConfig::default() },
            ChaincodeAdditionalParams {
                use_write_batch: true,
                max_size_write_batch: 1000,
                use_get_multiple_keys: true,
                max_size_get_multiple_keys: 1000,
            },
        ),
        (
            ChaincodeConfig { mode: ChaincodeMode::Dev, runtime_params: None, ..ChaincodeConfig::default() },
            ChaincodeAdditionalParams::default(),
        ),
    ] {
        let peer = TestPeer::with(config, VmController::default());
        let mut chaincode = peer.stream();
        chaincode.register("cc:1.0").unwrap();
        assert_eq!(chaincode.next().await, message::bare(Type::Registered, "".into()));
        assert_eq!(chaincode.next().await, message::bare(Type::Ready, payload.encode_to_vec().into()));
    }
}

#[tokio::test]
async fn a_refused_registration_gets_no_answer_and_keeps_its_stream() {
    let net = TestPeer::with(ChaincodeConfig::default(), VmController::default());
    let dev = TestPeer::new();
    let _owner = dev.chaincode("taken:1.0").await;
    for (peer, id) in [(&net, "unsolicited:1.0"), (&dev, "taken:1.0"), (&dev, "")] {
        let mut refused = peer.stream();
        refused.register(id).unwrap();
        refused.assert_silent();
        refused.register(id).unwrap();
        assert!(refused.peer.receive(message::bare(Type::Register, "\u{1}".into())).unwrap().is_none());
    }
}

#[tokio::test]
async fn a_duplicate_that_leaves_does_not_take_the_owner_with_it() {
    let peer = TestPeer::new();
    let mut owner = peer.chaincode("cc:1.0").await;
    let duplicate = peer.stream();
    duplicate.register("cc:1.0").unwrap();
    duplicate.peer.closed();

    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let transaction = owner.next().await;
    owner.complete(&transaction, "still here");
    assert_eq!(outcome(execution).await.unwrap(), "still here");

    owner.peer.closed();
    let successor = peer.chaincode("cc:1.0").await;
    assert!(Arc::strong_count(&successor.peer) > 1, "the registry has the successor");
}
