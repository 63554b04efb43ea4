use bytes::Bytes;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use prost::Message;
use selvedge_proto::common::{ChannelHeader, HeaderType, Payload, SerializedIdentity, SignatureHeader};
use selvedge_proto::orderer::seek_info::SeekBehavior::{BlockUntilReady, FailIfNotReady};
use selvedge_proto::orderer::{SeekInfo, SeekPosition};
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::{DeliverResponse, TxValidationCode};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::ledger::testing::{TestChannel, envelope};
use crate::ordering::deliver_service::FullBlocks;
use crate::ordering::testing::{Gate, at, newest, oldest, request, seek};
use selvedge_proto::orderer::seek_position::Type as Position;

const CHANNEL: &str = TestChannel::NAME;

struct Client {
    requests: mpsc::Sender<Result<Envelope, tonic::Status>>,
    responses: mpsc::Receiver<Sent<DeliverResponse>>,
    task: JoinHandle<()>,
    deliverer: Arc<Deliverer>,
    metrics: Registry,
}

impl Client {
    fn new(channel: &TestChannel, gate: &Arc<Gate>) -> Self {
        Self::connected(channel, gate, DeliverConfig::default(), None)
    }

    fn connected(
        channel: &TestChannel,
        gate: &Arc<Gate>,
        config: DeliverConfig,
        certificate: Option<CertHash>,
    ) -> Self {
        let access = Arc::clone(gate) as Arc<dyn DeliverAccess>;
        let mut metrics = Registry::default();
        let counted = DeliverMetrics::register(&mut metrics);
        let deliverer = Arc::new(Deliverer::new(Arc::clone(&channel.provider), access, config, counted));
        let (requests, stream) = mpsc::channel(4);
        let (sender, responses) = mpsc::channel(RESPONSES);
        let serving = Arc::clone(&deliverer);
        let task =
            tokio::spawn(
                async move { serving.serve(FullBlocks, certificate, ReceiverStream::new(stream), sender).await },
            );
        Self { requests, responses, task, deliverer, metrics }
    }

    async fn ask(&self, request: Envelope) {
        self.requests.send(Ok(request)).await.unwrap();
    }

    /// "block 3" or "200"; "end" when the stream is over.
    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(20), self.responses.recv()).await;
        match next.expect("an answer comes") {
            None => "end".into(),
            Some(response) => match response.unwrap().r#type.unwrap() {
                Type::Block(block) => format!("block {}", block.header.unwrap().number),
                Type::Status(status) => status.to_string(),
                Type::FilteredBlock(_) => "filtered".into(),
                Type::BlockAndPrivateData(_) => "private".into(),
            },
        }
    }

    /// A line of the metrics: `deliver_streams_opened_total 1`.
    fn counts(&self, line: &str) -> bool {
        let mut text = String::new();
        encode(&mut text, &self.metrics).unwrap();
        text.lines().any(|found| found == line)
    }

    async fn all(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.next().await);
        }
        all
    }
}

/// Four blocks, 0 to 3.
fn channel() -> TestChannel {
    let mut channel = TestChannel::new();
    for _ in 0..3 {
        channel.put("cc", &[("k", "v")]);
    }
    channel
}

#[tokio::test]
async fn a_span_is_delivered_with_success_at_its_end_and_the_stream_takes_the_next_request() {
    let channel = channel();
    let mut client = Client::new(&channel, &Gate::new());
    for (start, stop, expected) in [
        (oldest(), newest(), vec!["block 0", "block 1", "block 2", "block 3", "200"]),
        (at(1), at(2), vec!["block 1", "block 2", "200"]),
        (newest(), newest(), vec!["block 3", "200"]),
        (oldest(), oldest(), vec!["block 0", "200"]),
    ] {
        client.ask(seek(CHANNEL, start, stop, BlockUntilReady)).await;
        assert_eq!(client.all(expected.len()).await, expected);
    }
    let (requests, none) = mpsc::channel(1);
    client.requests = requests;
    drop(none);
    assert_eq!(client.next().await, "end");
    for line in [
        "deliver_streams_opened_total 1",
        "deliver_streams_closed_total 1",
        "deliver_requests_received_total{channel=\"testchannel\",filtered=\"false\"} 4",
        "deliver_requests_completed_total{channel=\"testchannel\",filtered=\"false\",success=\"true\"} 4",
        "deliver_blocks_sent_total{channel=\"testchannel\",filtered=\"false\"} 8",
    ] {
        assert!(client.counts(line), "{line}");
    }
}

#[tokio::test]
async fn newest_to_forever_gives_the_newest_block_at_once_and_the_others_as_they_come() {
    let mut channel = channel();
    let mut client = Client::new(&channel, &Gate::new());
    client.ask(seek(CHANNEL, newest(), at(u64::MAX), BlockUntilReady)).await;
    assert_eq!(client.next().await, "block 3");
    for number in 4..6 {
        channel.put("cc", &[("k", "v")]);
        assert_eq!(client.next().await, format!("block {number}"));
    }
}

#[tokio::test]
async fn each_bad_request_gets_its_status_and_ends_the_stream() {
    let channel = channel();
    let an_hour = Duration::from_secs(3600);
    let seek_info = || SeekInfo::default().encode_to_vec().into();
    for (what, request, status) in [
        ("an empty envelope", Envelope::default(), "400"),
        ("an old request", request(CHANNEL, SystemTime::now() - an_hour, seek_info()), "400"),
        ("a request from the future", request(CHANNEL, SystemTime::now() + an_hour, seek_info()), "400"),
        ("an unknown channel", seek("other", newest(), newest(), BlockUntilReady), "404"),
        ("no seek info", request(CHANNEL, SystemTime::now(), "\x0a".into()), "400"),
        ("no start", request(CHANNEL, SystemTime::now(), seek_info()), "400"),
        ("start after stop", seek(CHANNEL, at(2), at(1), BlockUntilReady), "400"),
        ("the next block, now", seek(CHANNEL, at(4), at(u64::MAX), FailIfNotReady), "404"),
        ("beyond the next block", seek(CHANNEL, at(5), at(u64::MAX), BlockUntilReady), "404"),
        ("beyond the next block, and backwards", seek(CHANNEL, at(5), at(1), BlockUntilReady), "404"),
        ("a start of no kind", positions(Some(None), Some(Some(newest()))), "404"),
        ("a stop of no kind", positions(Some(Some(newest())), Some(None)), "400"),
        ("no stop, although the start is of no kind", positions(Some(None), None), "400"),
    ] {
        let mut client = Client::new(&channel, &Gate::new());
        client.ask(request).await;
        assert_eq!(client.all(2).await, [status, "end"], "{what}");
    }
}

fn positions(start: Option<Option<Position>>, stop: Option<Option<Position>>) -> Envelope {
    let position = |kind: Option<Option<Position>>| kind.map(|r#type| SeekPosition { r#type });
    let info = SeekInfo { start: position(start), stop: position(stop), ..Default::default() };
    request(CHANNEL, SystemTime::now(), info.encode_to_vec().into())
}

/// Fabric compares only a stop that has a number with the start.
#[tokio::test]
async fn from_the_next_block_to_the_newest_has_no_end() {
    let mut channel = channel();
    let mut client = Client::new(&channel, &Gate::new());
    client.ask(seek(CHANNEL, at(4), newest(), BlockUntilReady)).await;
    // What is the newest is settled when the request is taken up.
    while !client.counts("deliver_requests_received_total{channel=\"testchannel\",filtered=\"false\"} 1") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for number in 4..6 {
        channel.put("cc", &[("k", "v")]);
        assert_eq!(client.next().await, format!("block {number}"));
    }
}

#[tokio::test]
async fn a_channel_that_is_halted_delivers_what_it_has_and_ends_its_streams() {
    let channel = channel();
    let mut waiting = Client::new(&channel, &Gate::new());
    waiting.ask(seek(CHANNEL, at(3), at(u64::MAX), BlockUntilReady)).await;
    assert_eq!(waiting.next().await, "block 3");
    channel.ledger.halt("no space left on the device".into());
    assert_eq!(waiting.all(2).await, ["503", "end"]);
    let mut later = Client::new(&channel, &Gate::new());
    later.ask(seek(CHANNEL, at(2), at(u64::MAX), BlockUntilReady)).await;
    assert_eq!(later.all(4).await, ["block 2", "block 3", "503", "end"]);
}

#[tokio::test]
async fn a_reader_that_stalls_holds_few_blocks_no_snapshot_and_nobody_up() {
    let mut channel = channel();
    for _ in 0..16 {
        channel.put("cc", &[("k", "v")]);
    }
    let before = channel.snapshot();
    let mut stalled = Client::new(&channel, &Gate::new());
    stalled.ask(seek(CHANNEL, oldest(), at(u64::MAX), BlockUntilReady)).await;
    // Its channel is full when the blocks that fit are counted.
    let sent = format!("deliver_blocks_sent_total{{channel=\"testchannel\",filtered=\"false\"}} {RESPONSES}");
    while !stalled.counts(&sent) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut reader = Client::new(&channel, &Gate::new());
    reader.ask(seek(CHANNEL, oldest(), at(u64::MAX), BlockUntilReady)).await;
    for number in 0..20 {
        assert_eq!(reader.next().await, format!("block {number}"));
    }
    channel.put("cc", &[("k", "v")]);
    assert_eq!(reader.next().await, "block 20");
    assert!(before.upgrade().is_none(), "the state of before the last commit is still held");
    assert!(stalled.counts(&sent), "no more than fits was sent");
    for number in 0..21 {
        assert_eq!(stalled.next().await, format!("block {number}"), "nothing is left out for who reads on");
    }
}

#[tokio::test]
async fn under_mutual_tls_a_request_of_another_connection_is_refused() {
    let channel = channel();
    let config = DeliverConfig { binding: TlsBinding::Mutual, ..DeliverConfig::default() };
    let bound = |hash: &[u8]| {
        let mut envelope = seek(CHANNEL, newest(), newest(), BlockUntilReady);
        let mut payload = Payload::decode(envelope.payload).unwrap();
        let header = payload.header.as_mut().unwrap();
        let mut channel_header = ChannelHeader::decode(header.channel_header.clone()).unwrap();
        channel_header.tls_cert_hash = Bytes::copy_from_slice(hash);
        header.channel_header = channel_header.encode_to_vec().into();
        envelope.payload = payload.encode_to_vec().into();
        envelope
    };
    for (request, certificate, expected) in [
        (bound(&[1; 32]), Some([1; 32]), ["block 3", "200"]),
        (bound(&[1; 32]), Some([2; 32]), ["400", "end"]),
        (bound(&[]), Some([2; 32]), ["400", "end"]),
        (bound(&[1; 32]), None, ["400", "end"]),
    ] {
        let mut client = Client::connected(&channel, &Gate::new(), config, certificate);
        client.ask(request).await;
        assert_eq!(client.all(2).await, expected, "{certificate:?}");
    }
}

#[tokio::test]
async fn rights_are_checked_at_the_start_and_again_under_a_new_configuration() {
    let mut channel = channel();
    let gate = Gate::new();
    let mut client = Client::new(&channel, &gate);
    client.ask(seek(CHANNEL, newest(), at(u64::MAX), BlockUntilReady)).await;
    assert_eq!(client.next().await, "block 3");
    gate.close();
    channel.put("cc", &[("k", "v")]);
    assert_eq!(client.next().await, "block 4", "nothing says that rights have changed");
    let config = envelope(CHANNEL, "", HeaderType::Config, Bytes::new()).encode_to_vec().into();
    channel.ledger.commit(channel.next_block(vec![config]), &[TxValidationCode::Valid]).unwrap();
    assert_eq!(client.all(2).await, ["403", "end"]);

    let mut client = Client::new(&channel, &gate);
    client.ask(seek(CHANNEL, newest(), newest(), BlockUntilReady)).await;
    assert_eq!(client.all(2).await, ["403", "end"]);
}

/// The request with a creator whose certificate is valid until then.
fn created_by(mut request: Envelope, not_after: SystemTime) -> Envelope {
    let mut params = rcgen::CertificateParams::default();
    params.not_after = not_after.into();
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let creator = SerializedIdentity { mspid: "m".into(), id_bytes: pem.into() }.encode_to_vec().into();
    let mut payload = Payload::decode(request.payload).unwrap();
    let header = SignatureHeader { creator, nonce: Bytes::new() };
    payload.header.as_mut().unwrap().signature_header = header.encode_to_vec().into();
    request.payload = payload.encode_to_vec().into();
    request
}

#[tokio::test]
async fn nothing_is_delivered_to_an_identity_that_has_expired() {
    let mut channel = channel();
    let request = seek(CHANNEL, newest(), at(u64::MAX), BlockUntilReady);
    let mut client = Client::new(&channel, &Gate::new());
    client.ask(created_by(request.clone(), SystemTime::now() - Duration::from_secs(60))).await;
    assert_eq!(client.all(2).await, ["403", "end"]);

    // While the stream is open, too. A certificate has whole seconds.
    let end = SystemTime::now() + Duration::from_secs(5);
    let mut client = Client::new(&channel, &Gate::new());
    client.ask(created_by(request, end)).await;
    assert_eq!(client.next().await, "block 3");
    while SystemTime::now() <= end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    channel.put("cc", &[("k", "v")]);
    assert_eq!(client.all(2).await, ["403", "end"]);
}

#[tokio::test]
async fn what_is_no_request_is_said_before_what_is_not_allowed() {
    let (channel, gate) = (channel(), Gate::new());
    gate.close();
    for (data, status) in [(Bytes::from_static(b"\x0a"), "400"), (SeekInfo::default().encode_to_vec().into(), "403")] {
        let mut client = Client::new(&channel, &gate);
        client.ask(request(CHANNEL, SystemTime::now(), data)).await;
        assert_eq!(client.all(2).await, [status, "end"]);
    }
}

#[tokio::test]
async fn a_client_that_goes_and_a_node_that_stops_end_a_stream_that_waits() {
    let channel = channel();
    for leave in [true, false] {
        let mut client = Client::new(&channel, &Gate::new());
        client.ask(seek(CHANNEL, at(4), at(u64::MAX), BlockUntilReady)).await;
        if leave {
            drop(client.responses);
        } else {
            client.deliverer.close();
            assert_eq!(client.all(2).await, ["503", "end"]);
        }
        tokio::time::timeout(Duration::from_secs(20), client.task).await.expect("the task ends").unwrap();
    }
}
