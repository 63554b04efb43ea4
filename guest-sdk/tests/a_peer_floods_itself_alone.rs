//! A chaincode that serves several peers: what one of them sends too much of, or never answers, is nothing to the others.
#![cfg(feature = "native")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_client::ChaincodeClient;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage};
use selvedge_sdk::native::{self, Environment};
use selvedge_sdk::{Chaincode, Stub};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PATIENCE: Duration = Duration::from_secs(30);
/// Who takes nothing for so long takes nothing any more.
const STALLED: Duration = Duration::from_secs(5);

/// Asks for a key and ends.
struct Reads;

impl Chaincode for Reads {
    fn invoke(&self, stub: &Stub) -> selvedge_sdk::Response {
        stub.get_state("k").map(|value| value.unwrap_or_default()).into()
    }
}

/// The chaincode in a thread of its own, with this many places for the transactions of each peer; returns where.
fn serve(places: &str) -> Outcome<String> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let variable = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let variables = BTreeMap::from(
        [
            ("CORE_CHAINCODE_ID_NAME", "reads:1.0"),
            ("CHAINCODE_SERVER_ADDRESS", &address),
            ("CORE_CHAINCODE_CONCURRENCY", places),
        ]
        .map(variable),
    );
    let environment = Environment { arguments: Vec::new(), variables };
    std::thread::spawn(move || native::run(|| Reads, &environment));
    Ok(address)
}

struct Peer {
    to_chaincode: mpsc::Sender<ChaincodeMessage>,
    from_chaincode: Streaming<ChaincodeMessage>,
}

fn message(kind: Type, txid: &str, payload: impl Into<Bytes>) -> ChaincodeMessage {
    let (channel_id, txid) = ("c".to_owned(), txid.to_owned());
    ChaincodeMessage { r#type: kind.into(), payload: payload.into(), txid, channel_id, ..Default::default() }
}

async fn dial(address: &str) -> Outcome<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    for _ in 0..500 {
        if let Ok(channel) = endpoint.connect().await {
            return Ok(channel);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the chaincode does not listen".into())
}

impl Peer {
    async fn connect(address: &str) -> Outcome<Self> {
        // What has been sent but for one message has been read by the other side, or is in the sockets.
        let (to_chaincode, messages) = mpsc::channel(1);
        let stream = ChaincodeClient::new(dial(address).await?).connect(ReceiverStream::new(messages)).await?;
        let mut peer = Self { to_chaincode, from_chaincode: stream.into_inner() };
        peer.expect(Type::Register, "").await?;
        for kind in [Type::Registered, Type::Ready] {
            peer.to_chaincode.send(message(kind, "", "")).await?;
        }
        Ok(peer)
    }

    async fn begin(&self, txid: &str) -> Outcome<()> {
        let input = ChaincodeInput::default().encode_to_vec();
        Ok(self.to_chaincode.send(message(Type::Transaction, txid, input)).await?)
    }

    async fn next(&mut self) -> Result<Option<ChaincodeMessage>, Status> {
        let next = tokio::time::timeout(PATIENCE, self.from_chaincode.message()).await;
        next.expect("the chaincode says something in time")
    }

    async fn expect(&mut self, kind: Type, txid: &str) -> Outcome<ChaincodeMessage> {
        let next = self.next().await?.ok_or("the stream has ended")?;
        assert_eq!((next.r#type(), &*next.txid), (kind, txid));
        Ok(next)
    }

    async fn assert_silent(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(300), self.from_chaincode.message()).await;
        assert!(next.is_err(), "{next:?}");
    }

    async fn answer(&mut self, txid: &str) -> Outcome<()> {
        self.to_chaincode.send(message(Type::Response, txid, "")).await?;
        self.expect(Type::Completed, txid).await.map(drop)
    }

    /// One transaction from its beginning to its end.
    async fn transaction(&mut self, txid: &str) -> Outcome<()> {
        self.begin(txid).await?;
        self.expect(Type::GetState, txid).await?;
        self.answer(txid).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_nothing_holds_its_own_places_alone() -> Outcome<()> {
    let address = serve("2")?;
    let (mut busy, mut quiet) = (Peer::connect(&address).await?, Peer::connect(&address).await?);
    for number in 0..50 {
        busy.begin(&format!("busy{number}")).await?;
    }
    for number in 0..2 {
        busy.expect(Type::GetState, &format!("busy{number}")).await?;
    }
    busy.assert_silent().await;
    for number in 0..20 {
        quiet.transaction(&format!("quiet{number}")).await?;
    }
    // Its own go on in their order when it answers.
    for number in 2..50 {
        busy.answer(&format!("busy{}", number - 2)).await?;
        busy.expect(Type::GetState, &format!("busy{number}")).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_keepalives_and_reads_nothing_loses_its_stream_and_others_keep_theirs() -> Outcome<()> {
    let address = serve("2")?;
    let (mut flooding, mut other) = (Peer::connect(&address).await?, Peer::connect(&address).await?);
    let mut sent = 0;
    // It is not read from any more when the chaincode has had enough.
    while let Ok(Ok(())) =
        tokio::time::timeout(STALLED, flooding.to_chaincode.send(message(Type::Keepalive, "", vec![0; 1 << 19]))).await
    {
        sent += 1;
        assert!(sent < 200, "the stream is still read from");
    }
    other.transaction("other").await?;
    let end = loop {
        match flooding.next().await {
            Ok(message) => assert!(message.is_some(), "it ends with a reason"),
            Err(end) => break end,
        }
    };
    let text = "error handling message: the peer sends KEEPALIVE and takes no answer: ";
    assert!(end.message().starts_with(text), "{end:?}");
    // The same peer may come again.
    Peer::connect(&address).await?.transaction("again").await?;
    other.transaction("last").await
}
