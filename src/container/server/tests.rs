//! The VM against services that the test plays, with a real Handler and ledger behind it.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::chaincode_server::{Chaincode, ChaincodeServer};
use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Status, Streaming};

use super::*;
use crate::chaincode::testing::{CHANNEL, TestPeer, like, outcome};
use crate::chaincode::{ChaincodeConfig, ChaincodeMode, Retirement};
use crate::container::{VmController, VmType};
use crate::ledger::ReplacedChaincode;
use crate::platforms::{CodePackage, Platform};
use crate::testing::{TlsAuthority, TlsPurpose, targz};
use crate::tls::{ClientAuth, Identity, NamedFile, Roots, ServerTls, TlsIncoming};

const PATIENCE: Duration = Duration::from_secs(10);
const QUICK: Redial = Redial {
    min_delay: Duration::from_millis(5),
    max_delay: Duration::from_millis(20),
    give_up_after: Duration::from_secs(60),
};
/// Nobody dials by himself.
const NEVER: Redial = Redial { min_delay: PATIENCE.saturating_mul(99), ..QUICK };

type ToPeer = mpsc::UnboundedSender<Result<ChaincodeMessage, Status>>;

/// A service: what it was asked to connect, one after the other.
struct Service {
    address: SocketAddr,
    connects: mpsc::UnboundedReceiver<Session>,
    task: tokio::task::JoinHandle<()>,
}

/// One stream at the service's end.
struct Session {
    from_peer: Streaming<ChaincodeMessage>,
    to_peer: ToPeer,
}

struct Connects(mpsc::UnboundedSender<Session>);

#[tonic::async_trait]
impl Chaincode for Connects {
    type ConnectStream = UnboundedReceiverStream<Result<ChaincodeMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<tonic::Response<Self::ConnectStream>, Status> {
        let (to_peer, messages) = mpsc::unbounded_channel();
        let _ = self.0.send(Session { from_peer: request.into_inner(), to_peer });
        Ok(tonic::Response::new(UnboundedReceiverStream::new(messages)))
    }
}

impl Service {
    async fn start(address: &str, tls: Option<ServerTls>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connects) = mpsc::unbounded_channel();
        let server = Server::builder().add_service(ChaincodeServer::new(Connects(sender)));
        let task = tokio::spawn(async move {
            match tls {
                Some(tls) => server.serve_with_incoming(TlsIncoming::new(listener, &tls)).await.unwrap(),
                None => server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap(),
            }
        });
        Self { address, connects, task }
    }

    async fn connected(&mut self) -> Session {
        let next = tokio::time::timeout(PATIENCE, self.connects.recv()).await;
        next.expect("the peer dials in time").unwrap()
    }

    /// The next stream, on which it has registered as this.
    async fn registered(&mut self, id: &str) -> Session {
        let mut session = self.connected().await;
        session.register(id);
        session.expect(Type::Registered).await;
        session.expect(Type::Ready).await;
        session
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    fn send(&self, message: ChaincodeMessage) {
        self.to_peer.send(Ok(message)).unwrap();
    }

    fn register(&self, id: &str) {
        let id = ChaincodeId { name: id.into(), ..ChaincodeId::default() };
        self.send(ChaincodeMessage {
            r#type: Type::Register.into(),
            payload: id.encode_to_vec().into(),
            ..Default::default()
        });
    }

    async fn expect(&mut self, kind: Type) -> ChaincodeMessage {
        let next =
            tokio::time::timeout(PATIENCE, self.from_peer.message()).await.expect("the peer says something in time");
        let message = next.unwrap().unwrap();
        assert_eq!(message.r#type(), kind);
        message
    }

    async fn answer(&mut self, payload: &'static str) {
        let tx = self.expect(Type::Transaction).await;
        let response = Response { status: 200, payload: payload.into(), ..Response::default() };
        self.send(like(&tx, Type::Completed, response.encode_to_vec()));
    }

    /// The peer has closed it.
    async fn closed(mut self) {
        let end = async { while let Ok(Some(_)) = self.from_peer.message().await {} };
        tokio::time::timeout(PATIENCE, end).await.expect("the peer closes the stream");
    }
}

/// The VM as a peer has it, with one package for every chaincode.
struct Packaged {
    vm: ServerVm,
    connection_json: Mutex<String>,
}

#[async_trait]
impl Vm for Packaged {
    async fn start(&self, ccid: &Ccid, _: StartContainer) -> Result<(), VmError> {
        let code = package(&self.connection_json.lock().unwrap());
        self.vm.start(ccid, StartContainer { code: Some(code), ..StartContainer::default() }).await
    }

    async fn stop(&self, ccid: &Ccid, request: StopContainer) -> Result<(), VmError> {
        self.vm.stop(ccid, request).await
    }

    async fn wait(&self, ccid: &Ccid) -> Result<i32, VmError> {
        self.vm.wait(ccid).await
    }

    async fn health_check(&self) -> Result<(), VmError> {
        self.vm.health_check().await
    }
}

fn package(connection_json: &str) -> CodePackage {
    let bytes = Bytes::from(targz(&[("connection.json", connection_json)]).unwrap());
    CodePackage { platform: Platform::Ccaas, path: String::new(), bytes }
}

struct Peer {
    peer: TestPeer,
    vm: Arc<Packaged>,
    /// Everything of the VM runs here, and nothing else does.
    runtime: Option<Runtime>,
}

impl Peer {
    fn new(redial: Redial, connection_json: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = ServerConfig { values: BTreeMap::new(), redial };
        let vm = ServerVm::new(config, runtime.handle().clone(), runtime.handle().clone());
        let vm = Arc::new(Packaged { vm, connection_json: Mutex::new(connection_json) });
        let config = ChaincodeConfig { mode: ChaincodeMode::Net, ..ChaincodeConfig::default() };
        // It is launched as what the test's definitions say, and stopped as what it is.
        let vms = [VmType::System, VmType::Server].map(|kind| (kind, Arc::clone(&vm) as Arc<dyn Vm>));
        let peer = TestPeer::with(config, VmController::new(vms));
        vm.vm.set_acceptor(Arc::new(peer.support.clone()));
        Self { peer, vm, runtime: Some(runtime) }
    }

    fn of(redial: Redial, service: &Service) -> Self {
        Self::new(redial, format!(r#"{{"address": "{}", "dial_timeout": "300ms"}}"#, service.address))
    }

    fn execute(&self, txid: &str, name: &str) -> tokio::task::JoinHandle<Execution> {
        self.peer.execute(self.peer.params(txid, CHANNEL), name)
    }

    /// Nothing of the VM runs.
    async fn at_rest(&self) {
        let alive = |peer: &Self| peer.runtime.as_ref().unwrap().metrics().num_alive_tasks();
        self.until("nothing runs", |peer| alive(peer) == 0).await;
    }

    /// A service that has answered a first transaction.
    async fn served(&self, service: &mut Service) -> Session {
        let execution = self.execute("first", "cc");
        let mut session = service.registered("cc:1.0").await;
        session.answer("one").await;
        assert_eq!(outcome(execution).await.unwrap(), "one");
        session
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not in time: {what}");
    }
}

type Execution = Result<crate::chaincode::Executed, crate::chaincode::ExecuteError>;

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test]
async fn a_service_is_dialled_executes_and_is_dialled_again_when_it_is_lost() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(QUICK, &service);
    let execution = peer.execute("t1", "cc");
    let mut session = service.registered("cc:1.0").await;
    session.answer("one").await;
    assert_eq!(outcome(execution).await.unwrap(), "one");

    let execution = peer.execute("t2", "cc");
    session.expect(Type::Transaction).await;
    drop(session);
    let text = "failed to execute transaction t2: error sending: chaincode stream terminated";
    assert_eq!(outcome(execution).await.unwrap_err(), text);

    // Nobody asks for it.
    let mut session = service.registered("cc:1.0").await;
    let execution = peer.execute("t3", "cc");
    session.answer("three").await;
    assert_eq!(outcome(execution).await.unwrap(), "three");
}

#[tokio::test]
async fn a_launch_does_not_wait_for_the_next_try() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(NEVER, &service);
    for txid in ["t1", "t2", "t3"] {
        let execution = peer.execute(txid, "cc");
        let mut session = service.registered("cc:1.0").await;
        session.answer("x").await;
        assert_eq!(outcome(execution).await.unwrap(), "x");
        drop(session);
        peer.until("the stream is gone", |peer| peer.peer.support.registered("cc:1.0").is_none()).await;
    }
    let ccid = Ccid::new("cc", "1.0");
    let waiting = peer.vm.wait(&ccid);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err(), "it is still looked for");
}

#[tokio::test]
async fn a_service_that_is_gone_is_told_in_fabrics_words() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(QUICK, &service);
    let could_not = "failed to execute transaction t: [channel ch] could not launch chaincode cc:1.0: ";
    let execution = peer.execute("t", "cc");
    drop(service.connected().await);
    assert_eq!(
        outcome(execution).await.unwrap_err(),
        format!(
            "{could_not}chaincode registration failed: connection to cc:1.0 terminated: the service has closed the stream"
        )
    );
    let address = service.address;
    drop(service);
    // As in Fabric, it is looked for until the dial timeout.
    let began = std::time::Instant::now();
    let said = outcome(peer.execute("t", "cc")).await.unwrap_err();
    let text = format!(
        "{could_not}error starting container: error starting container: connection to cc:1.0 failed: error cannot create \
         connection for cc:1.0: error creating grpc connection to {address}: context deadline exceeded"
    );
    assert!(said.starts_with(&text), "{said}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // One that starts within it is found.
    let execution = peer.execute("t", "cc");
    let mut service = Service::start(&address.to_string(), None).await;
    service.registered("cc:1.0").await.answer("back").await;
    assert_eq!(outcome(execution).await.unwrap(), "back");
}

#[tokio::test]
async fn a_service_under_anothers_name_is_refused_and_hurts_nobody() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(QUICK, &service);
    let execution = peer.execute("t1", "victim");
    let mut victim = service.registered("victim:1.0").await;
    victim.answer("one").await;
    assert_eq!(outcome(execution).await.unwrap(), "one");

    for claimed in ["victim:1.0", "scc:1.0", "cc", "cc:1.0.1", ""] {
        let execution = peer.execute("t2", "cc");
        let impostor = service.connected().await;
        impostor.register(claimed);
        impostor.closed().await;
        let said = outcome(execution).await.unwrap_err();
        let text =
            format!("connection to cc:1.0 terminated: the service registers as {claimed:?}, and it was dialled for");
        assert!(said.contains(&text), "{said}");
    }
    // A system chaincode is nobody's service, whatever a definition says.
    let said = outcome(peer.execute("t3", "scc")).await.unwrap_err();
    assert!(said.contains("scc is a system chaincode of this peer"), "{said}");

    let execution = peer.execute("t4", "victim");
    victim.answer("two").await;
    assert_eq!(outcome(execution).await.unwrap(), "two");
}

#[tokio::test]
async fn stop_leaves_neither_task_nor_socket() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(QUICK, &service);
    let ccid = Ccid::new("cc", "1.0");
    assert_eq!(peer.vm.stop(&ccid, StopContainer::default()).await.unwrap_err().to_string(), "cc-1.0 not found");
    // While it serves.
    let execution = peer.execute("t1", "cc");
    let mut session = service.registered("cc:1.0").await;
    session.answer("one").await;
    outcome(execution).await.unwrap();
    let waiting = tokio::spawn({
        let (vm, ccid) = (Arc::clone(&peer.vm), ccid.clone());
        async move { vm.wait(&ccid).await }
    });
    tokio::task::yield_now().await;
    peer.vm.stop(&ccid, StopContainer::default()).await.unwrap();
    session.closed().await;
    assert_eq!(waiting.await.unwrap().unwrap(), 0);
    assert!(peer.peer.support.registered("cc:1.0").is_none());
    peer.at_rest().await;
    assert!(service.connects.try_recv().is_err(), "it is not dialled again");

    // While it is looked for.
    let execution = peer.execute("t2", "cc");
    let mut session = service.registered("cc:1.0").await;
    session.answer("two").await;
    outcome(execution).await.unwrap();
    service.task.abort();
    drop(session);
    peer.until("the stream is gone", |peer| peer.peer.support.registered("cc:1.0").is_none()).await;
    peer.vm.stop(&ccid, StopContainer::default()).await.unwrap();
    peer.at_rest().await;
}

#[tokio::test]
async fn an_upgrade_that_commits_stops_a_service_that_was_dialled_again() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(QUICK, &service);
    drop(peer.served(&mut service).await);
    // Nobody has launched this one.
    let session = service.registered("cc:1.0").await;
    let (replaced, out_of_use) = mpsc::unbounded_channel();
    tokio::spawn(Retirement::new(peer.peer.support.clone(), Arc::clone(&peer.peer.ledgers)).run(out_of_use));
    peer.peer.put("lscc", [("cc".to_owned(), "\x0a\x02cc\x12\x032.0".to_owned())]);
    replaced.send(ReplacedChaincode { name: "cc".into(), version: "1.0".into() }).unwrap();
    session.closed().await;
    peer.at_rest().await;
    assert!(service.connects.try_recv().is_err(), "it is not dialled again");
}

#[tokio::test]
async fn a_service_is_stopped_between_two_tries_and_one_that_nobody_dials_is_none() {
    let ccid = Ccid::new("cc", "1.0");
    assert!(!TestPeer::new().support.stop(&ccid).await.unwrap(), "this peer runs no services");
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(NEVER, &service);
    assert!(!peer.peer.support.stop(&ccid).await.unwrap(), "it was never dialled");
    drop(peer.served(&mut service).await);
    peer.until("the stream is gone", |peer| peer.peer.support.registered("cc:1.0").is_none()).await;
    assert!(peer.peer.support.stop(&ccid).await.unwrap());
    peer.at_rest().await;
    assert!(!peer.peer.support.stop(&ccid).await.unwrap(), "it is stopped already");
}

#[tokio::test]
async fn a_start_that_the_close_finds_under_way_leaves_no_connection_behind() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(QUICK, &service);
    let ccid = Ccid::new("cc", "1.0");
    let mut start = peer.vm.start(&ccid, StartContainer::default());
    tokio::select! {
        biased;
        started = &mut start => panic!("it has a package to read: {started:?}"),
        () = std::future::ready(()) => {}
    }
    peer.vm.vm.close();
    let refused = start.await.unwrap_err().to_string();
    assert!(refused.contains("nothing takes chaincode streams now") || refused.contains("was closed"), "{refused}");
    peer.at_rest().await;
    assert!(service.connects.try_recv().is_err(), "nobody dials");
}

#[tokio::test]
async fn a_service_that_stays_away_is_given_up() {
    let mut service = Service::start("127.0.0.1:0", None).await;
    let peer = Peer::of(Redial { give_up_after: Duration::from_millis(50), ..QUICK }, &service);
    let execution = peer.execute("t1", "cc");
    let mut session = service.registered("cc:1.0").await;
    session.answer("one").await;
    outcome(execution).await.unwrap();
    assert_eq!(peer.vm.vm.containers().await.unwrap().len(), 1);
    drop((session, service));
    let end = tokio::time::timeout(PATIENCE, peer.vm.wait(&Ccid::new("cc", "1.0"))).await.unwrap().unwrap_err();
    assert!(end.to_string().starts_with("connection to cc:1.0 terminated: no connection for 50ms"), "{end}");
    assert_eq!(peer.vm.vm.containers().await.unwrap(), [], "nobody looks for it");
}

#[tokio::test]
async fn tls_proves_both_sides_by_what_the_package_holds() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TlsAuthority::new(folder.path(), "ca").unwrap();
    let stranger = TlsAuthority::new(folder.path(), "stranger").unwrap();
    let server = authority.issue("server", &["localhost"], TlsPurpose::Server).unwrap();
    let client = authority.issue("client", &["peer"], TlsPurpose::Both).unwrap();
    let named = |path: &Path| NamedFile::new("test", path);
    let identity = Identity::load(&named(&server.certificate), &named(&server.key)).unwrap();
    let roots = Roots::load("test", &[named(&authority.certificate)]).unwrap();
    let tls = ServerTls::new(&identity, ClientAuth::Required(roots)).unwrap();
    let mut service = Service::start("127.0.0.1:0", Some(tls)).await;

    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let connection = |host: &str, root: &Path, client_auth: bool| {
        serde_json::json!({
            "address": format!("{host}:{}", service.address.port()), "dial_timeout": "3s",
            "tls_required": true, "client_auth_required": client_auth, "root_cert": text(root),
            "client_cert": text(&client.certificate), "client_key": text(&client.key),
        })
        .to_string()
    };
    let good = connection("localhost", &authority.certificate, true);
    let refused = [
        (connection("localhost", &stranger.certificate, true), "not of an authority in root_cert connection.json"),
        (connection("127.0.0.1", &authority.certificate, true), "connect by a name that the certificate has"),
        (connection("localhost", &authority.certificate, false), "the server wants another certificate of this client"),
    ];
    let peer = Peer::new(QUICK, String::new());
    for (connection, reason) in refused {
        *peer.vm.connection_json.lock().unwrap() = connection;
        let began = std::time::Instant::now();
        let said = outcome(peer.execute("t", "cc")).await.unwrap_err();
        assert!(said.contains("connection to cc:1.0 failed") && said.contains(reason), "{said}");
        assert!(began.elapsed() < Duration::from_secs(2), "who proves to be another is not asked again");
    }
    *peer.vm.connection_json.lock().unwrap() = good;
    let execution = peer.execute("t", "cc");
    service.registered("cc:1.0").await.answer("proved").await;
    assert_eq!(outcome(execution).await.unwrap(), "proved");
}
