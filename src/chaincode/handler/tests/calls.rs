//! Calls from chaincode to chaincode.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, PutState, Response};
use selvedge_proto::rwset;

use super::super::super::message::Type;
use super::super::super::testing::{CHANNEL, OTHER_CHANNEL, TestChaincode, TestPeer, like, outcome};
use super::super::super::{ChaincodeConfig, ChaincodeMode, TransactionParams};
use crate::container::VmController;

fn call(target: &str) -> Vec<u8> {
    let id = ChaincodeId { name: target.into(), ..ChaincodeId::default() };
    let input = ChaincodeInput { args: vec!["f".into()], ..ChaincodeInput::default() };
    ChaincodeSpec { chaincode_id: Some(id), input: Some(input), ..ChaincodeSpec::default() }.encode_to_vec()
}

/// Sends the call and has the transport work on it, beside the callee that the test plays.
fn begin(caller: &TestChaincode, tx: &ChaincodeMessage, target: &str) {
    let work = caller.peer.receive(like(tx, Type::InvokeChaincode, call(target))).unwrap();
    tokio::spawn(work.expect("a call is work"));
}

/// The caller's answer: the callee's last message, or the error.
async fn end(caller: &mut TestChaincode) -> Result<ChaincodeMessage, String> {
    let answer = caller.next().await;
    match answer.r#type() {
        Type::Response => Ok(ChaincodeMessage::decode(answer.payload).unwrap()),
        _ => Err(String::from_utf8(answer.payload.into()).unwrap()),
    }
}

async fn put(cc: &mut TestChaincode, tx: &ChaincodeMessage, key: &str) {
    let put = PutState { key: key.into(), value: "v".into(), collection: String::new() };
    assert_eq!(cc.ask(tx, Type::PutState, &put).await.unwrap(), "");
}

#[tokio::test]
async fn a_call_on_the_same_channel_shares_the_transaction_and_one_on_another_keeps_nothing() {
    let peer = TestPeer::new();
    let mut caller = peer.chaincode("caller:1.0").await;
    let mut callee = peer.chaincode("callee:1.0").await;
    for (target, channel, written) in
        [("callee", CHANNEL, &["callee", "caller"][..]), ("callee:ignored/other", OTHER_CHANNEL, &["caller"])]
    {
        let params = peer.params("t1", CHANNEL);
        let simulator = params.simulator.clone().unwrap();
        let execution = peer.execute(params, "caller");
        let tx = caller.next().await;
        put(&mut caller, &tx, "a").await;
        begin(&caller, &tx, target);
        let (called, budget) = callee.next_with_budget().await;
        assert_eq!(
            (called.r#type(), called.channel_id.as_str(), called.txid.as_str()),
            (Type::Transaction, channel, "t1")
        );
        assert_eq!(ChaincodeInput::decode(called.payload.clone()).unwrap().args, ["f"]);
        assert_eq!((called.proposal.clone(), budget.unwrap().depth()), (tx.proposal.clone(), 1));
        put(&mut callee, &called, "b").await;
        callee.complete(&called, "from callee");
        let answer = end(&mut caller).await.unwrap();
        assert_eq!(answer.r#type(), Type::Completed);
        assert_eq!(Response::decode(answer.payload).unwrap().payload, "from callee");
        caller.complete(&tx, "from caller");
        assert_eq!(outcome(execution).await.unwrap(), "from caller");

        let results = simulator.lock().unwrap().results().unwrap().public;
        let set = rwset::TxReadWriteSet::decode(results).unwrap();
        assert_eq!(set.ns_rwset.into_iter().map(|ns| ns.namespace).collect::<Vec<_>>(), written);
    }
}

#[tokio::test]
async fn calls_that_are_refused() {
    let peer = TestPeer::new();
    peer.rules.denied_channels.lock().unwrap().insert(OTHER_CHANNEL.into());
    let mut cc = peer.chaincode("cc:1.0").await;
    let no_input = ChaincodeSpec { chaincode_id: Some(ChaincodeId::default()), ..ChaincodeSpec::default() };
    let signed = || peer.params("t1", CHANNEL);
    let unsigned = || TransactionParams { signed_proposal: None, proposal: None, ..peer.params("t1", CHANNEL) };
    let outside = || TransactionParams { txid: "t1".into(), ..TransactionParams::default() };
    for (params, payload, cause) in [
        (signed(), Vec::new(), "chaincode invocation spec did not contain a chaincode ID"),
        (signed(), no_input.encode_to_vec(), "chaincode input did not contain any input"),
        (signed(), call("hidden"), "system chaincode hidden cannot be invoked with a cc2cc invocation"),
        (signed(), call("x/other"), "peer/ChaincodeToChaincode denied on other"),
        (signed(), call("x/nowhere"), "failed to find ledger for channel: nowhere"),
        (signed(), call("missing"), "chaincode missing not found"),
        (signed(), call("cc"), "execute failed: error sending: txid: t1(ch) exists"),
        (unsigned(), call("x:1"), "signed proposal must not be nil from caller [ch.x#1]"),
        (outside(), call("x"), "could not get valid transaction"),
        (outside(), call("scc/nowhere"), "failed to find ledger for channel: nowhere"),
    ] {
        let execution = peer.execute(params, "cc");
        let tx = cc.next().await;
        let error = cc.ask_raw(&tx, Type::InvokeChaincode, payload).await.unwrap_err();
        assert_eq!(error, format!("INVOKE_CHAINCODE failed: transaction ID: t1: {cause}"));
        cc.complete(&tx, "swallowed");
        assert_eq!(outcome(execution).await.unwrap(), "swallowed", "{cause}: every endorser sees the same");
    }
    let gone = ChaincodeMessage { txid: "gone".into(), ..ChaincodeMessage::default() };
    for (target, cause) in [("scc", "failed to get transaction context"), ("x", "could not get valid transaction")] {
        let error = cc.ask_raw(&gone, Type::InvokeChaincode, call(target)).await.unwrap_err();
        assert_eq!(error, format!("INVOKE_CHAINCODE failed: transaction ID: gone: {cause}"));
    }
}

#[tokio::test]
async fn a_system_chaincode_may_be_called_without_channel_and_proposal() {
    let peer = TestPeer::new();
    let mut cc = peer.chaincode("cc:1.0").await;
    let mut scc = peer.chaincode("scc:1.0").await;
    let execution = peer.execute(TransactionParams { txid: "t1".into(), ..TransactionParams::default() }, "cc");
    let tx = cc.next().await;
    begin(&cc, &tx, "scc");
    let called = scc.next().await;
    scc.tell(&called, Type::Error, Bytes::from("no"));
    let answer = end(&mut cc).await.unwrap();
    assert_eq!((answer.r#type(), answer.payload), (Type::Error, "no".into()));
    cc.complete(&tx, "done");
    assert_eq!(outcome(execution).await.unwrap(), "done");
}

#[tokio::test]
async fn what_only_this_peer_sees_of_a_callee_dooms_the_transaction() {
    let config = ChaincodeConfig {
        mode: ChaincodeMode::Dev,
        execute_timeout: Duration::from_millis(150),
        call_depth: 1,
        ..ChaincodeConfig::default()
    };
    let peer = TestPeer::with(config, VmController::default());
    let mut caller = peer.chaincode("caller:1.0").await;

    // The callee's stream ends.
    let mut callee = peer.chaincode("callee:1.0").await;
    let execution = peer.execute(peer.params("t1", CHANNEL), "caller");
    let tx = caller.next().await;
    begin(&caller, &tx, "callee");
    callee.next().await;
    callee.peer.closed();
    let error = end(&mut caller).await.unwrap_err();
    assert_eq!(
        error,
        "INVOKE_CHAINCODE failed: transaction ID: t1: execute failed: error sending: chaincode stream terminated"
    );
    caller.complete(&tx, "swallowed");
    let doomed = outcome(execution).await.unwrap_err();
    assert_eq!(doomed, "failed to execute transaction t1: error sending: chaincode stream terminated");

    // The callee does not start here.
    let execution = peer.execute(peer.params("t2", CHANNEL), "caller");
    let tx = caller.next().await;
    begin(&caller, &tx, "callee");
    let cause = "execute failed: [channel ch] could not launch chaincode callee:1.0: error starting container: unsupported \
                 VM type: SYSTEM";
    assert_eq!(end(&mut caller).await.unwrap_err(), format!("INVOKE_CHAINCODE failed: transaction ID: t2: {cause}"));
    caller.complete(&tx, "swallowed");
    let doomed = outcome(execution).await.unwrap_err();
    assert_eq!(doomed, format!("failed to execute transaction t2: error sending: {cause}"));

    // What is installed here may not run as what the channel has.
    let execution = peer.execute(peer.params("t5", CHANNEL), "caller");
    let tx = caller.next().await;
    begin(&caller, &tx, "foreign");
    let mismatch = "INVOKE_CHAINCODE failed: transaction ID: t5: Instantiation policy mismatch for cc foreign/1.0";
    assert_eq!(end(&mut caller).await.unwrap_err(), mismatch);
    caller.complete(&tx, "swallowed");
    assert!(outcome(execution).await.unwrap_err().ends_with("Instantiation policy mismatch for cc foreign/1.0"));

    // The callee calls on, deeper than this peer allows.
    let mut callee = peer.chaincode("callee:1.0").await;
    let execution = peer.execute(peer.params("t3", CHANNEL), "caller");
    let tx = caller.next().await;
    begin(&caller, &tx, "callee");
    let called = callee.next().await;
    begin(&callee, &called, "caller/other");
    let error = end(&mut callee).await.unwrap_err();
    assert!(error.contains("nested 2 deep, chaincode.wasm.limits.callDepth allows 1"), "{error}");
    callee.complete(&called, "swallowed");
    end(&mut caller).await.unwrap_err();
    caller.complete(&tx, "swallowed");
    assert!(outcome(execution).await.unwrap_err().contains("chaincode.wasm.limits.callDepth"));

    // The callee takes too long: both end at the deadline of the root.
    let execution = peer.execute(peer.params("t4", CHANNEL), "caller");
    let (tx, budget) = caller.next_with_budget().await;
    begin(&caller, &tx, "callee");
    let (_, nested) = callee.next_with_budget().await;
    assert_eq!(nested.unwrap().deadline(), budget.unwrap().deadline());
    let doomed = outcome(execution).await.unwrap_err();
    assert_eq!(doomed, "failed to execute transaction t4: error sending: timeout expired while executing transaction");
}
