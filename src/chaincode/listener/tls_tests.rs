//! The listener over TLS, with the certificates of an authenticator.

use std::time::Duration;

use prost::Message;
use selvedge_proto::protos::ChaincodeId;
use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
use selvedge_proto::protos::chaincode_support_server::ChaincodeSupportServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;

use super::super::message;
use super::super::testing::{Rules, TestPeer};
use super::*;
use crate::tls::{Ca, ClientAuth, ClientPair, ClientTls, Identity, NamedFile, Roots, ServerTls, TlsIncoming, connect};

const PATIENCE: Duration = Duration::from_secs(10);

/// A peer in development mode, whose certificates live for `life`.
struct Scene {
    peer: TestPeer,
    authenticator: Arc<Authenticator>,
    roots: Roots,
    address: String,
    folder: tempfile::TempDir,
}

/// A chaincode's end of a stream.
struct Dialled {
    to_peer: mpsc::UnboundedSender<ChaincodeMessage>,
    from_peer: Streaming<ChaincodeMessage>,
}

impl Scene {
    async fn new(life: Duration) -> Self {
        let peer = TestPeer::new();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let ca = Ca::new("ca").unwrap();
        let roots = ca.roots();
        let tls = ServerTls::new(&ca.server("127.0.0.1").unwrap(), ClientAuth::Required(ca.roots())).unwrap();
        let authenticator = Arc::new(Authenticator::with_life(ca, life));
        let listener = ChaincodeListener::new(Arc::new(peer.support.clone()), Arc::new(Rules::default()))
            .authenticate_with(Some(Arc::clone(&authenticator)));
        let server = Server::builder().add_service(ChaincodeSupportServer::new(listener));
        tokio::spawn(server.serve_with_incoming(TlsIncoming::new(socket, &tls)));
        Self { peer, authenticator, roots, address, folder: tempfile::tempdir().unwrap() }
    }

    async fn dial(&self, pair: &ClientPair) -> Dialled {
        let file = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            NamedFile::new(name, path)
        };
        let identity = Identity::load(&file("certificate", &pair.certificate), &file("key", &pair.key)).unwrap();
        let tls = ClientTls::new(self.roots.clone(), Some(&identity)).unwrap();
        let mut client = ChaincodeSupportClient::new(connect(&self.address, Some(&tls)).await.unwrap());
        let (to_peer, messages) = mpsc::unbounded_channel();
        let stream = client.register(UnboundedReceiverStream::new(messages)).await.unwrap();
        Dialled { to_peer, from_peer: stream.into_inner() }
    }

    /// A stream that registers with a new certificate for that name.
    async fn register(&self, name: &str) -> Dialled {
        let dialled = self.dial(&self.authenticator.generate(name).unwrap()).await;
        dialled.register(name);
        dialled
    }
}

impl Dialled {
    fn register(&self, name: &str) {
        let id = ChaincodeId { name: name.into(), ..ChaincodeId::default() };
        self.to_peer.send(message::bare(Type::Register, id.encode_to_vec().into())).unwrap();
    }

    async fn expect(&mut self, kind: Type) {
        let message = tokio::time::timeout(PATIENCE, self.from_peer.message()).await.expect("in time");
        assert_eq!(message.unwrap().unwrap().r#type(), kind);
    }

    /// The words with which the peer ends the stream.
    async fn end(&mut self) -> String {
        let message = tokio::time::timeout(PATIENCE, self.from_peer.message()).await.expect("in time");
        message.expect_err("the stream ends").message().to_owned()
    }
}

#[tokio::test]
async fn a_certificate_whose_time_is_over_registers_nothing_and_its_stream_goes_on() {
    let scene = Scene::new(Duration::from_millis(1500)).await;
    let pair = scene.authenticator.generate("cc:1.0").unwrap();
    let mut in_time = scene.dial(&pair).await;
    in_time.register("cc:1.0");
    in_time.expect(Type::Registered).await;
    in_time.expect(Type::Ready).await;
    let mut late = scene.dial(&pair).await;
    tokio::time::sleep(Duration::from_millis(1600)).await;
    late.register("cc:1.0");
    let end = late.end().await;
    assert!(end.starts_with("Chaincode cc:1.0 with given certificate hash ["), "{end}");
    assert!(end.ends_with("] not found in registry"), "{end}");

    let execution = scene.peer.execute(scene.peer.params("t1", super::super::testing::CHANNEL), "cc");
    in_time.expect(Type::Transaction).await;
    drop(in_time);
    execution.await.unwrap().expect_err("the stream has ended");
}

#[tokio::test]
async fn a_stream_that_may_not_register_its_name_gets_no_other() {
    let scene = Scene::new(Duration::from_secs(600)).await;
    let mut good = scene.register("cc:1.0").await;
    good.expect(Type::Registered).await;
    good.expect(Type::Ready).await;
    let mut duplicate = scene.register("cc:1.0").await;
    duplicate.register("other:1.0");
    let end = duplicate.end().await;
    assert!(end.ends_with("] belongs to a different chaincode"), "{end}");
    scene.peer.chaincode("other:1.0").await;
}

#[tokio::test]
async fn the_first_message_registers_or_ends_the_stream() {
    let scene = Scene::new(Duration::from_secs(600)).await;
    let mut hasty = scene.dial(&scene.authenticator.generate("cc:1.0").unwrap()).await;
    hasty.to_peer.send(message::bare(Type::Keepalive, "".into())).unwrap();
    assert_eq!(hasty.end().await, "First message needs to be a register");
}
