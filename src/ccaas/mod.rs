//! A wasm chaincode as a service for peers elsewhere: `protos.Chaincode/Connect` (Fabric 2: chaincode as a service).
//!
//! It gives networks that keep their Fabric peers the sandbox alone: the same limits, and a fresh instance for each
//! transaction. Each peer that connects gets a container of its own, whose peer's end is a `RemotePeer`: the container
//! speaks ChaincodeMessage and never learns that the Handler is far away. What Fabric's shim does on its end of a stream
//! (states, KEEPALIVE) is `stream`'s.
//!
//! Invariants: when a stream ends, however it ends, its transactions are dropped and its container is stopped. There is an end
//! to the streams, and to what a peer may leave on one (`running`, and `container::grpc`'s outbox); and streams take
//! turns where transactions wait for a place: a peer that floods delays itself.

mod remote_peer;
mod running;
mod stream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_server::{Chaincode, ChaincodeServer};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use self::remote_peer::RemotePeer;
use crate::config::Config;
use crate::container::grpc::{Messages, outbox};
use crate::container::wasm::{ModuleOwner, ModuleSpec, WasmVm};
use crate::container::{Budget, Ccid};
use crate::node::{WorkRuntime, wasm_config};
use crate::tls::{ServerTls, TlsIncoming};

/// As Fabric's Go shim asks its peers whether they are there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Streams at a time. A peer has one.
const STREAMS: usize = 256;

/// What is served, and where.
#[derive(Debug)]
pub struct Service {
    /// The module.
    pub file: PathBuf,
    /// What it registers as with each peer: a package id, or `name:version`.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// TLS, where there is any.
    pub tls: Option<ServerTls>,
}

/// A service that listens.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    listener: TcpListener,
    tls: Option<ServerTls>,
    host: Arc<Host>,
    work: WorkRuntime,
}

/// The VM and what each stream needs of it.
struct Host {
    vm: WasmVm,
    ccid: Ccid,
    work: Handle,
    execute_timeout: Duration,
    fuel: Option<u64>,
    call_depth: u32,
    streams: Arc<Semaphore>,
}

/// Loads the module, without any of the peer's capabilities, and listens.
///
/// # Errors
/// What keeps it from either.
pub async fn listen(config: &Config, service: Service) -> anyhow::Result<Listening> {
    let Service { file, id, address, tls } = service;
    let ccid = match id.split_once(':') {
        Some((name, version)) => Ccid::new(name, version),
        None => Ccid::new(id, ""),
    };
    let wasm = &config.chaincode.wasm;
    let work = WorkRuntime::start(wasm.workers).context("cannot start the threads that run guests")?;
    let vm = WasmVm::new(&wasm_config(config), Vec::new(), work.handle()).context("the wasm VM cannot start")?;
    let spec = ModuleSpec {
        ccid: ccid.clone(),
        path: file,
        capabilities: Default::default(),
        config: Default::default(),
        owner: ModuleOwner::Node,
    };
    let vm = tokio::task::spawn_blocking(move || -> anyhow::Result<WasmVm> {
        let module = vm.load(spec)?;
        vm.register(module)?;
        Ok(vm)
    });
    let vm = vm.await.context("loading was cut off")??;
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address with --address"))?;
    let address = listener.local_addr()?;
    let host = Arc::new(Host {
        vm,
        ccid,
        work: work.handle(),
        execute_timeout: config.chaincode.execute_timeout,
        fuel: wasm.limits.fuel,
        call_depth: wasm.limits.call_depth,
        streams: Arc::new(Semaphore::new(STREAMS)),
    });
    Ok(Listening { address, listener, tls, host, work })
}

impl Listening {
    /// Serves every peer that connects.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        // Guests run on it for as long as peers are served.
        let Self { listener, tls, host, work: _work, .. } = self;
        let service = ChaincodeServer::new(Connect(host)).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(service);
        let served = match tls {
            // Without it, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
            None => server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await,
            Some(tls) => server.serve_with_incoming(TlsIncoming::new(listener, &tls)).await,
        };
        served.context("the listener failed")
    }
}

struct Connect(Arc<Host>);

#[tonic::async_trait]
impl Chaincode for Connect {
    type ConnectStream = Messages;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let Ok(place) = Arc::clone(&self.0.streams).try_acquire_owned() else {
            let text = format!("chaincode {} serves {STREAMS} streams already", self.0.ccid);
            return Err(Status::resource_exhausted(text));
        };
        let (outbox, messages) = outbox();
        let peer = Arc::new(RemotePeer::new(outbox.clone()));
        let host = Arc::clone(&self.0);
        let container = host
            .vm
            .start_on(&host.ccid, &remote_peer::Only::new(Arc::clone(&peer)))
            .map_err(|error| Status::unavailable(error.to_string()))?;
        tracing::info!("a peer has connected to chaincode {}", host.ccid);
        tokio::spawn(async move {
            let _place = place;
            let end = stream::serve(&host, &peer, container.stream(), request.into_inner()).await;
            container.stop();
            tracing::info!("the stream of a peer has ended: {end}");
            outbox.end(Status::unknown(end));
        });
        Ok(Response::new(messages))
    }
}

impl Host {
    /// The budget of a transaction that a peer begins. Its own timeout is not told, so this node's counts.
    fn budget(&self) -> Budget {
        Budget::root(Instant::now() + self.execute_timeout, self.fuel)
    }
}
