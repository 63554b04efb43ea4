//! A chaincode process that breaks the protocol gets what Fabric gives it, and nobody else notices.

mod floods;
mod foreign;
mod process;
mod wire;

use std::time::Duration;

use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, GetState, PutState};

use process::{Process, dev_peer, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_register_waits_and_the_good_one_serves() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    good.serve(&peer, "t1").await?;

    let mut garbage = Process::dial(&peer).await?;
    garbage.send(message(Type::Register, "", vec![0xff; 64]))?;
    garbage.register("")?;
    garbage.assert_silent().await;

    let mut duplicate = Process::dial(&peer).await?;
    duplicate.register("cc:1.0")?;
    duplicate.assert_silent().await;
    let mut system = Process::dial(&peer).await?;
    system.register(&format!("mischief:{}", env!("CARGO_PKG_VERSION")))?;
    let refused = system.next().await?.expect_err("the stream ends");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert_eq!(refused.message(), "mischief is a system chaincode of this peer");

    good.serve(&peer, "t2").await?;
    drop((duplicate, system));
    tokio::time::sleep(Duration::from_millis(50)).await;
    good.serve(&peer, "t3").await?;
    peer.client().await?.query("mischief", &["canary"]).await?;

    garbage.send(message(Type::GetState, "t", ""))?;
    let text = "[t] Fabric side handler cannot handle message (GET_STATE) while in created state";
    assert_eq!(garbage.end().await?.message(), format!("error handling message, ending stream: {text}"));
    good.serve(&peer, "t4").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_concerns_no_transaction_changes_none() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut process = Process::registered(&peer, "cc").await?;

    process.send(message(Type::Completed, "unknown", ""))?;
    process.send(message(Type::Error, "unknown", "oh"))?;
    process.send(message(Type::Keepalive, "", ""))?;
    process.send(message(Type::GetState, "unknown", vec![0xff; 9]))?;
    let answer = process.expect(Type::Error).await?;
    assert_eq!(answer.payload, "GET_STATE failed: transaction ID: unknown: no ledger context");

    let execution = process.begin(&peer, "t1").await?;
    process.send(message(Type::PutState, "t1", vec![0xff; 9]))?;
    let answer = process.expect(Type::Error).await?;
    let answer = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(answer.starts_with("PUT_STATE failed: transaction ID: t1: unmarshal failed: "), "{answer}");

    // A second request while one is in work gets no answer at all.
    let spin = ChaincodeSpec {
        chaincode_id: Some(ChaincodeId { name: "mischief".into(), ..Default::default() }),
        input: Some(ChaincodeInput { args: vec!["spin".into(), "30000000".into()], ..Default::default() }),
        ..Default::default()
    };
    process.send(message(Type::InvokeChaincode, "t1", spin.encode_to_vec()))?;
    let put = PutState { key: "k".into(), value: "v".into(), collection: String::new() };
    process.send(message(Type::PutState, "t1", put.encode_to_vec()))?;
    let called = ChaincodeMessage::decode(process.expect(Type::Response).await?.payload)?;
    assert_eq!(called.r#type(), Type::Completed);
    process.assert_silent().await;
    let get = GetState { key: "k".into(), collection: String::new() };
    process.send(message(Type::GetState, "t1", get.encode_to_vec()))?;
    assert!(process.expect(Type::Response).await?.payload.is_empty());

    process.complete("t1", "served")?;
    process.send(message(Type::Error, "t1", "too late"))?;
    assert_eq!(execution.await??, "served");
    process.serve(&peer, "t2").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_illegal_message_ends_the_stream_and_wakes_who_waits() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    for (number, name) in [
        (1, "REGISTER"),
        (2, "REGISTERED"),
        (3, "INIT"),
        (4, "READY"),
        (5, "TRANSACTION"),
        (13, "RESPONSE"),
        (77, "77"),
    ] {
        let mut process = Process::registered(&peer, "cc").await?;
        let txid = format!("t{number}");
        let execution = process.begin(&peer, &txid).await?;
        process.send(ChaincodeMessage { r#type: number, ..message(Type::Undefined, &txid, "") })?;
        let text = format!("[{txid}] Fabric side handler cannot handle message ({name}) while in ready state");
        assert_eq!(process.end().await?.message(), format!("error handling message, ending stream: {text}"));
        let error = execution.await?.unwrap_err().to_string();
        assert_eq!(error, format!("failed to execute transaction {txid}: error sending: chaincode stream terminated"));
    }
    // The name is free again.
    Process::registered(&peer, "cc").await?.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}
