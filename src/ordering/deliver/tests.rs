use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{ChannelHeader, HeaderType, Payload, SerializedIdentity, SignatureHeader};
use selvedge_proto::orderer::SeekInfo;
use selvedge_proto::orderer::seek_info::SeekBehavior::{BlockUntilReady, FailIfNotReady};
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::{DeliverResponse, TxValidationCode};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::ledger::testing::{TestChannel, envelope};
use crate::ordering::deliver_service::FullBlocks;
use crate::ordering::testing::{Gate, at, newest, oldest, request, seek};

const CHANNEL: &str = TestChannel::NAME;

struct Client {
    requests: mpsc::Sender<Result<Envelope, tonic::Status>>,
    responses: mpsc::Receiver<Sent<DeliverResponse>>,
    task: JoinHandle<()>,
    deliverer: Arc<Deliverer>,
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
        let deliverer = Arc::new(Deliverer::new(Arc::clone(&channel.provider), access, config));
        let (requests, stream) = mpsc::channel(4);
        let (sender, responses) = mpsc::channel(RESPONSES);
        let serving = Arc::clone(&deliverer);
        let task =
            tokio::spawn(
                async move { serving.serve(FullBlocks, certificate, ReceiverStream::new(stream), sender).await },
            );
        Self { requests, responses, task, deliverer }
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
    drop(client.requests);
    client.task.await.unwrap();
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
    ] {
        let mut client = Client::new(&channel, &Gate::new());
        client.ask(request).await;
        assert_eq!(client.all(2).await, [status, "end"], "{what}");
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

/// The request with a creator whose certificate is valid until the end of the year.
fn created_by(mut request: Envelope, last_year: i32) -> Envelope {
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
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
    let channel = channel();
    let request = seek(CHANNEL, newest(), newest(), BlockUntilReady);
    for (last_year, expected) in [(2999, ["block 3", "200"]), (2020, ["403", "end"])] {
        let mut client = Client::new(&channel, &Gate::new());
        client.ask(created_by(request.clone(), last_year)).await;
        assert_eq!(client.all(2).await, expected, "until {last_year}");
    }
    // While the stream is open, too.
    let (gate, request) = (Gate::new(), created_by(request, 2999));
    let mut session = Session::new(&*gate, FullBlocks::RESOURCE, &request, &channel.ledger).unwrap();
    session.check().unwrap();
    session.end = Some(SystemTime::now());
    let refused = session.check().unwrap_err();
    assert_eq!((refused.status, refused.reason.as_str()), (Status::Forbidden, "client identity expired 0 s before"));
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
