//! The listeners of a node: the peer's services, chaincode's, and operations.
//!
//! Invariant: closing takes no new calls and lets those under way finish, for a limited time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use selvedge_proto::MAX_MESSAGE_SIZE;
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

use crate::chaincode::ChaincodeListener;
use crate::config::Config;
use crate::endorser::Endorser;
use crate::operations::Operations;
use crate::ordering::{AtomicBroadcastService, DeliverService, Deliverer, PrivateDataAccess};
use crate::tls::{ServerTls, TlsIncoming};

/// How long calls under way may take once the node stops, at all listeners together. Connections that never said anything
/// are waited for too: nothing ends them before.
const GRACE: Duration = Duration::from_secs(5);

/// How long a client may say nothing before it is asked whether it is there, and how long the answer may take (Fabric:
/// `comm.DefaultKeepaliveOptions`). Without it, a stream to a machine that went without a word would stay for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2 * 3600);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait when the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
pub(super) struct Services {
    pub(super) endorser: Endorser,
    pub(super) deliverer: Arc<Deliverer>,
    pub(super) private_data: Arc<dyn PrivateDataAccess>,
    pub(super) broadcast: AtomicBroadcastService,
    pub(super) chaincode: ChaincodeListener,
    pub(super) operations: Operations,
}

/// What listens, and how to stop it.
pub(super) struct Listeners {
    pub(super) peer: SocketAddr,
    pub(super) chaincode: SocketAddr,
    pub(super) operations: SocketAddr,
    deliverer: Arc<Deliverer>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

impl Listeners {
    pub(super) async fn open(config: &Config, tls: Option<ServerTls>, services: Services) -> anyhow::Result<Self> {
        let Services { endorser, deliverer, private_data, broadcast, chaincode: registrations, operations: shown } =
            services;
        let peer = bind("peer.listenAddress", &config.peer.listen_address).await?;
        let chaincode = bind("peer.chaincodeListenAddress", &config.peer.chaincode_listen_address).await?;
        let operations = bind("operations.listenAddress", &config.operations.listen_address).await?;
        let addresses = (peer.local_addr()?, chaincode.local_addr()?, operations.local_addr()?);

        let stop = watch::Sender::new(false);
        let services = server()
            .add_service(EndorserServer::new(endorser).max_decoding_message_size(MAX_MESSAGE_SIZE))
            .add_service(DeliverServer::new(DeliverService::new(Arc::clone(&deliverer), private_data)))
            .add_service(AtomicBroadcastServer::new(broadcast).max_decoding_message_size(MAX_MESSAGE_SIZE));
        let registrations = ChaincodeSupportServer::new(registrations).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let registrations = server().add_service(registrations);
        let servers = vec![
            serve("peer", services, peer, tls, stop.subscribe()),
            serve("chaincode", registrations, chaincode, None, stop.subscribe()),
            tokio::spawn(serve_operations(shown, operations, stop.subscribe())),
        ];
        Ok(Self { peer: addresses.0, chaincode: addresses.1, operations: addresses.2, deliverer, stop, servers })
    }

    pub(super) async fn close(self) {
        let _ = self.stop.send(true);
        self.deliverer.close();
        let deadline = Instant::now() + GRACE;
        for mut server in self.servers {
            if tokio::time::timeout_at(deadline, &mut server).await.is_err() {
                server.abort();
            }
        }
    }
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

async fn bind(key: &str, address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address with {key}"))
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
    listener: TcpListener,
    tls: Option<ServerTls>,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let served = match tls {
            Some(tls) => router.serve_with_incoming_shutdown(TlsIncoming::new(listener, &tls), stopped).await,
            None => {
                // Without it, an answer in two packets waits 40 ms for the client's delayed acknowledgement.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).then(pause_after_failure);
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
}
