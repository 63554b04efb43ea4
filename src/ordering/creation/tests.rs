use std::time::Duration;

use selvedge_proto::common::ConfigUpdate;
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::orderer::atomic_broadcast_server::AtomicBroadcastServer;
use tempfile::TempDir;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};

use super::*;
use crate::channel::creation::creation_update;
use crate::channel::genesis::{OrderingSettings, development_block};
use crate::client::create_config_update;
use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{SigningIdentity, folder};
use crate::ordering::testing::Gate;
use crate::ordering::{AtomicBroadcastService, DeliverConfig, DeliverMetrics, Deliverer};

const MSPID: &str = "DevMSP";
const CONSORTIUM: &str = "SampleConsortium";

struct Scene {
    folder: TempDir,
    msp: DevelopmentMsp,
    ledgers: Arc<LedgerProvider>,
    created: Arc<CreatedChannels>,
    creation: Arc<ChannelCreation>,
}

fn ordering() -> OrderingSettings {
    OrderingSettings {
        addresses: vec!["127.0.0.1:7050".into()],
        max_message_count: 10,
        absolute_max_bytes: 1 << 20,
        preferred_max_bytes: 1 << 19,
        batch_timeout: Duration::from_millis(200),
    }
}

impl Scene {
    fn new(limit: usize) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let msp = development::ensure(&folder.path().join("msp"), MSPID).expect("an MSP");
        let organisation = folder::verifying_config(&msp.organisation, MSPID).expect("its definition");
        let template =
            ChannelTemplate::new(CONSORTIUM, std::slice::from_ref(&organisation), &organisation, &ordering());
        let signer = Arc::new(SigningIdentity::load(&msp.orderer, MSPID).expect("its key"));
        let ledgers = Arc::new(LedgerProvider::open(&folder.path().join("ledgers")).expect("a directory"));
        let created = CreatedChannels::open(&folder.path().join("orderer"), |_| false).expect("a directory");
        let created = Arc::new(created);
        let creation = ChannelCreation::new(template, signer, Arc::clone(&ledgers), Arc::clone(&created), limit);
        Self { folder, msp, ledgers, created, creation: Arc::new(creation) }
    }

    fn admin(&self) -> SigningIdentity {
        SigningIdentity::load(&self.msp.admin, MSPID).expect("its key")
    }

    fn stranger(&self) -> SigningIdentity {
        let made = development::ensure(&self.folder.path().join("stranger"), "OtherMSP").expect("an MSP");
        SigningIdentity::load(&made.admin, "OtherMSP").expect("its key")
    }

    async fn send(&self, envelope: Envelope) -> Result<(), (Status, String)> {
        let transaction = BlockTransaction::from_envelope(&envelope).expect("it has a header");
        let processed = self.creation.process(envelope, transaction).await;
        processed.map_err(|refusal| (refusal.status, refusal.info))
    }

    async fn refusal(&self, envelope: Envelope) -> (Status, String) {
        self.send(envelope).await.expect_err("refused")
    }
}

fn creation(channel: &str, signer: &SigningIdentity) -> Envelope {
    let update = creation_update(channel, CONSORTIUM, &[MSPID]);
    create_config_update(&update, &[signer], signer).expect("signs")
}

fn message(kind: HeaderType, channel: &str, signer: &SigningIdentity) -> Envelope {
    create_signed_envelope(kind, channel, &ConfigUpdate::default(), signer).expect("signs")
}

#[tokio::test]
async fn only_a_creation_makes_a_channel() {
    let scene = Scene::new(1 << 20);
    let admin = scene.admin();
    let unknown = (Status::NotFound, "channel does not exist".to_owned());
    assert_eq!(scene.refusal(message(HeaderType::EndorserTransaction, "new", &admin)).await, unknown);
    for kind in [HeaderType::Config, HeaderType::OrdererTransaction] {
        let direct = (Status::BadRequest, "message is of type that cannot be processed directly".to_owned());
        assert_eq!(scene.refusal(message(kind, "new", &admin)).await, direct);
    }
    scene.send(creation("new", &admin)).await.expect("created");
    let made = scene.created.get("new").expect("created");
    let bundle = made.bundle.as_ref().expect("a configuration");
    assert_eq!((bundle.channel(), bundle.sequence()), ("new", 1));
    assert_eq!(Bundle::from_config_block(&made.block).expect("a block").config(), bundle.config());
    assert!(scene.ledgers.get("new").is_none(), "the ledger is made by joining");
}

#[tokio::test]
async fn a_channel_that_is_not_joined_answers_as_its_configuration_says() {
    let scene = Scene::new(1 << 20);
    let (admin, stranger) = (scene.admin(), scene.stranger());
    scene.send(creation("new", &admin)).await.expect("created");
    let not_joined =
        "channel new was created here and this node has not joined it; join it first (`selvedge channel join`)";
    let transaction = scene.refusal(message(HeaderType::EndorserTransaction, "new", &admin)).await;
    assert_eq!(transaction, (Status::ServiceUnavailable, not_joined.to_owned()));
    let (status, info) = scene.refusal(message(HeaderType::EndorserTransaction, "new", &stranger)).await;
    assert!(status == Status::Forbidden && info.ends_with("sub-policies to be satisfied: permission denied"), "{info}");
    let (status, info) = scene.refusal(creation("new", &admin)).await;
    assert!(
        status == Status::BadRequest && info.contains("existing channel 'new': error authorizing update"),
        "{info}"
    );
    let (status, info) = scene.refusal(creation("new", &stranger)).await;
    assert!(status == Status::Forbidden && info.contains("did not pass initial checks"), "{info}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_create_a_channel_one_does() {
    let scene = Scene::new(1 << 20);
    let admin = scene.admin();
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (creation, envelope) = (Arc::clone(&scene.creation), creation("new", &admin));
        let transaction = BlockTransaction::from_envelope(&envelope).expect("it has a header");
        sent.spawn(async move { creation.process(envelope, transaction).await });
    }
    let results = sent.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
}

#[tokio::test]
async fn a_channel_of_the_node_is_not_created_again_and_who_may_not_create_does_not_hear_of_it() {
    let scene = Scene::new(1 << 20);
    let organisation = folder::verifying_config(&scene.msp.organisation, MSPID).expect("its definition");
    let genesis = development_block("elsewhere", &organisation, &ordering()).expect("a block");
    scene.ledgers.create("elsewhere", &genesis).expect("a ledger");
    let taken = "channel elsewhere cannot be created: this node has a channel of that name";
    assert_eq!(scene.refusal(creation("elsewhere", &scene.admin())).await, (Status::BadRequest, taken.to_owned()));
    let (status, info) = scene.refusal(creation("elsewhere", &scene.stranger())).await;
    let expected =
        "error validating channel creation transaction for new channel 'elsewhere', could not succesfully apply";
    assert!(status == Status::BadRequest && info.starts_with(expected), "{info}");
}

#[tokio::test]
async fn a_first_configuration_that_no_block_could_hold_is_refused() {
    let scene = Scene::new(4000);
    let (status, info) = scene.refusal(creation("new", &scene.admin())).await;
    let ending = " bytes and exceeds maximum allowed 4000 bytes";
    assert!(
        status == Status::BadRequest && info.starts_with("message payload is ") && info.ends_with(ending),
        "{info}"
    );
    assert!(scene.created.get("new").is_none());
}

#[tokio::test]
async fn a_name_may_be_as_long_as_any() {
    let scene = Scene::new(1 << 20);
    let (longest, beyond) = ("n".repeat(249), "n".repeat(250));
    scene.send(creation(&longest, &scene.admin())).await.expect("created");
    let made = scene.created.get(&longest).expect("created");
    scene.ledgers.create(&longest, &made.block).expect("joined");
    let (status, info) = scene.refusal(creation(&beyond, &scene.admin())).await;
    assert!(status == Status::BadRequest && info.ends_with("channel ID illegal, cannot be longer than 249"), "{info}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_being_joined_is_not_created_meanwhile() {
    let scene = Scene::new(1 << 20);
    let organisation = folder::verifying_config(&scene.msp.organisation, MSPID).expect("its definition");
    let genesis = development_block("new", &organisation, &ordering()).expect("a block");
    let (made, envelope) = (Arc::clone(&scene.creation), creation("new", &scene.admin()));
    let transaction = BlockTransaction::from_envelope(&envelope).expect("it has a header");
    // The join has looked and found no such channel.
    let naming = scene.created.naming();
    let created = tokio::spawn(async move { made.process(envelope, transaction).await });
    std::thread::sleep(Duration::from_millis(300));
    scene.ledgers.create("new", &genesis).expect("a ledger");
    drop(naming);
    created.await.expect("no panic").expect_err("another channel has the name");
    assert!(scene.created.get("new").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_waits_for_its_turn_goes_with_its_client() {
    let scene = Scene::new(1 << 20);
    let (ledgers, config) = (Arc::clone(&scene.ledgers), DeliverConfig::default());
    let deliverer = Arc::new(Deliverer::new(ledgers, Gate::new(), config, DeliverMetrics::default()));
    let service = AtomicBroadcastService::new(Arc::default(), Gate::new(), deliverer);
    let service = AtomicBroadcastServer::new(service.creating(Arc::clone(&scene.creation)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    let connection = Channel::from_shared(address).expect("an address").connect().await.expect("a connection");
    let send = async |channel: &str| {
        let envelopes = tokio_stream::once(creation(channel, &scene.admin()));
        AtomicBroadcastClient::new(connection.clone()).broadcast(envelopes).await.expect("a stream").into_inner()
    };
    let moment = || tokio::time::sleep(Duration::from_millis(500));

    let naming = scene.created.naming();
    let mut first = send("first").await;
    moment().await;
    let second = send("second").await;
    moment().await;
    drop(second);
    moment().await;
    drop(naming);
    let mut third = send("third").await;
    for answers in [&mut first, &mut third] {
        assert_eq!(answers.message().await.expect("a stream").expect("an answer").status(), Status::Success);
    }
    assert!(scene.created.get("second").is_none(), "it would have been before the third");
}

#[tokio::test]
async fn a_channel_that_cannot_be_kept_is_not_made() {
    let scene = Scene::new(1 << 20);
    std::fs::remove_dir(scene.folder.path().join("orderer")).expect("empty");
    let refused = scene.refusal(creation("new", &scene.admin())).await;
    let text = "channel new cannot be created; the node's log says why";
    assert_eq!(refused, (Status::InternalServerError, text.to_owned()));
    std::fs::create_dir(scene.folder.path().join("orderer")).expect("made");
    scene.send(creation("new", &scene.admin())).await.expect("created now");
}
