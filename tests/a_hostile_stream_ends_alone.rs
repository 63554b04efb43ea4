//! A chaincode process that breaks the protocol gets what Fabric gives it, and nobody else notices.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::TransactionParams;
use selvedge::container::Ccid;
use selvedge::testing::{Plugin, TestPeer};
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
use selvedge_proto::protos::{
    ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, GetState, PutState, Response,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

/// A chaincode process, as far as the peer can tell.
struct Process {
    to_peer: mpsc::UnboundedSender<ChaincodeMessage>,
    from_peer: Streaming<ChaincodeMessage>,
}

fn message(kind: Type, txid: &str, payload: impl Into<Bytes>) -> ChaincodeMessage {
    let (txid, channel_id) = (txid.to_owned(), "mychannel".to_owned());
    ChaincodeMessage { r#type: kind.into(), payload: payload.into(), txid, channel_id, ..Default::default() }
}

impl Process {
    async fn dial(peer: &TestPeer) -> anyhow::Result<Self> {
        let address = format!("http://{}", peer.node().chaincode_address());
        let channel = tonic::transport::Endpoint::from_shared(address)?.connect().await?;
        let (to_peer, messages) = mpsc::unbounded_channel();
        let stream = ChaincodeSupportClient::new(channel).register(UnboundedReceiverStream::new(messages)).await?;
        Ok(Self { to_peer, from_peer: stream.into_inner() })
    }

    async fn registered(peer: &TestPeer, id: &str) -> anyhow::Result<Self> {
        let mut process = Self::dial(peer).await?;
        process.register(id)?;
        process.expect(Type::Registered).await?;
        process.expect(Type::Ready).await?;
        Ok(process)
    }

    fn register(&self, id: &str) -> anyhow::Result<()> {
        let id = ChaincodeId { name: id.to_owned(), ..Default::default() };
        self.send(message(Type::Register, "", id.encode_to_vec()))
    }

    fn send(&self, message: ChaincodeMessage) -> anyhow::Result<()> {
        Ok(self.to_peer.send(message)?)
    }

    async fn next(&mut self) -> anyhow::Result<Result<Option<ChaincodeMessage>, Status>> {
        Ok(tokio::time::timeout(Duration::from_secs(10), self.from_peer.message()).await?)
    }

    async fn expect(&mut self, kind: Type) -> anyhow::Result<ChaincodeMessage> {
        let message = self.next().await??.context("the peer ended the stream")?;
        assert_eq!(message.r#type(), kind, "{message:?}");
        Ok(message)
    }

    /// Nothing has come, and the stream is open.
    async fn assert_silent(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(200), self.from_peer.message()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// The status with which the peer ends the stream.
    async fn end(&mut self) -> anyhow::Result<Status> {
        let end = self.next().await?.expect_err("the stream ends");
        assert_eq!(end.code(), tonic::Code::Unknown, "{end:?}");
        Ok(end)
    }

    /// Serves one transaction, as a good chaincode does.
    async fn serve(&mut self, peer: &TestPeer, txid: &str) -> anyhow::Result<()> {
        let execution = execute(peer, txid)?;
        let transaction = self.expect(Type::Transaction).await?;
        self.complete(&transaction)?;
        assert_eq!(execution.await??, "served");
        Ok(())
    }

    fn complete(&self, transaction: &ChaincodeMessage) -> anyhow::Result<()> {
        let response = Response { status: 200, payload: "served".into(), ..Default::default() };
        self.send(message(Type::Completed, &transaction.txid, response.encode_to_vec()))
    }
}

/// A transaction of `cc`, with a simulator; resolves with the response's payload.
fn execute(peer: &TestPeer, txid: &str) -> anyhow::Result<JoinHandle<anyhow::Result<String>>> {
    let ledger = peer.node().ledgers().get("mychannel").context("the channel")?;
    let params = TransactionParams {
        txid: txid.to_owned(),
        channel_id: "mychannel".to_owned(),
        simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(txid)?))),
        ..Default::default()
    };
    let support = peer.node().support().clone();
    Ok(tokio::spawn(async move {
        let executed = support.execute(&params, &Ccid::new("cc", "1.0"), ChaincodeInput::default()).await?;
        Ok(String::from_utf8(executed.response.payload.into())?)
    }))
}

async fn dev_peer(folder: &tempfile::TempDir) -> anyhow::Result<TestPeer> {
    let plugins = [Plugin::guest("mischief", "mischief")?];
    TestPeer::start(folder.path(), &plugins, &[("CHAINCODE_MODE", "dev")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_register_waits_and_the_good_one_serves() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc:1.0").await?;
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
    let mut process = Process::registered(&peer, "cc:1.0").await?;

    process.send(message(Type::Completed, "unknown", ""))?;
    process.send(message(Type::Error, "unknown", "oh"))?;
    process.send(message(Type::Keepalive, "", ""))?;
    process.send(message(Type::GetState, "unknown", vec![0xff; 9]))?;
    let answer = process.expect(Type::Error).await?;
    assert_eq!(answer.payload, "GET_STATE failed: transaction ID: unknown: no ledger context");

    let execution = execute(&peer, "t1")?;
    let transaction = process.expect(Type::Transaction).await?;
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

    process.complete(&transaction)?;
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
        let mut process = Process::registered(&peer, "cc:1.0").await?;
        let txid = format!("t{number}");
        let execution = execute(&peer, &txid)?;
        process.expect(Type::Transaction).await?;
        process.send(ChaincodeMessage { r#type: number, ..message(Type::Undefined, &txid, "") })?;
        let text = format!("[{txid}] Fabric side handler cannot handle message ({name}) while in ready state");
        assert_eq!(process.end().await?.message(), format!("error handling message, ending stream: {text}"));
        let error = execution.await?.unwrap_err().to_string();
        assert_eq!(error, format!("failed to execute transaction {txid}: error sending: chaincode stream terminated"));
    }
    // The name is free again.
    Process::registered(&peer, "cc:1.0").await?.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}
