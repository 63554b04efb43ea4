//! What is no message at all, only a part of one, or too much of one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::Message;
use selvedge_proto::protos::PutState;
use selvedge_proto::protos::chaincode_message::Type;

use tokio_stream::StreamExt;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;

use super::process::{Process, connect, dev_peer, message};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a call of `Register`, with literals that need no table.
fn register_call() -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/protos.ChaincodeSupport/Register"),
        (":authority", "peer"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).expect("short"));
            headers.extend(text.as_bytes());
        }
    }
    [PREFACE, &frame(4, 0, 0, &[]), &frame(1, 4, 1, &headers)].concat()
}

/// The start of a gRPC message that claims to be this long.
fn claim(length: u32, content: &[u8]) -> Vec<u8> {
    frame(0, 0, 1, &[&[0], &length.to_be_bytes()[..], content].concat())
}

/// Sends bytes, and lets the peer answer for a while. The connection stays open if it leaves it.
fn send(address: &str, bytes: &[u8]) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    // It may close before it has it all.
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut Vec::new());
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_messages_concern_their_connection_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let address = peer.node().chaincode_address().to_string();
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let limit = u32::try_from(MAX_MESSAGE_SIZE)?;
    let mut hanging = Vec::new();
    for (what, bytes) in [
        ("bytes", garbage.clone()),
        ("http 1", b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n".to_vec()),
        ("half a preface", PREFACE[..10].to_vec()),
        ("bytes after the preface", [PREFACE, &garbage].concat()),
        ("a frame without end", [PREFACE, &[0xff; 9], &garbage].concat()),
        ("a message of bytes", [register_call(), claim(64, &[0xff; 64])].concat()),
        ("compressed without word of it", [register_call(), frame(0, 0, 1, &[1, 0, 0, 0, 1, 7])].concat()),
        ("half a message", [register_call(), claim(1000, &[10; 500])].concat()),
        ("the largest message, of which nothing comes", [register_call(), claim(limit, &[])].concat()),
        ("a message too large", [register_call(), claim(limit + 1, &[])].concat()),
        ("4 GiB", [register_call(), claim(u32::MAX, &[])].concat()),
    ] {
        let address = address.clone();
        hanging.push(tokio::task::spawn_blocking(move || send(&address, &bytes)).await??);
        good.serve(&peer, what).await?;
    }
    drop(hanging);
    good.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}

/// Sends its items as they are, and takes what comes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_chaincode_message_ends_its_stream_with_the_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let connection = connect(&peer).await?;
    // A field that is none; a length beyond the end; text that is no UTF-8 where an id stands; groups in groups.
    let nested = [0x0b; 10_000];
    for bytes in [&[0xff; 64][..], &[0x1a, 0x7f, 1], &[0x22, 2, 0xff, 0xfe], &nested] {
        let mut client = tonic::client::Grpc::new(connection.clone());
        client.ready().await?;
        let messages = tokio_stream::once(Bytes::copy_from_slice(bytes)).chain(tokio_stream::pending());
        let path = PathAndQuery::from_static("/protos.ChaincodeSupport/Register");
        let mut answers = client.streaming(tonic::Request::new(messages), path, Raw).await?.into_inner();
        let end = tokio::time::timeout(Duration::from_secs(10), answers.message()).await?.expect_err("it ends");
        assert_eq!(end.code(), tonic::Code::Unknown, "{end:?}");
        assert!(end.message().starts_with("receive failed: "), "{end:?}");
        good.serve(&peer, "meanwhile").await?;
    }
    // An id of any length is shown in part: as the reason why a stream ends it would end the whole connection.
    let verbose = Process::registered(&peer, "verbose").await?;
    let mut same = Process::open(connection).await?;
    same.send(message(Type::Ready, &"0123456789abcdef".repeat(1 << 16), ""))?;
    let text = format!("[{}... and 1048320 bytes more] Fabric side", "0123456789abcdef".repeat(16));
    let end = same.end().await?;
    assert!(end.message().contains(&text), "{end:?}");
    drop(verbose);
    good.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_beyond_the_limit_ends_its_stream_and_one_below_is_taken() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let mut large = Process::registered(&peer, "large").await?;
    let put = |bytes: usize| {
        let put = PutState { key: "k".into(), value: Bytes::from(vec![b'x'; bytes]), collection: String::new() };
        message(Type::PutState, "t1", put.encode_to_vec())
    };
    let execution = large.begin(&peer, "t1").await?;
    large.send(put(MAX_MESSAGE_SIZE - 100))?;
    large.expect(Type::Response).await?;
    good.serve(&peer, "meanwhile").await?;
    large.send(put(MAX_MESSAGE_SIZE))?;
    let end = large.end().await?;
    assert!(end.message().contains("message length too large"), "{end:?}");
    let error = execution.await?.unwrap_err().to_string();
    assert_eq!(error, "failed to execute transaction t1: error sending: chaincode stream terminated");
    good.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}
