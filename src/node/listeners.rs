//! The listeners of a node: the peer's services, chaincode's, and operations.
//!
//! Invariant: closing takes no new calls and lets those under way finish, for a limited time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::containers::containers_server::ContainersServer;
use selvedge_proto::orderer::atomic_broadcast_server::AtomicBroadcastServer;
use selvedge_proto::protos::chaincode_support_server::ChaincodeSupportServer;
use selvedge_proto::protos::deliver_server::DeliverServer;
use selvedge_proto::protos::endorser_server::EndorserServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};

use super::chaincode_server::ChaincodeServer;
use super::connections::{Connections, Door};
use crate::admin::ContainersService;
use crate::chaincode::{ChaincodeListener, ChaincodeStreams};
use crate::config::Config;
use crate::endorser::Endorser;
use crate::operations::Operations;
use crate::ordering::{AtomicBroadcastService, DeliverService, Deliverer, PrivateDataAccess};
use crate::tls::{ServerTls, TlsIncoming};

/// How long calls under way may take once the node stops, at all listeners together. Connections that never said anything
/// are waited for too: nothing ends them before.
const GRACE: Duration = Duration::from_secs(5);

/// How long connections may take to end that were cut.
const CUT: Duration = Duration::from_secs(1);

/// How a silent client is asked whether it is there.
#[derive(Clone, Copy)]
struct Keepalive {
    /// How long it may say nothing.
    interval: Duration,
    /// How long its answer may take.
    timeout: Duration,
}

/// As in Fabric (`comm.DefaultKeepaliveOptions`). Without it, a stream to a machine that went without a word would stay for
/// ever. How often clients ask in their turn is up to them: Fabric cuts those that do so more than once a minute.
const KEEPALIVE: Keepalive = Keepalive { interval: Duration::from_secs(2 * 3600), timeout: Duration::from_secs(20) };

/// How long to wait when the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
pub(super) struct Services {
    pub(super) endorser: Endorser,
    pub(super) deliverer: Arc<Deliverer>,
    pub(super) private_data: Arc<dyn PrivateDataAccess>,
    pub(super) broadcast: AtomicBroadcastService,
    pub(super) containers: ContainersService,
    pub(super) chaincode: ChaincodeListener,
    pub(super) operations: Operations,
}

/// What listens, and how to stop it.
pub(super) struct Listeners {
    pub(super) peer: SocketAddr,
    pub(super) chaincode: SocketAddr,
    pub(super) operations: SocketAddr,
    deliverer: Arc<Deliverer>,
    chaincode_streams: ChaincodeStreams,
    stop: watch::Sender<bool>,
    connections: Connections,
    /// The peer's own is the first.
    servers: [JoinHandle<()>; 3],
}

impl Listeners {
    pub(super) async fn open(
        config: &Config,
        tls: Option<ServerTls>,
        registrations: ChaincodeServer,
        services: Services,
    ) -> anyhow::Result<Self> {
        let Services {
            endorser,
            deliverer,
            private_data,
            broadcast,
            containers,
            chaincode: registrar,
            operations: shown,
        } = services;
        let peer = bind("peer.listenAddress", &config.peer.listen_address).await?;
        let opened = registrations.listen().context("chaincode's port cannot be opened (peer.chaincodeListenAddress)");
        let (chaincode, chaincode_tls) = opened?;
        let operations = bind("operations.listenAddress", &config.operations.listen_address).await?;
        let addresses = (peer.local_addr()?, chaincode.local_addr()?, operations.local_addr()?);

        let (stop, connections) = (watch::Sender::new(false), Connections::new());
        let services = server(KEEPALIVE)
            .add_service(EndorserServer::new(endorser).max_decoding_message_size(MAX_MESSAGE_SIZE))
            .add_service(DeliverServer::new(DeliverService::new(Arc::clone(&deliverer), private_data)))
            .add_service(AtomicBroadcastServer::new(broadcast).max_decoding_message_size(MAX_MESSAGE_SIZE))
            .add_service(ContainersServer::new(containers));
        let chaincode_streams = registrar.streams();
        let registrar = ChaincodeSupportServer::new(registrar).max_decoding_message_size(MAX_MESSAGE_SIZE);
        // Pings, and never a KEEPALIVE message, at which a Node shim exits.
        let interval = config.chaincode.keepalive.unwrap_or(KEEPALIVE.interval);
        let registrar = server(Keepalive { interval, ..KEEPALIVE }).add_service(registrar);
        let servers = [
            serve("peer", services, (peer, tls), connections.door(), stop.subscribe()),
            serve("chaincode", registrar, (chaincode, chaincode_tls), connections.door(), stop.subscribe()),
            tokio::spawn(serve_operations(shown, operations, stop.subscribe())),
        ];
        let (peer, chaincode, operations) = addresses;
        Ok(Self { peer, chaincode, operations, deliverer, chaincode_streams, stop, connections, servers })
    }

    pub(super) async fn close(self) {
        let _ = self.stop.send(true);
        self.deliverer.close();
        let deadline = Instant::now() + GRACE;
        for mut server in self.servers {
            if tokio::time::timeout_at(deadline, &mut server).await.is_err() {
                server.abort();
            }
            // Calls under way needed them; nobody else ends them.
            self.chaincode_streams.end();
        }
        // Aborting a server ends nothing that it has accepted.
        if tokio::time::timeout(CUT, self.connections.cut()).await.is_err() {
            tracing::warn!("connections did not end within {} ms", CUT.as_millis());
        }
    }
}

fn server(keepalive: Keepalive) -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(keepalive.interval))
        .http2_keepalive_timeout(Some(keepalive.timeout))
}

async fn bind(key: &str, address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| cannot_listen(key, address))
}

pub(super) fn cannot_listen(key: &str, address: &str) -> String {
    format!("cannot listen on {address}; choose another address with {key}")
}

async fn serve_operations(operations: Operations, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = operations.serve(listener, stopped).await {
        tracing::error!("the operations listener failed: {error}");
    }
}

/// Tonic tries again at once, which takes a whole processor for as long as the process has no more files.
async fn pause_after_failure(accepted: io::Result<TcpStream>) -> io::Result<TcpStream> {
    if let Err(error) = &accepted
        && error.kind() != io::ErrorKind::ConnectionAborted
    {
        tracing::warn!("cannot accept a connection: {error}");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

fn serve(
    name: &'static str,
    router: Router,
    (listener, tls): (TcpListener, Option<ServerTls>),
    door: Door,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let served = match tls {
            Some(tls) => {
                let incoming = TlsIncoming::new(listener, &tls);
                let incoming = incoming.map(move |accepted| accepted.map(|stream| door.enter(stream)));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
            None => {
                // Without it, an answer in two packets waits 40 ms for the client's delayed acknowledgement.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).then(pause_after_failure);
                let incoming = incoming.map(move |accepted| accepted.map(|stream| door.enter(stream)));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
        };
        if let Err(error) = served {
            tracing::error!("the {name} listener failed: {error}");
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tonic::service::Routes;

    use super::*;

    #[tokio::test]
    async fn only_a_failure_of_the_listener_itself_makes_it_pause() {
        let pauses = async |kind: io::ErrorKind| {
            let begun = Instant::now();
            pause_after_failure(Err(kind.into())).await.expect_err("is passed on");
            begun.elapsed() >= ACCEPT_PAUSE
        };
        assert!(pauses(io::ErrorKind::Other).await);
        assert!(!pauses(io::ErrorKind::ConnectionAborted).await, "a client that went");
    }

    /// The type of HTTP/2 frame that asks for an answer, and the flag of that answer.
    const PING: u8 = 6;
    const ACK: u8 = 1;

    /// The header and the payload of the next frame; none where the connection is at its end.
    async fn frame(stream: &mut TcpStream) -> Option<([u8; 9], Vec<u8>)> {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.ok()?;
        Some((header, payload))
    }

    #[tokio::test]
    async fn a_client_that_answers_pings_stays_and_one_that_does_not_is_left() {
        let keepalive = Keepalive { interval: Duration::from_millis(50), timeout: Duration::from_millis(100) };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new();
        let task = serve(
            "test",
            server(keepalive).add_routes(Routes::default()),
            (listener, None),
            connections.door(),
            stopped,
        );

        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the preface");
        client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("empty settings");
        let (mut asked, begun) = (0, Instant::now());
        while let Some((mut header, payload)) = frame(&mut client).await {
            if (header[3], header[4] & ACK) != (PING, 0) {
                continue;
            }
            asked += 1;
            if asked <= 5 {
                header[4] |= ACK;
                client.write_all(&[&header[..], &payload].concat()).await.expect("still there");
            }
        }
        assert_eq!(asked, 6, "five answers, and none to the sixth question");
        assert!(begun.elapsed() > 5 * keepalive.interval, "{:?}", begun.elapsed());
        let _ = stop.send(true);
        task.await.expect("the server ends");
    }

    #[tokio::test]
    async fn what_a_server_had_accepted_ends_with_the_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (connections, (_stop, stopped)) = (Connections::new(), watch::channel(false));
        let routes = server(KEEPALIVE).add_routes(Routes::default());
        let task = serve("test", routes, (listener, None), connections.door(), stopped);
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the preface");
        client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("empty settings");
        frame(&mut client).await.expect("the server's settings");

        task.abort();
        tokio::time::timeout(Duration::from_secs(20), connections.cut()).await.expect("all are gone");
        let rest = async { while frame(&mut client).await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(20), rest).await.expect("the connection ends");
    }
}
