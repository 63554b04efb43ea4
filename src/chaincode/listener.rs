//! Streams of chaincode in other processes: `protos.ChaincodeSupport/Register` (Fabric: `ChaincodeSupport.Register`).
//!
//! How a stream is read is [`crate::container::grpc`]'s. Invariants: no process registers as a system chaincode, not even
//! while that one is between two launches; with TLS, no message reaches the Handler before the stream's certificate has
//! proved to be that of the name which it registers, and no other name is registered on that stream. (Fabric looks at the
//! first message only, and one that it refuses silently may be followed by another.)

use std::sync::Arc;

use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_support_server::ChaincodeSupport;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};
use tracing::error;

use super::message::Type;
use super::{Authenticator, SystemChaincodes};
use crate::container::StreamAcceptor;
use crate::container::grpc::{Admission, Messages, Reader, outbox, registers};
use crate::tls::{CertHash, TlsInfo};

/// The service on which chaincode registers.
pub struct ChaincodeListener {
    acceptor: Arc<dyn StreamAcceptor>,
    system_chaincodes: Arc<dyn SystemChaincodes>,
    authenticator: Option<Arc<Authenticator>>,
    work: Option<Handle>,
    streams: ChaincodeStreams,
}

/// The streams of a listener, whose chaincode would keep them for as long as the peer has a connection.
#[derive(Clone, Default)]
pub struct ChaincodeStreams(watch::Sender<bool>);

impl ChaincodeStreams {
    /// Ends all of them, and those that come later.
    pub fn end(&self) {
        self.0.send_replace(true);
    }
}

impl ChaincodeListener {
    /// A listener that gives its streams to this acceptor, but for those that claim the name of a system chaincode.
    pub fn new(acceptor: Arc<dyn StreamAcceptor>, system_chaincodes: Arc<dyn SystemChaincodes>) -> Self {
        Self { acceptor, system_chaincodes, authenticator: None, work: None, streams: ChaincodeStreams::default() }
    }

    /// Takes only streams whose connections have a certificate of this authenticator's for the name that they register;
    /// any where there is none, as without TLS.
    #[must_use]
    pub fn authenticate_with(self, authenticator: Option<Arc<Authenticator>>) -> Self {
        Self { authenticator, ..self }
    }

    /// Has requests worked on there and not by whoever serves the sockets: what a chaincode calls may be a wasm guest,
    /// which computes.
    #[must_use]
    pub fn work_on(self, work: Handle) -> Self {
        Self { work: Some(work), ..self }
    }

    /// Its streams, for who stops the peer.
    pub fn streams(&self) -> ChaincodeStreams {
        self.streams.clone()
    }
}

#[tonic::async_trait]
impl ChaincodeSupport for ChaincodeListener {
    type RegisterStream = Messages;

    async fn register(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (outbox, messages) = outbox();
        let peer = self.acceptor.accept(Arc::new(outbox.clone()));
        let work = self.work.clone().unwrap_or_else(Handle::current);
        let admission = OfThisPeer {
            system_chaincodes: Arc::clone(&self.system_chaincodes),
            authentication: self.authenticator.clone().map(|authenticator| Authentication {
                authenticator,
                certificate: TlsInfo::client_cert_hash_of(&request),
                passed: false,
            }),
        };
        let reader = Reader::new(peer, admission);
        let mut ending = self.streams.0.subscribe();
        tokio::spawn(async move {
            let end = tokio::select! {
                end = reader.read(request.into_inner(), &outbox, &work) => end,
                Ok(_) = ending.wait_for(|ending| *ending) => Some(Status::unavailable("the peer stops")),
            };
            if let Some(status) = end {
                outbox.end(status);
            }
        });
        Ok(Response::new(messages))
    }
}

/// Who may register here.
struct OfThisPeer {
    system_chaincodes: Arc<dyn SystemChaincodes>,
    /// With TLS.
    authentication: Option<Authentication>,
}

struct Authentication {
    authenticator: Arc<Authenticator>,
    certificate: Option<CertHash>,
    /// Whether the first message has.
    passed: bool,
}

impl Authentication {
    /// The first message has to pass, and every REGISTER after it.
    fn refusal(&mut self, message: &ChaincodeMessage) -> Option<Status> {
        if self.passed && message.r#type() != Type::Register {
            return None;
        }
        let refused = self.authenticator.authenticate(message, self.certificate).err()?;
        Some(Status::unknown(refused.to_string()))
    }
}

impl Admission for OfThisPeer {
    fn refusal(&mut self, message: &ChaincodeMessage) -> Option<Status> {
        if let Some(authentication) = &mut self.authentication {
            if let Some(refused) = authentication.refusal(message) {
                return Some(refused);
            }
            authentication.passed = true;
        }
        let id = registers(message)?;
        let name = id.split_once(':').map_or(&*id, |(name, _)| name);
        self.system_chaincodes.is_sys_cc(name).then(|| {
            error!("a process that is not this peer tried to register as system chaincode {name}");
            Status::permission_denied(format!("{name} is a system chaincode of this peer"))
        })
    }
}

#[cfg(test)]
mod tls_tests;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
    use selvedge_proto::protos::chaincode_support_server::ChaincodeSupportServer;
    use selvedge_proto::protos::{ChaincodeId, GetState, Response};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
    use tonic::transport::{Endpoint, Server};

    use super::super::message;
    use super::super::testing::{CHANNEL, Rules, TestPeer, like, outcome};
    use super::*;
    use crate::container::{ChaincodeStream, EndStream, PeerEnd, Pending};
    use prost::Message;

    /// A chaincode that dialled the peer.
    struct Dialled {
        to_peer: mpsc::UnboundedSender<ChaincodeMessage>,
        from_peer: Streaming<ChaincodeMessage>,
    }

    impl Dialled {
        async fn next(&mut self) -> Result<Option<ChaincodeMessage>, Status> {
            let next = tokio::time::timeout(Duration::from_secs(10), self.from_peer.message()).await;
            next.expect("the peer says something in time")
        }

        async fn expect(&mut self, kind: Type) -> ChaincodeMessage {
            let message = self.next().await.unwrap().unwrap();
            assert_eq!(message.r#type(), kind);
            message
        }
    }

    /// Counts the messages that chaincodes send.
    struct Counting(Arc<dyn StreamAcceptor>, Arc<AtomicUsize>);

    struct Counted(Arc<dyn PeerEnd>, Arc<AtomicUsize>);

    impl StreamAcceptor for Counting {
        fn accept(&self, stream: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd> {
            Arc::new(Counted(self.0.accept(stream), Arc::clone(&self.1)))
        }
    }

    impl PeerEnd for Counted {
        fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.receive(message)
        }

        fn closed(&self) {
            self.0.closed();
        }
    }

    async fn dial(peer: &TestPeer) -> Dialled {
        dial_to(Arc::new(peer.support.clone())).await
    }

    /// A registered chaincode `cc:1.0`.
    async fn dial_to(acceptor: Arc<dyn StreamAcceptor>) -> Dialled {
        let mut chaincode = register(acceptor, "cc:1.0").await;
        chaincode.expect(Type::Registered).await;
        chaincode.expect(Type::Ready).await;
        chaincode
    }

    /// A stream whose first message claims this id.
    async fn register(acceptor: Arc<dyn StreamAcceptor>, id: &str) -> Dialled {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let listener = ChaincodeListener::new(acceptor, Arc::new(Rules::default())).work_on(Handle::current());
        let server = Server::builder().add_service(ChaincodeSupportServer::new(listener));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(socket)));
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        let (to_peer, messages) = mpsc::unbounded_channel();
        let id = ChaincodeId { name: id.into(), ..ChaincodeId::default() };
        to_peer.send(message::bare(Type::Register, id.encode_to_vec().into())).unwrap();
        let stream =
            ChaincodeSupportClient::new(channel).register(UnboundedReceiverStream::new(messages)).await.unwrap();
        Dialled { to_peer, from_peer: stream.into_inner() }
    }

    #[tokio::test]
    async fn a_chaincode_in_another_process_executes_until_it_leaves() {
        let peer = TestPeer::new();
        peer.put("cc", [("a".into(), "1".into())]);
        let mut cc = dial(&peer).await;
        let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
        let tx = cc.expect(Type::Transaction).await;
        let get = GetState { key: "a".into(), collection: String::new() };
        cc.to_peer.send(like(&tx, Type::GetState, get.encode_to_vec())).unwrap();
        assert_eq!(cc.expect(Type::Response).await.payload, "1");
        let response = Response { status: 200, payload: "done".into(), ..Response::default() };
        cc.to_peer.send(like(&tx, Type::Completed, response.encode_to_vec())).unwrap();
        assert_eq!(outcome(execution).await.unwrap(), "done");

        let execution = peer.execute(peer.params("t2", CHANNEL), "cc");
        cc.expect(Type::Transaction).await;
        drop(cc);
        assert_eq!(
            outcome(execution).await.unwrap_err(),
            "failed to execute transaction t2: error sending: chaincode stream terminated"
        );
    }

    #[tokio::test]
    async fn a_message_out_of_turn_ends_the_stream_with_the_reason() {
        let peer = TestPeer::new();
        let mut cc = dial(&peer).await;
        cc.to_peer.send(message::bare(Type::Ready, "".into())).unwrap();
        let status = cc.next().await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unknown);
        assert_eq!(
            status.message(),
            "error handling message, ending stream: [] Fabric side handler cannot handle message (READY) while in ready state"
        );
    }

    #[tokio::test]
    async fn no_process_registers_as_a_system_chaincode() {
        let peer = TestPeer::new();
        for id in ["scc:1.0", "scc", "hidden:7"] {
            let status = register(Arc::new(peer.support.clone()), id).await.next().await.unwrap_err();
            let name = id.split(':').next().unwrap();
            assert_eq!(status.code(), tonic::Code::PermissionDenied, "{id}");
            assert_eq!(status.message(), format!("{name} is a system chaincode of this peer"));
        }
        // In-process streams do not come this way, so the names are still free for them.
        peer.chaincode("scc:1.0").await;
    }

    #[tokio::test]
    async fn a_chaincode_that_never_listens_is_heard_no_more_and_goes_on_when_it_does() {
        const ASKED: usize = 200;
        let peer = TestPeer::new();
        let heard = Arc::<AtomicUsize>::default();
        let mut cc = dial_to(Arc::new(Counting(Arc::new(peer.support.clone()), Arc::clone(&heard)))).await;
        // Each request is answered by its own transaction id, twice.
        for n in 0..ASKED {
            let txid = format!("{n}{}", "0".repeat(1_000_000));
            let get = GetState::default().encode_to_vec().into();
            cc.to_peer.send(message::for_transaction(Type::GetState, get, txid, CHANNEL.into())).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let heard = heard.load(Ordering::SeqCst);
        assert!(heard < ASKED / 2, "{heard} of {ASKED} requests were taken in while no answer was");
        for n in 0..ASKED {
            let answer = cc.expect(Type::Error).await;
            assert!(answer.txid.len() > 1_000_000 && answer.payload.ends_with(b"no ledger context"), "answer {n}");
        }
    }
}
