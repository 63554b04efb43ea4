//! The client's side (Fabric: `comm.GRPCClient`).
//!
//! Invariant: with TLS, no byte of a request is sent before the server has proved its name under one of the given roots.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::AsyncBufRead;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::{ResolvesClientCert, Resumption};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, SupportedProtocolVersion, version,
};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::verify::KnownServer;
use super::{ALPN, CertHash, Identity, Roots, TlsError};

/// A client's side of TLS.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    roots: Roots,
    server_name: Option<String>,
    hash: Option<CertHash>,
}

impl ClientTls {
    /// Believes servers under `roots`, and shows `identity` to those that ask.
    ///
    /// # Errors
    /// When the library refuses the material.
    pub fn new(roots: Roots, identity: Option<&Identity>) -> Result<Self, TlsError> {
        Self::with_versions(roots, identity, &[&version::TLS13, &version::TLS12])
    }

    pub(super) fn with_versions(
        roots: Roots,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, TlsError> {
        let provider = super::provider();
        let verifier = KnownServer::new(roots.clone(), Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            Some(identity) => {
                let resolver: Arc<dyn ResolvesClientCert> =
                    Arc::new(SingleCertAndKey::from(Arc::clone(&identity.certified)));
                builder.with_client_cert_resolver(resolver)
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), roots, server_name: None, hash: identity.map(Identity::certificate_hash) })
    }

    /// Expects `name` in the server's certificate, whatever address it is reached at; the empty name changes nothing.
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned()).filter(|name| !name.is_empty());
        self
    }

    /// For a server that speaks HTTP/1.1, and not gRPC.
    #[must_use]
    pub fn http1(mut self) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![b"http/1.1".to_vec()];
        self
    }

    /// A connection to `host:port`, without a protocol on it yet.
    ///
    /// # Errors
    /// When the address is no good, nobody is there, or the two sides do not come to terms.
    pub async fn handshake(&self, address: &str) -> Result<TlsStream<TcpStream>, ConnectError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = self.expected_name(host.trim_start_matches('[').trim_end_matches(']'))?;
        let unreachable = |error: std::io::Error| ConnectError::Unreachable(error.to_string());
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        let connected = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        connected
            .map_err(|error| ConnectError::Handshake { address: address.to_owned(), reason: explain(&error, self) })
    }

    fn expected_name(&self, host: &str) -> Result<ServerName<'static>, ConnectError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| ConnectError::Name(name.to_owned()))
    }

    /// The hash of the certificate that it shows.
    pub fn certificate_hash(&self) -> Option<CertHash> {
        self.hash
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error("{0:?} is not an address; write host:port")]
    Address(String),
    /// The name that the server should have is none.
    #[error("{0:?} cannot be a name in a certificate; write a host name or an IP address")]
    Name(String),
    /// Nobody is there.
    #[error("{0}")]
    Unreachable(String),
    /// The handshake failed.
    #[error("TLS handshake with {address} failed: {reason}")]
    Handshake {
        /// The server.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// How long a server may say nothing during a call before it is asked whether it is there (Fabric:
/// `comm.DefaultKeepaliveOptions.ClientInterval`; its servers cut off who asks more often).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// How long the answer may take; a server that gives none, or never spoke HTTP/2, ends the call.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What [`connect`] returns. An `async fn` would be compiled anew in each crate that awaits it, with all of HTTP/2 and TLS:
/// ten seconds for each test program.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Channel, ConnectError>> + Send + 'a>>;

/// Connects to `host:port`, with TLS or without. A call on a connection that is dead or mute fails after 80 s.
///
/// # Errors
/// When the address is no good, nobody is there, or the two sides do not come to terms.
pub fn connect<'a>(address: &'a str, tls: Option<&'a ClientTls>) -> Connecting<'a> {
    Box::pin(open(address, tls))
}

async fn open(address: &str, tls: Option<&ClientTls>) -> Result<Channel, ConnectError> {
    let wrong = || ConnectError::Address(address.to_owned());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|_| wrong())?;
    let endpoint = endpoint.http2_keep_alive_interval(KEEPALIVE_INTERVAL).keep_alive_timeout(KEEPALIVE_TIMEOUT);
    endpoint.uri().port().ok_or_else(wrong)?;
    let Some(tls) = tls else {
        return endpoint.connect().await.map_err(|error| ConnectError::Unreachable(innermost(&error)));
    };
    let host = endpoint.uri().host().ok_or_else(wrong)?.trim_start_matches('[').trim_end_matches(']');
    let name = tls.expected_name(host)?;
    let handshake = Handshake { address: address.to_owned(), name, tls: tls.clone() };
    endpoint.connect_with_connector(handshake).await.map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        match causes.filter_map(|cause| cause.downcast_ref::<HandshakeError>()).last() {
            Some(HandshakeError(reason)) => {
                ConnectError::Handshake { address: address.to_owned(), reason: reason.clone() }
            }
            None => ConnectError::Unreachable(innermost(&error)),
        }
    })
}

/// The cause of all: what is around it says no more than that a connection failed.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}

/// What tonic calls for a connection, and again when it was lost.
struct Handshake {
    address: String,
    name: ServerName<'static>,
    tls: ClientTls,
}

#[derive(Debug, Error)]
#[error("{0}")]
struct HandshakeError(String);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Handshake {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let (address, name, tls) = (self.address.clone(), self.name.clone(), self.tls.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let connector = TlsConnector::from(Arc::clone(&tls.config));
            let connected = connector.connect(name, stream).await;
            let wrong = |error: std::io::Error| HandshakeError(explain(&error, &tls));
            let mut stream = connected.map_err(wrong)?;
            if let Ok(verdict) = tokio::time::timeout(VERDICT, verdict(&mut stream)).await {
                verdict.map_err(wrong)?;
            }
            Ok(TokioIo::new(stream))
        })
    }
}

/// How long a server has to say its first word.
const VERDICT: Duration = Duration::from_secs(1);

/// Waits for the server's first word and leaves it there for HTTP/2. With TLS 1.3 the client's side of the handshake is done
/// before the server has looked at the client's certificate, so a refusal comes here; otherwise it is SETTINGS, which servers
/// send at once. (They need not; hence the limit.)
async fn verdict(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    match std::future::poll_fn(|context| Pin::new(&mut *stream).poll_fill_buf(context).map_ok(<[u8]>::is_empty)).await?
    {
        false => Ok(()),
        true => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What is wrong between the two, and what to do.
fn explain(error: &std::io::Error, tls: &ClientTls) -> String {
    let Some(reason) = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) else {
        return format!("the server closed the connection ({error}); does it speak TLS there?");
    };
    match reason {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the server's certificate is not of an authority in {}; give the file with the certificate of its authority",
            tls.roots.origin()
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("{reason}; connect by a name that the certificate has, or say which name to expect"),
        Error::InvalidMessage(_) => format!("{reason}; does it speak TLS there?"),
        Error::AlertReceived(alert) if refuses_certificate(*alert) => format!("{reason}; {OTHER_CERTIFICATE}"),
        reason => reason.to_string(),
    }
}

/// Why a call failed below gRPC, and what to do; none where the server answered it.
pub fn explain_lost_connection(status: &tonic::Status) -> Option<String> {
    let lost = std::error::Error::source(status)?;
    Some(format!("{}; the server is gone, or if it has TLS, this client needs it too", innermost(lost)))
}

const OTHER_CERTIFICATE: &str = "the server wants another certificate of this client, or one at all";

fn refuses_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateUnknown
            | Alert::HandshakeFailure
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}
