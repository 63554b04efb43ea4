//! Between a node and its clients there may be something that forgets silent connections. A client's HTTP/2 PINGs, which
//! Fabric's SDKs send every two minutes at the most, are answered however many there are, and keep a stream alive on which
//! nothing happens.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use selvedge::client::create_seek_envelope;
use selvedge::testing::{Plugin, TestPeer};
use selvedge_proto::protos::DeliverResponse;
use selvedge_proto::protos::deliver_client::DeliverClient;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Streaming;
use tonic::transport::Endpoint;

/// How long a connection may be silent before the gateway forgets it.
const FORGETS: Duration = Duration::from_secs(3);
/// More PINGs in the time of this test than an SDK sends in an hour.
const PINGS: Duration = Duration::from_millis(50);
const SILENCE: Duration = Duration::from_secs(7);

/// Passes bytes on until there are none for a while.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) = tokio::time::timeout(FORGETS, from.read(&mut buffer)).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// A gateway to the node that forgets silent connections.
async fn gateway(node: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(node) = TcpStream::connect(node).await else { return };
                let ((from_client, to_client), (from_node, to_node)) = (client.into_split(), node.into_split());
                tokio::select! {
                    () = pass(from_client, to_node) => {}
                    () = pass(from_node, to_client) => {}
                }
            });
        }
    });
    Ok(address)
}

/// A stream that has had the newest block.
async fn listen(peer: &TestPeer, endpoint: Endpoint) -> anyhow::Result<Streaming<DeliverResponse>> {
    let seek = create_seek_envelope("mychannel", &*peer.user()?, Bytes::new())?;
    let mut deliver = DeliverClient::new(endpoint.connect().await?);
    let mut stream = deliver.deliver_filtered(tokio_stream::once(seek)).await?.into_inner();
    stream.message().await?.context("the newest block")?;
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_pings_outlives_a_silence_that_ends_one_without() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &[]).await?;
    let gateway = gateway(peer.node().peer_address()).await?;
    let endpoint = Endpoint::from_shared(format!("http://{gateway}"))?;
    let pinging = endpoint.clone().http2_keep_alive_interval(PINGS).keep_alive_while_idle(true);
    let (mut silent, mut pinging) = (listen(&peer, endpoint).await?, listen(&peer, pinging).await?);
    tokio::time::sleep(SILENCE).await;
    silent.message().await.expect_err("the gateway has forgotten it");
    peer.client().await?.submit("asset", &["create", "a1", "Ada", "1"]).await?;
    let heard = tokio::time::timeout(Duration::from_secs(20), pinging.message()).await.context("nothing is heard")?;
    heard?.context("the stream ended")?;
    peer.stop().await;
    Ok(())
}
