//! A chaincode that peers dial: `protos.Chaincode/Connect` (Fabric: `shim.ChaincodeServer`, chaincode as a service).
//!
//! Invariant: streams share nothing: each has places for transactions of its own, and how one ends is nothing to the others.

use std::sync::Arc;
use std::time::Duration;

use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_server::{Chaincode, ChaincodeServer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::error::NativeError;
use super::handler::{self, EOF, Handler, Shim};
use super::outbox::{Messages, outbox};
use super::tls::{ServerTls, TlsIncoming};

/// As in Fabric's Go shim.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams at a time, with those that have ended and whose transactions still run: these have threads. A peer has one.
const STREAMS: usize = 256;

/// Where peers come to.
#[derive(Debug)]
pub(super) struct ServiceAddress {
    /// `host:port`.
    pub(super) address: String,
    /// The variable that said so.
    pub(super) setting: String,
    pub(super) tls: Option<ServerTls>,
}

/// Serves every peer that connects.
///
/// # Errors
/// When the address cannot be listened on, or the listener fails.
pub(super) async fn serve(shim: Arc<Shim>, service: ServiceAddress) -> Result<(), NativeError> {
    let ServiceAddress { address, setting, tls } = service;
    let failed = |source| NativeError::Listen { address: address.clone(), setting: setting.clone(), source };
    let listener = TcpListener::bind(&address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let how = match &tls {
        None => "without TLS",
        Some(tls) if tls.verifies_clients => "with TLS (peers show a certificate)",
        Some(_) => "with TLS",
    };
    shim.log.info(&format!("chaincode {} listens on {bound} {how} for peers", shim.id));
    let connect = ChaincodeServer::new(Connect { shim, streams: Arc::new(Semaphore::new(STREAMS)) })
        .max_decoding_message_size(MAX_MESSAGE_SIZE);
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_service(connect);
    let served = match tls {
        // Without it, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
        None => server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await,
        Some(tls) => server.serve_with_incoming(TlsIncoming::new(listener, &tls)).await,
    };
    served.map_err(|error| NativeError::Runtime(format!("the listener on {bound} failed: {error}")))
}

struct Connect {
    shim: Arc<Shim>,
    streams: Arc<Semaphore>,
}

#[tonic::async_trait]
impl Chaincode for Connect {
    type ConnectStream = Messages;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = request.remote_addr().map_or_else(|| "a peer".to_owned(), |peer| format!("the peer at {peer}"));
        let shim = Arc::clone(&self.shim);
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "chaincode {} serves {STREAMS} streams already; one that has ended is among them while its transactions run",
                shim.id
            )));
        };
        shim.log.info(&format!("{peer} has connected"));
        let (outbox, messages) = outbox();
        let handler = Handler::register(Arc::clone(&shim), outbox.clone(), Some(place));
        tokio::spawn(async move {
            let end = handler::chat(handler, &mut request.into_inner()).await.to_string();
            let line = format!("the stream of {peer} has ended: {end}");
            if end == EOF {
                shim.log.info(&line);
            } else {
                shim.log.warning(&line);
            }
            outbox.end(Status::unknown(end));
        });
        Ok(Response::new(messages))
    }
}
