//! Over real gRPC, as a client sees it.

use std::time::Duration;

use prost::Message;
use selvedge_proto::common::Payload;
use selvedge_proto::orderer::SeekInfo;
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::orderer::atomic_broadcast_server::AtomicBroadcastServer;
use selvedge_proto::orderer::seek_info::SeekBehavior::BlockUntilReady;
use selvedge_proto::orderer::seek_info::SeekErrorResponse;
use selvedge_proto::protos;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::deliver_server::DeliverServer;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};

use super::*;
use crate::ledger::testing::{TestChannel, endorser_transaction};
use crate::ordering::testing::{AllValid, Gate, Rules, at, newest, orderer, seek};
use crate::ordering::{BatchConfig, DeliverConfig, DeliverMetrics, DeliverService};

async fn serve(channel: &TestChannel, rules: Option<Arc<Rules>>) -> Channel {
    serve_until(channel, rules).await.0
}

/// The orderers, too, for who stops them.
async fn serve_until(channel: &TestChannel, rules: Option<Arc<Rules>>) -> (Channel, Arc<Orderers>) {
    let config = BatchConfig { batch_timeout: Duration::from_millis(5), ..BatchConfig::default() };
    let orderers = Arc::new(Orderers::default());
    let orderer = orderer(channel, rules.unwrap_or_else(|| Rules::new(config)), Arc::new(AllValid));
    orderers.insert(TestChannel::NAME, Arc::new(orderer));
    let deliverer = Arc::new(Deliverer::new(
        Arc::clone(&channel.provider),
        Gate::new(),
        DeliverConfig::default(),
        DeliverMetrics::default(),
    ));
    let broadcast = AtomicBroadcastService::new(Arc::clone(&orderers), Gate::new(), Arc::clone(&deliverer));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .add_service(AtomicBroadcastServer::new(broadcast))
        .add_service(DeliverServer::new(DeliverService::new(deliverer, Gate::new())))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    (Channel::from_shared(address).unwrap().connect().await.unwrap(), orderers)
}

fn transaction(txid: &str) -> Envelope {
    Envelope::decode(endorser_transaction(TestChannel::NAME, txid, Bytes::new())).unwrap()
}

#[tokio::test]
async fn a_client_that_listens_first_sees_its_transaction_come_by() {
    let channel = TestChannel::new();
    let connection = serve(&channel, None).await;
    let (requests, stream) = mpsc::channel(1);
    requests.send(seek(TestChannel::NAME, newest(), at(u64::MAX), BlockUntilReady)).await.unwrap();
    let mut client = DeliverClient::new(connection.clone());
    let mut events = client.deliver_filtered(ReceiverStream::new(stream)).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap();
    let Some(protos::deliver_response::Type::FilteredBlock(first)) = first.r#type else { panic!("{first:?}") };
    assert_eq!((first.channel_id.as_str(), first.number), (TestChannel::NAME, 0), "the newest block at once");

    let envelopes = tokio_stream::iter([transaction("a"), transaction("b")]);
    let answers = AtomicBroadcastClient::new(connection.clone()).broadcast(envelopes).await.unwrap();
    let mut answers = answers.into_inner();
    for _ in 0..2 {
        assert_eq!(answers.message().await.unwrap().unwrap().status(), Status::Success);
    }
    assert_eq!(answers.message().await.unwrap(), None);

    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = events.message().await.unwrap().unwrap();
        let Some(protos::deliver_response::Type::FilteredBlock(block)) = event.r#type else { panic!("{event:?}") };
        seen.extend(block.filtered_transactions.into_iter().map(|tx| (tx.txid, tx.tx_validation_code)));
    }
    assert_eq!(seen, [("a".to_owned(), 0), ("b".to_owned(), 0)]);

    let request = tokio_stream::once(seek(TestChannel::NAME, at(1), at(1), BlockUntilReady));
    let mut blocks = AtomicBroadcastClient::new(connection).deliver(request).await.unwrap().into_inner();
    let Some(Type::Block(block)) = blocks.message().await.unwrap().unwrap().r#type else { panic!("no block") };
    assert!(block::metadata(&block, BlockMetadataIndex::TransactionsFilter).is_empty(), "an orderer knows no verdicts");
    assert!(!block::metadata(&block, BlockMetadataIndex::Signatures).is_empty());
    assert_eq!(blocks.message().await.unwrap().unwrap().r#type, Some(Type::Status(200)));
}

#[tokio::test]
async fn a_channel_that_is_ordered_elsewhere_says_where() {
    let channel = TestChannel::new();
    let connection = serve(&channel, None).await;
    let answer = async |channel: &str| {
        let envelope = Envelope::decode(endorser_transaction(channel, "a", Bytes::new())).unwrap();
        let mut client = AtomicBroadcastClient::new(connection.clone());
        let mut answers = client.broadcast(tokio_stream::once(envelope)).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap()
    };
    let text = "channel elsewhere is not ordered by this node; send its transactions to its ordering service at \
                a:7050, b:7050";
    assert_eq!(answer(Gate::ELSEWHERE).await, response(Status::NotFound, text));
    let text = "channel unopened could not be opened when the node started; its log and /healthz say why";
    assert_eq!(answer(Gate::UNOPENED).await, response(Status::ServiceUnavailable, text));
    assert_eq!(answer("nowhere").await, response(Status::NotFound, "channel does not exist"));
}

#[tokio::test]
async fn the_first_refusal_ends_the_stream() {
    let channel = TestChannel::new();
    let rules = Rules::new(BatchConfig::default());
    let connection = serve(&channel, Some(Arc::clone(&rules))).await;
    rules.change();
    let envelopes = tokio_stream::iter([transaction("x"), transaction("b")]);
    let mut answers = AtomicBroadcastClient::new(connection).broadcast(envelopes).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer, response(Status::Forbidden, "no x today: permission denied"));
    assert_eq!(answers.message().await.unwrap(), None);
    assert_eq!(channel.ledger.height().unwrap(), 1);
}

#[tokio::test]
async fn a_stream_of_an_orderer_that_stops_ends_unless_the_client_wants_what_there_is() {
    let channel = TestChannel::new();
    let (connection, orderers) = serve_until(&channel, None).await;
    let first = async |errors: SeekErrorResponse| {
        let mut envelope = seek(TestChannel::NAME, newest(), at(u64::MAX), BlockUntilReady);
        let mut payload = Payload::decode(envelope.payload).unwrap();
        let info = SeekInfo { error_response: errors as i32, ..SeekInfo::decode(payload.data).unwrap() };
        payload.data = info.encode_to_vec().into();
        envelope.payload = payload.encode_to_vec().into();
        let mut client = AtomicBroadcastClient::new(connection.clone());
        let mut blocks = client.deliver(tokio_stream::once(envelope)).await.unwrap().into_inner();
        (blocks.message().await.unwrap().unwrap().r#type.unwrap(), blocks)
    };
    let unavailable = Some(Type::Status(Status::ServiceUnavailable as i32));
    let (block, mut waiting) = first(SeekErrorResponse::Strict).await;
    assert!(matches!(block, Type::Block(_)), "{block:?}");
    // Whoever asks now has to find it among those that there are.
    let orderer = orderers.get(TestChannel::NAME).unwrap();
    orderer.shutdown().await;
    assert_eq!(waiting.message().await.unwrap().unwrap().r#type, unavailable);
    assert_eq!(Some(first(SeekErrorResponse::Strict).await.0), unavailable);
    let (block, _) = first(SeekErrorResponse::BestEffort).await;
    assert!(matches!(block, Type::Block(_)), "{block:?}");
}
