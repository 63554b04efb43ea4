//! Executions: how they end, and what a budget does to them.

use std::time::{Duration, Instant};

use prost::Message;
use selvedge_proto::protos::{ChaincodeEvent, ChaincodeInput, ChaincodeMessage, GetState, Response};

use super::super::super::message::Type;
use super::super::super::testing::{CHANNEL, TestPeer, like, outcome};
use super::super::super::{ChaincodeConfig, ChaincodeMode, TransactionParams};
use crate::container::{Ccid, VmController};

fn impatient() -> TestPeer {
    let config = ChaincodeConfig {
        mode: ChaincodeMode::Dev,
        execute_timeout: Duration::from_millis(60),
        ..ChaincodeConfig::default()
    };
    TestPeer::with(config, VmController::default())
}

#[tokio::test]
async fn the_first_answer_wins_and_its_event_is_stamped() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let support = peer.support.clone();
    let params = peer.params("t1", CHANNEL);
    let input = ChaincodeInput { args: vec!["f".into(), "x".into()], ..ChaincodeInput::default() };
    let sent = input.clone();
    let execution = tokio::spawn(async move { support.execute(&params, &Ccid::new("cc", "1.0"), sent).await });
    let (tx, budget) = cc.next_with_budget().await;
    assert_eq!((tx.r#type(), tx.payload.clone()), (Type::Transaction, input.encode_to_vec().into()));
    assert_eq!(tx.proposal.as_ref().unwrap().signature, "s");
    assert_eq!(budget.unwrap().depth(), 0);

    let response = Response { status: 201, message: "m".into(), payload: "first".into() };
    let event = ChaincodeEvent {
        chaincode_id: "forged".into(),
        tx_id: "forged".into(),
        event_name: "e".into(),
        payload: "p".into(),
    };
    let completed = like(&tx, Type::Completed, response.encode_to_vec());
    let completed = ChaincodeMessage { chaincode_event: Some(event.clone()), ..completed };
    assert!(cc.peer.receive(completed).unwrap().is_none());
    cc.complete(&tx, "second");
    let executed = execution.await.unwrap().unwrap();
    assert_eq!(executed.response, response);
    let stamped = ChaincodeEvent { chaincode_id: "cc".into(), tx_id: "t1".into(), ..event };
    assert_eq!(executed.event, Some(stamped));

    let late = GetState::default();
    let error = cc.ask(&tx, Type::GetState, &late).await.unwrap_err();
    assert_eq!(error, "GET_STATE failed: transaction ID: t1: no ledger context");
}

#[tokio::test]
async fn failures_have_fabrics_texts() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    for (kind, payload, text) in [
        (Type::Error, &b"boom"[..], "transaction returned with failure: boom"),
        (Type::Completed, b"\x0a\xff", "failed to unmarshal response for transaction t1: "),
    ] {
        let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
        let tx = cc.next().await;
        cc.tell(&tx, kind, payload);
        let error = outcome(execution).await.unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    let unsigned = TransactionParams { signed_proposal: None, ..peer.params("t1", CHANNEL) };
    assert_eq!(
        outcome(peer.execute(unsigned, "cc")).await.unwrap_err(),
        "failed to execute transaction t1: error sending: failed getting proposal context. Signed proposal is nil"
    );
    assert_eq!(
        outcome(peer.execute(peer.params("t1", CHANNEL), "missing")).await.unwrap_err(),
        "failed to execute transaction t1: [channel ch] failed to get chaincode container info for missing:1.0: \
         chaincode missing not found"
    );
}

#[tokio::test]
async fn a_transaction_runs_once_at_a_time_on_a_stream() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let first = peer.execute(peer.params("t1", CHANNEL), "cc");
    let tx = cc.next().await;
    assert_eq!(
        outcome(peer.execute(peer.params("t1", CHANNEL), "cc")).await.unwrap_err(),
        "failed to execute transaction t1: error sending: txid: t1(ch) exists"
    );
    cc.complete(&tx, "first");
    assert_eq!(outcome(first).await.unwrap(), "first");
}

#[tokio::test]
async fn the_end_of_the_stream_wakes_every_execution() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let executions: Vec<_> = (0..8).map(|n| peer.execute(peer.params(&format!("t{n}"), CHANNEL), "cc")).collect();
    for _ in &executions {
        cc.next().await;
    }
    cc.peer.closed();
    for (n, execution) in executions.into_iter().enumerate() {
        let text = format!("failed to execute transaction t{n}: error sending: chaincode stream terminated");
        assert_eq!(outcome(execution).await.unwrap_err(), text);
    }
}

#[tokio::test]
async fn a_chaincode_that_cannot_be_reached_fails_the_transaction() {
    let peer = TestPeer::new();
    let cc = peer.chaincode("cc:1.0").await;
    drop(cc);
    assert_eq!(
        outcome(peer.execute(peer.params("t1", CHANNEL), "cc")).await.unwrap_err(),
        "transaction returned with failure: [t1] error sending TRANSACTION: the chaincode is gone"
    );
}

#[tokio::test]
async fn a_timeout_cancels_the_budget_and_late_answers_are_dropped() {
    let peer = impatient();
    let mut cc = peer.chaincode("cc:1.0").await;
    let began = Instant::now();
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let (tx, budget) = cc.next_with_budget().await;
    let text = "failed to execute transaction t1: error sending: timeout expired while executing transaction";
    assert_eq!(outcome(execution).await.unwrap_err(), text);
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert!(budget.unwrap().is_cancelled());
    cc.complete(&tx, "late");
    cc.assert_silent();
}

#[tokio::test]
async fn an_execution_that_is_given_up_cancels_its_budget_and_leaves_no_context() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let (tx, budget) = cc.next_with_budget().await;
    execution.abort();
    assert!(execution.await.unwrap_err().is_cancelled());
    assert!(budget.unwrap().is_cancelled());
    let error = cc.ask(&tx, Type::GetState, &GetState::default()).await.unwrap_err();
    assert_eq!(error, "GET_STATE failed: transaction ID: t1: no ledger context");
}

#[tokio::test]
async fn a_failed_budget_fails_the_execution_whatever_the_chaincode_answers() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
    let (tx, budget) = cc.next_with_budget().await;
    budget.unwrap().fail("the pool is full");
    cc.complete(&tx, "all is well");
    assert_eq!(
        outcome(execution).await.unwrap_err(),
        "failed to execute transaction t1: error sending: the pool is full"
    );
}
