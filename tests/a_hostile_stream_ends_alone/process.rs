//! A chaincode process, as far as the peer can tell: what it sends and gets is the test's to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::TransactionParams;
use selvedge::container::Ccid;
use selvedge::testing::{Plugin, TestPeer};
use selvedge::tls;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
use selvedge_proto::protos::{ChaincodeId, ChaincodeInput, ChaincodeMessage, Response};
use selvedge_proto::{MAX_MESSAGE_SIZE, Message};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub(crate) const CHANNEL: &str = "mychannel";

/// A transaction under way; resolves with the response's payload.
pub(crate) type Execution = JoinHandle<anyhow::Result<String>>;

/// An open stream.
pub(crate) struct Process {
    /// The chaincode that it has registered as.
    name: String,
    pub(crate) to_peer: mpsc::UnboundedSender<ChaincodeMessage>,
    pub(crate) from_peer: Streaming<ChaincodeMessage>,
}

pub(crate) fn message(kind: Type, txid: &str, payload: impl Into<Bytes>) -> ChaincodeMessage {
    let (txid, channel_id) = (txid.to_owned(), CHANNEL.to_owned());
    ChaincodeMessage { r#type: kind.into(), payload: payload.into(), txid, channel_id, ..Default::default() }
}

impl Process {
    pub(crate) async fn dial(peer: &TestPeer) -> anyhow::Result<Self> {
        Self::open(connect(peer).await?).await
    }

    /// A further stream of a connection.
    pub(crate) async fn open(connection: Channel) -> anyhow::Result<Self> {
        let (to_peer, messages) = mpsc::unbounded_channel();
        let mut client = ChaincodeSupportClient::new(connection).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let stream = client.register(UnboundedReceiverStream::new(messages)).await?;
        Ok(Self { name: String::new(), to_peer, from_peer: stream.into_inner() })
    }

    /// The chaincode of a name, in version 1.0.
    pub(crate) async fn registered(peer: &TestPeer, name: &str) -> anyhow::Result<Self> {
        let mut process = Self { name: name.to_owned(), ..Self::dial(peer).await? };
        process.register(&format!("{name}:1.0"))?;
        process.expect(Type::Registered).await?;
        process.expect(Type::Ready).await?;
        Ok(process)
    }

    pub(crate) fn register(&self, id: &str) -> anyhow::Result<()> {
        let id = ChaincodeId { name: id.to_owned(), ..Default::default() };
        self.send(message(Type::Register, "", id.encode_to_vec()))
    }

    pub(crate) fn send(&self, message: ChaincodeMessage) -> anyhow::Result<()> {
        Ok(self.to_peer.send(message)?)
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Result<Option<ChaincodeMessage>, Status>> {
        Ok(tokio::time::timeout(Duration::from_secs(10), self.from_peer.message()).await?)
    }

    pub(crate) async fn expect(&mut self, kind: Type) -> anyhow::Result<ChaincodeMessage> {
        let message = self.next().await??.context("the peer ended the stream")?;
        assert_eq!(message.r#type(), kind, "{message:?}");
        Ok(message)
    }

    /// Nothing has come, and the stream is open.
    pub(crate) async fn assert_silent(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(200), self.from_peer.message()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// The status with which the peer ends the stream.
    pub(crate) async fn end(&mut self) -> anyhow::Result<Status> {
        let end = self.next().await?.expect_err("the stream ends");
        assert_eq!(end.code(), tonic::Code::Unknown, "{end:?}");
        Ok(end)
    }

    /// Serves one transaction, as a good chaincode does.
    pub(crate) async fn serve(&mut self, peer: &TestPeer, txid: &str) -> anyhow::Result<()> {
        let execution = self.begin(peer, txid).await?;
        self.complete(txid, "served")?;
        assert_eq!(execution.await??, "served");
        Ok(())
    }

    /// Has the peer send it a transaction, which has a simulator.
    pub(crate) async fn begin(&mut self, peer: &TestPeer, txid: &str) -> anyhow::Result<Execution> {
        let ledger = peer.node().ledgers().get(CHANNEL).context("the channel")?;
        let params = TransactionParams {
            txid: txid.to_owned(),
            channel_id: CHANNEL.to_owned(),
            simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(txid)?))),
            ..Default::default()
        };
        let (support, ccid) = (peer.node().support().clone(), Ccid::new(&self.name, "1.0"));
        let execution = tokio::spawn(async move {
            let executed = support.execute(&params, &ccid, ChaincodeInput::default()).await?;
            Ok(String::from_utf8(executed.response.payload.into())?)
        });
        self.expect(Type::Transaction).await?;
        Ok(execution)
    }

    /// Answers a transaction.
    pub(crate) fn complete(&self, txid: &str, payload: &'static str) -> anyhow::Result<()> {
        let response = Response { status: 200, payload: payload.into(), ..Default::default() };
        self.send(message(Type::Completed, txid, response.encode_to_vec()))
    }
}

/// A connection to the listener of chaincodes.
pub(crate) async fn connect(peer: &TestPeer) -> anyhow::Result<Channel> {
    Ok(tls::connect(&peer.node().chaincode_address().to_string(), None).await?)
}

/// A node in development mode.
pub(crate) async fn dev_peer(folder: &tempfile::TempDir) -> anyhow::Result<TestPeer> {
    patient_peer(folder, "30s").await
}

/// The same, where a transaction may take this long.
pub(crate) async fn patient_peer(folder: &tempfile::TempDir, patience: &str) -> anyhow::Result<TestPeer> {
    let plugins = [Plugin::guest("mischief", "mischief")?];
    let settings = [("CHAINCODE_MODE", "dev"), ("CHAINCODE_EXECUTETIMEOUT", patience)];
    TestPeer::start(folder.path(), &plugins, &settings).await
}
