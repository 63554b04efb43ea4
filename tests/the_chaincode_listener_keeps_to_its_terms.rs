//! What a chaincode process may count on at the listener: messages of up to 100 MiB both ways, PINGs of HTTP/2 and no
//! KEEPALIVE messages, and silence for one that nobody launched.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::{Executed, TransactionParams};
use selvedge::container::Ccid;
use selvedge::testing::TestPeer;
use selvedge::tls::connect;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
use selvedge_proto::protos::{ChaincodeId, ChaincodeInput, ChaincodeMessage, Response};
use selvedge_proto::{MAX_MESSAGE_SIZE, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

/// How long may pass until something must have happened.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing must happen.
const SILENCE: Duration = Duration::from_millis(2500);

/// A chaincode process, as far as the peer can tell.
struct Process {
    to_peer: mpsc::UnboundedSender<ChaincodeMessage>,
    from_peer: Streaming<ChaincodeMessage>,
}

fn message(kind: Type, payload: impl Into<Bytes>) -> ChaincodeMessage {
    ChaincodeMessage { r#type: kind.into(), payload: payload.into(), ..Default::default() }
}

impl Process {
    async fn register(peer: &TestPeer, id: &str) -> anyhow::Result<Self> {
        let channel = connect(&peer.node().chaincode_address().to_string(), None).await?;
        let (to_peer, messages) = mpsc::unbounded_channel();
        let id = ChaincodeId { name: id.to_owned(), ..Default::default() };
        to_peer.send(message(Type::Register, id.encode_to_vec()))?;
        let mut client = ChaincodeSupportClient::new(channel).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let stream = client.register(UnboundedReceiverStream::new(messages)).await?;
        Ok(Self { to_peer, from_peer: stream.into_inner() })
    }

    async fn registered(peer: &TestPeer, id: &str) -> anyhow::Result<Self> {
        let mut process = Self::register(peer, id).await?;
        process.expect(Type::Registered).await?;
        process.expect(Type::Ready).await?;
        Ok(process)
    }

    async fn expect(&mut self, kind: Type) -> anyhow::Result<ChaincodeMessage> {
        let message = tokio::time::timeout(PATIENCE, self.from_peer.message()).await??;
        let message = message.context("the peer ended the stream")?;
        assert_eq!(message.r#type(), kind);
        Ok(message)
    }

    /// Answers a transaction with a payload, in a message of `size` bytes in all.
    fn complete(&self, transaction: &ChaincodeMessage, size: usize) -> anyhow::Result<()> {
        let answer = |payload: usize| {
            let response = Response { status: 200, payload: vec![7; payload].into(), ..Default::default() };
            let (txid, channel_id) = (transaction.txid.clone(), transaction.channel_id.clone());
            ChaincodeMessage { txid, channel_id, ..message(Type::Completed, response.encode_to_vec()) }
        };
        let rest = answer(size).encoded_len() - size;
        let answer = answer(size - rest);
        assert_eq!(answer.encoded_len(), size);
        Ok(self.to_peer.send(answer)?)
    }
}

fn execute(peer: &TestPeer, name: &str, argument: usize) -> anyhow::Result<JoinHandle<anyhow::Result<Executed>>> {
    let ledger = peer.node().ledgers().get("mychannel").context("the channel")?;
    let txid = format!("{name}{argument}");
    let params = TransactionParams {
        simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(&txid)?))),
        txid,
        channel_id: "mychannel".to_owned(),
        ..Default::default()
    };
    let (support, ccid) = (peer.node().support().clone(), Ccid::new(name, "1.0"));
    let input = ChaincodeInput { args: vec![vec![7; argument].into()], ..Default::default() };
    Ok(tokio::spawn(async move { Ok(support.execute(&params, &ccid, input).await?) }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_100_mib_pass_and_a_larger_one_ends_its_stream_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[("CHAINCODE_MODE", "dev")]).await?;
    let (mut large, mut small) =
        (Process::registered(&peer, "large:1.0").await?, Process::registered(&peer, "small:1.0").await?);

    let argument = MAX_MESSAGE_SIZE - 1024;
    let execution = execute(&peer, "large", argument)?;
    let transaction = large.expect(Type::Transaction).await?;
    assert!(transaction.encoded_len() > argument, "{}", transaction.encoded_len());
    large.complete(&transaction, MAX_MESSAGE_SIZE)?;
    assert!(execution.await??.response.payload.len() > argument);

    let execution = execute(&peer, "large", 1)?;
    let transaction = large.expect(Type::Transaction).await?;
    large.complete(&transaction, MAX_MESSAGE_SIZE + 1)?;
    let error = execution.await?.expect_err("the stream ends").to_string();
    assert!(error.ends_with("error sending: chaincode stream terminated"), "{error}");
    let told = large.from_peer.message().await.expect_err("the stream ends");
    assert!(told.message().starts_with("receive failed: "), "{told}");

    let execution = execute(&peer, "small", 1)?;
    let transaction = small.expect(Type::Transaction).await?;
    small.complete(&transaction, 1024)?;
    execution.await??;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_launched_waits_for_an_answer_and_takes_no_name() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let mut unsolicited = Process::register(&peer, "cc:1.0").await?;
    let answer = tokio::time::timeout(Duration::from_millis(300), unsolicited.from_peer.message()).await;
    assert!(answer.is_err(), "{answer:?}");
    let execution = execute(&peer, "cc", 1)?.await?.expect_err("there is no chaincode").to_string();
    assert!(execution.contains("chaincode cc not found"), "{execution}");
    peer.client().await?.query("qscc", &["GetChainInfo", "mychannel"]).await?;
    peer.stop().await;
    Ok(())
}

/// Counts the PINGs that a silent connection gets, and answers them.
async fn pings(address: std::net::SocketAddr) -> anyhow::Result<usize> {
    const PING: u8 = 6;
    const ACK: u8 = 1;
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    let mut pings = 0;
    let until = tokio::time::Instant::now() + SILENCE;
    loop {
        let mut header = [0; 9];
        let Ok(read) = tokio::time::timeout_at(until, stream.read_exact(&mut header)).await else { return Ok(pings) };
        read?;
        let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
        stream.read_exact(&mut payload).await?;
        if (header[3], header[4] & ACK) == (PING, 0) {
            pings += 1;
            header[4] |= ACK;
            stream.write_all(&[&header[..], &payload].concat()).await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_chaincode_is_pinged_below_its_stream() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = [("CHAINCODE_MODE", "dev"), ("CHAINCODE_KEEPALIVE", "1")];
    let peer = TestPeer::start(folder.path(), &[], &settings).await?;
    let mut process = Process::registered(&peer, "cc:1.0").await?;
    let (at_chaincodes, at_the_peers, message) = tokio::join!(
        pings(peer.node().chaincode_address()),
        pings(peer.node().peer_address()),
        tokio::time::timeout(SILENCE, process.from_peer.message()),
    );
    assert_eq!((at_chaincodes?, at_the_peers?), (2, 0));
    assert!(message.is_err(), "{message:?}");
    peer.stop().await;
    Ok(())
}
