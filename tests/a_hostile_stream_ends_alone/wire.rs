//! What is no message at all, only a part of one, or too much of one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::Message;
use selvedge_proto::protos::PutState;
use selvedge_proto::protos::chaincode_message::Type;

use super::process::{Process, dev_peer, execute_of, message};

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

/// Sends bytes and reads what comes until the peer closes, or nothing comes for a while.
fn send(address: &str, bytes: &[u8]) -> anyhow::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    // It may close before it has it all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok((stream, String::from_utf8_lossy(&answer).into_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_messages_concern_their_connection_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc:1.0").await?;
    let address = peer.node().chaincode_address().to_string();
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let limit = u32::try_from(MAX_MESSAGE_SIZE)?;
    let mut hanging = Vec::new();
    for (what, bytes, told) in [
        ("bytes", garbage.clone(), ""),
        ("http 1", b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n".to_vec(), ""),
        ("half a preface", PREFACE[..10].to_vec(), ""),
        ("bytes after the preface", [PREFACE, &garbage].concat(), ""),
        ("a frame without end", [PREFACE, &[0xff; 9], &garbage].concat(), ""),
        ("a message of bytes", [register_call(), claim(64, &[0xff; 64])].concat(), "receive failed"),
        ("compressed without word of it", [register_call(), frame(0, 0, 1, &[1, 0, 0, 0, 1, 7])].concat(), "compress"),
        ("half a message", [register_call(), claim(1000, &[10; 500])].concat(), ""),
        ("the largest message, of which nothing comes", [register_call(), claim(limit, &[])].concat(), ""),
        ("a message too large", [register_call(), claim(limit + 1, &[])].concat(), "message length too large"),
        ("4 GiB", [register_call(), claim(u32::MAX, &[])].concat(), "message length too large"),
    ] {
        let address = address.clone();
        let (stream, answer) = tokio::task::spawn_blocking(move || send(&address, &bytes)).await??;
        assert!(answer.contains(told), "{what}: {answer:?}");
        hanging.push(stream);
        good.serve(&peer, what).await?;
    }
    drop(hanging);
    good.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_beyond_the_limit_ends_its_stream_and_one_below_is_taken() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc:1.0").await?;
    let mut large = Process::registered(&peer, "large:1.0").await?;
    let put = |bytes: usize| {
        let put = PutState { key: "k".into(), value: Bytes::from(vec![b'x'; bytes]), collection: String::new() };
        message(Type::PutState, "t1", put.encode_to_vec())
    };
    let execution = execute_of(&peer, "large", "t1")?;
    large.expect(Type::Transaction).await?;
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
