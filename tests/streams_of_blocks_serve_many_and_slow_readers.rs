//! Streams of blocks of a node: hundreds on one connection, readers that stall, clients that vanish, a node that stops.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use selvedge::client::{create_seek_envelope, create_signed_envelope};
use selvedge::testing::{Plugin, TestPeer};
use selvedge_proto::common::{Envelope, HeaderType, Status};
use selvedge_proto::orderer::seek_info::SeekBehavior;
use selvedge_proto::orderer::seek_position::Type as Position;
use selvedge_proto::orderer::{SeekInfo, SeekOldest, SeekPosition, SeekSpecified};
use selvedge_proto::protos::DeliverResponse;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::{MAX_MESSAGE_SIZE, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

const CHANNEL: &str = "mychannel";
/// More than HTTP/2 servers commonly allow on one connection; Fabric's allow any number.
const STREAMS: usize = 300;
const STALLED: usize = 60;
const BLOCKS: usize = 16;
/// Reads and writes of the transaction in each of them: a block of some 700 KB.
const OPERATIONS: &str = "6000";

async fn node(overrides: &[(&str, &str)]) -> anyhow::Result<(tempfile::TempDir, TestPeer)> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], overrides).await?;
    Ok((folder, peer))
}

fn endpoint(peer: &TestPeer) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{}", peer.node().peer_address()))?)
}

/// A connection on which little waits on the client's side, so that it is the node that has to hold back.
async fn connect(peer: &TestPeer) -> anyhow::Result<Channel> {
    let endpoint = endpoint(peer)?.initial_stream_window_size(1 << 16).initial_connection_window_size(1 << 16);
    Ok(endpoint.connect().await?)
}

async fn full(connection: &Channel, request: Envelope) -> anyhow::Result<Streaming<DeliverResponse>> {
    let mut client = DeliverClient::new(connection.clone()).max_decoding_message_size(MAX_MESSAGE_SIZE);
    Ok(client.deliver(tokio_stream::once(request)).await?.into_inner())
}

/// From block 0 on, without an end.
fn everything(peer: &TestPeer) -> anyhow::Result<Envelope> {
    let position = |position| Some(SeekPosition { r#type: Some(position) });
    let seek = SeekInfo {
        start: position(Position::Oldest(SeekOldest {})),
        stop: position(Position::Specified(SeekSpecified { number: u64::MAX })),
        behavior: SeekBehavior::BlockUntilReady as i32,
        ..SeekInfo::default()
    };
    Ok(create_signed_envelope(HeaderType::DeliverSeekInfo, CHANNEL, &seek, &*peer.user()?)?)
}

/// The number of the next block of a stream, whichever form it has.
async fn next(stream: &mut Streaming<DeliverResponse>) -> anyhow::Result<u64> {
    let message = tokio::time::timeout(Duration::from_secs(60), stream.message()).await.context("no block comes")?;
    match message?.and_then(|message| message.r#type).context("the stream ended")? {
        Type::Block(block) => Ok(block.header.context("no header")?.number),
        Type::FilteredBlock(block) => Ok(block.number),
        other => anyhow::bail!("{other:?}"),
    }
}

/// A counter without labels of the node.
async fn counter(peer: &TestPeer, name: &str) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(peer.node().operations_address()).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("there is no {name}"))?.parse()?)
}

/// Waits until the node has taken leave of all streams but `left`.
async fn streams_left(peer: &TestPeer, left: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let opened = counter(peer, "deliver_streams_opened").await?;
        let open = opened - counter(peer, "deliver_streams_closed").await?;
        if open == left {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(20), "{open} of {opened} streams are open, and not {left}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_streams_on_one_connection_get_each_block_and_go_with_it() -> anyhow::Result<()> {
    let (_folder, peer) = node(&[]).await?;
    let client = peer.client().await?;
    let connection = endpoint(&peer)?.connect().await?;
    let mut streams = Vec::new();
    for index in 0..STREAMS {
        let seek = tokio_stream::once(create_seek_envelope(CHANNEL, &*peer.user()?, Bytes::new())?);
        let mut deliver = DeliverClient::new(connection.clone());
        let stream = if index % 2 == 0 { deliver.deliver(seek).await? } else { deliver.deliver_filtered(seek).await? };
        let mut stream = stream.into_inner();
        assert_eq!(next(&mut stream).await?, 0, "the newest block comes at once");
        streams.push(stream);
    }
    for block in 1..=3 {
        let began = Instant::now();
        client.submit("asset", &["create", &format!("a{block}"), "Ada", "1"]).await?;
        for stream in &mut streams {
            assert_eq!(next(stream).await?, block);
        }
        println!("block {block} on {STREAMS} streams {:?} after it was proposed", began.elapsed());
    }
    // Without a word, as a process that is killed.
    drop((streams, connection));
    streams_left(&peer, 1).await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_too_many_is_refused_until_another_ends() -> anyhow::Result<()> {
    let (_folder, peer) = node(&[("PEER_LIMITS_CONCURRENCY_DELIVERSERVICE", "2")]).await?;
    let connection = endpoint(&peer)?.connect().await?;
    // A stranger can open streams, too, and so takes nobody's place.
    let mut silent = Vec::new();
    for _ in 0..4 {
        let (requests, none) = tokio::sync::mpsc::channel(1);
        let mut client = DeliverClient::new(connection.clone());
        silent.push((requests, client.deliver(ReceiverStream::new(none)).await?));
    }
    let mut first = full(&connection, everything(&peer)?).await?;
    assert_eq!(next(&mut first).await?, 0);
    let mut second = full(&connection, everything(&peer)?).await?;
    assert_eq!(next(&mut second).await?, 0);
    let mut third = full(&connection, everything(&peer)?).await?;
    let refused = third.message().await.expect_err("the third");
    let text = "too many requests for /protos.Deliver, exceeding concurrency limit (2)";
    assert_eq!((refused.code(), refused.message()), (tonic::Code::Unknown, text));
    drop((first, third, silent));
    streams_left(&peer, 1).await?;
    let began = Instant::now();
    // The place is free a moment after the stream was counted.
    while next(&mut full(&connection, everything(&peer)?).await?).await.is_err() {
        ensure!(began.elapsed() < Duration::from_secs(20), "there is no place");
    }
    peer.stop().await;
    Ok(())
}

/// Bytes of this process in memory.
fn resident() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_take_little_memory_and_hold_nobody_up() -> anyhow::Result<()> {
    let (_folder, peer) = node(&[("NETWORK_DEVELOPMENT_BATCHTIMEOUT", "10ms")]).await?;
    let client = peer.client().await?;
    for _ in 0..BLOCKS {
        client.submit("asset", &["ops", OPERATIONS]).await?;
    }
    let newest = peer.node().ledgers().get(CHANNEL).context("a ledger")?.block_by_number(u64::MAX)?;
    let size = newest.context("a block")?.encoded_len();
    ensure!(size > 500_000, "a block of {size} bytes shows nothing");

    let before = resident()?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let connection = connect(&peer).await?;
        stalled.push((full(&connection, everything(&peer)?).await?, connection));
    }
    // Another one gets everything meanwhile, and what is new.
    let connection = connect(&peer).await?;
    let mut reader = full(&connection, everything(&peer)?).await?;
    for number in 0..=BLOCKS as u64 {
        assert_eq!(next(&mut reader).await?, number);
    }
    client.submit("asset", &["create", "a1", "Ada", "1"]).await?;
    assert_eq!(next(&mut reader).await?, BLOCKS as u64 + 1);
    let (grown, all) = (resident()?.saturating_sub(before), STALLED * BLOCKS * size);
    println!("{} MB more for {STALLED} stalled streams of {} MB in all", grown >> 20, all >> 20);
    assert!(grown < all / 3, "the node holds the blocks that nobody reads");

    // One of them reads on; the others are there when the node stops.
    let (mut first, _connection) = stalled.swap_remove(0);
    for number in 0..=BLOCKS as u64 + 1 {
        assert_eq!(next(&mut first).await?, number);
    }
    let began = Instant::now();
    let ((), said) = tokio::join!(peer.stop(), reader.message());
    let took = began.elapsed();
    let said = said?.and_then(|message| message.r#type);
    assert_eq!(said, Some(Type::Status(Status::ServiceUnavailable as i32)), "who listens hears that the node stops");
    println!("the node stopped in {took:?}");
    assert!(took < Duration::from_secs(9), "stopping took {took:?}");
    Ok(())
}
