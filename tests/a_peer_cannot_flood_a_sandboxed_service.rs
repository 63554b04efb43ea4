//! `selvedge ccaas` and peers that lie: a flood delays nobody but the peer that sends it, and what it may leave in memory and
//! in the pool of instances has an end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use prost::Message;
use selvedge::testing::serve_sandboxed;
use selvedge::tls;
use selvedge_proto::protos::chaincode_client::ChaincodeClient;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// The asset chaincode with a place for one transaction at a time; returns where.
async fn serve(folder: &Path) -> anyhow::Result<String> {
    serve_sandboxed(folder, "asset:1", &[("CHAINCODE_WASM_INSTANCES", "9")]).await
}

/// A peer that does what the test wants.
struct Peer {
    to_chaincode: mpsc::Sender<ChaincodeMessage>,
    from_chaincode: Streaming<ChaincodeMessage>,
}

fn message(kind: Type, channel: &str, txid: &str, payload: Vec<u8>) -> ChaincodeMessage {
    let (channel_id, txid) = (channel.to_owned(), txid.to_owned());
    ChaincodeMessage { r#type: kind.into(), payload: payload.into(), txid, channel_id, ..Default::default() }
}

impl Peer {
    async fn connect(address: &str) -> anyhow::Result<Self> {
        let connection = tls::connect(address, None).await?;
        // What has been sent but for one message has been read by the other side, or is in the sockets.
        let (to_chaincode, messages) = mpsc::channel(1);
        let stream = ChaincodeClient::new(connection).connect(ReceiverStream::new(messages)).await?;
        let mut peer = Self { to_chaincode, from_chaincode: stream.into_inner() };
        peer.expect(Type::Register, "").await?;
        for kind in [Type::Registered, Type::Ready] {
            peer.send(message(kind, "", "", Vec::new())).await?;
        }
        Ok(peer)
    }

    async fn send(&self, message: ChaincodeMessage) -> anyhow::Result<()> {
        Ok(self.to_chaincode.send(message).await?)
    }

    /// `read`, which asks for a key, or `empty`, which asks for nothing.
    async fn begin(&self, channel: &str, txid: &str, args: &[&'static str]) -> anyhow::Result<()> {
        let args = args.iter().map(|arg| (*arg).into()).collect();
        let input = ChaincodeInput { args, ..Default::default() }.encode_to_vec();
        self.send(message(Type::Transaction, channel, txid, input)).await
    }

    async fn next(&mut self) -> anyhow::Result<ChaincodeMessage> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.from_chaincode.message()).await;
        next.context("the chaincode says nothing")??.context("the stream has ended")
    }

    async fn expect(&mut self, kind: Type, txid: &str) -> anyhow::Result<ChaincodeMessage> {
        let next = self.next().await?;
        ensure!(next.r#type() == kind && next.txid == txid, "{kind:?} of {txid} is expected, and this came: {next:?}");
        Ok(next)
    }

    /// Answers a GET_STATE, and waits for the end of its transaction.
    async fn answer(&mut self, request: &ChaincodeMessage) -> anyhow::Result<()> {
        self.send(message(Type::Response, &request.channel_id, &request.txid, Vec::new())).await?;
        self.expect(Type::Completed, &request.txid).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_waits_behind_the_transactions_of_other_peers() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let address = serve(folder.path()).await?;
    let (mut busy, mut quiet) = (Peer::connect(&address).await?, Peer::connect(&address).await?);
    for number in 0..50 {
        busy.begin("c", &format!("busy{number}"), &["read", "a1"]).await?;
    }
    let first = busy.next().await?;
    quiet.begin("c", "quiet", &["read", "a1"]).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    busy.answer(&first).await?;
    let second = busy.next().await?;
    busy.answer(&second).await?;
    let request = quiet.expect(Type::GetState, "quiet").await.context("after the first that was before it")?;
    quiet.answer(&request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_an_end_to_the_streams() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let address = serve(folder.path()).await?;
    let mut peers = Vec::new();
    let refusal = loop {
        match Peer::connect(&address).await {
            Ok(peer) => peers.push(peer),
            Err(refusal) => break refusal.to_string(),
        }
    };
    assert_eq!(peers.len(), 256);
    assert!(refusal.contains("chaincode asset:1 serves 256 streams already"), "{refusal}");
    // One that leaves makes place.
    drop(peers.pop());
    for _ in 0..500 {
        if let Ok(mut peer) = Peer::connect(&address).await {
            peer.begin("c", "t", &["empty"]).await?;
            return peer.expect(Type::Completed, "t").await.map(drop);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("there is no place again")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_has_one_place_however_often_it_is_sent() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut peer = Peer::connect(&serve(folder.path()).await?).await?;
    peer.begin("c0", "t", &["read", "a1"]).await?;
    let first = peer.expect(Type::GetState, "t").await?;
    peer.begin("c0", "t", &["read", "a1"]).await?;
    assert_eq!(peer.expect(Type::Error, "t").await?.payload, "txid: t(c0) exists");
    for depth in 1..9 {
        peer.begin(&format!("c{depth}"), "t", &["read", "a1"]).await?;
        peer.expect(Type::GetState, "t").await?;
    }
    peer.begin("c9", "t", &["read", "a1"]).await?;
    let refused = String::from_utf8(peer.expect(Type::Error, "t").await?.payload.into())?;
    assert!(refused.contains("nested 9 deep, chaincode.wasm.limits.callDepth allows 8"), "{refused}");
    peer.answer(&first).await?;
    // What has ended may be called again at once.
    for _ in 0..20 {
        peer.begin("c0", "t", &["read", "a1"]).await?;
        let request = peer.expect(Type::GetState, "t").await?;
        peer.answer(&request).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_listen_is_told_no_more() -> anyhow::Result<()> {
    const SENT: usize = 200;
    let folder = tempfile::tempdir()?;
    let mut peer = Peer::connect(&serve(folder.path()).await?).await?;
    for _ in 0..SENT {
        peer.send(message(Type::Keepalive, "", "", vec![0; 1 << 20])).await?;
    }
    peer.begin("c", "t", &["empty"]).await?;
    let mut echoes = 0;
    loop {
        let next = peer.next().await?;
        match next.r#type() {
            Type::Keepalive => echoes += 1,
            kind => {
                assert_eq!((kind, next.txid.as_str()), (Type::Completed, "t"));
                break;
            }
        }
    }
    assert!(echoes < SENT / 2, "{echoes} of {SENT} echoes waited for a peer that took none");
    Ok(())
}
