//! TLS with a peer, from the files that Fabric gives a chaincode (Fabric: `shim/internal.LoadTLSConfig`): versions 1.2 and
//! 1.3, and no authority but those named.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_stream::Stream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::error::NativeError;

/// From the connection to the end of the handshake (Fabric: 5 s).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes at a time.
const HANDSHAKES: usize = 64;
/// How long to wait when the system has no more files.
const PAUSE: Duration = Duration::from_millis(100);
/// HTTP/2, which is all that gRPC speaks.
const ALPN: &[u8] = b"h2";

/// A file and the variable that names it.
pub(super) struct NamedFile {
    variable: String,
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Pem,
    Base64OfPem,
}

impl NamedFile {
    pub(super) fn pem(variable: &str, path: PathBuf) -> Self {
        Self { variable: variable.to_owned(), path, form: Form::Pem }
    }

    pub(super) fn base64(variable: &str, path: PathBuf) -> Self {
        Self { variable: variable.to_owned(), path, form: Form::Base64OfPem }
    }

    fn read(&self) -> Result<Vec<u8>, NativeError> {
        let read = |source| NativeError::Read { setting: self.variable.clone(), path: self.path.clone(), source };
        let mut bytes = std::fs::read(&self.path).map_err(read)?;
        if self.form == Form::Pem {
            return Ok(bytes);
        }
        bytes.retain(|byte| !byte.is_ascii_whitespace());
        BASE64_STANDARD.decode(&bytes).map_err(|_| {
            let variable = self.variable.replace("_PATH", "_FILE");
            self.wrong(format!("it must hold the base64 text of a PEM file; {variable} takes the PEM file itself"))
        })
    }

    fn wrong(&self, reason: impl Into<String>) -> NativeError {
        NativeError::Content { setting: self.variable.clone(), path: self.path.clone(), reason: reason.into() }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, NativeError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(self.wrong("there is no CERTIFICATE block in it")),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.wrong(format!("its PEM is damaged: {error}"))),
        }
    }

    fn roots(&self) -> Result<RootCertStore, NativeError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            let added = roots.add(certificate);
            added.map_err(|error| self.wrong(format!("a certificate in it cannot be used: {error}")))?;
        }
        Ok(roots)
    }
}

fn pair(key: &NamedFile, certificate: &NamedFile) -> Result<Arc<SingleCertAndKey>, NativeError> {
    let chain = certificate.certificates()?;
    let der = PrivateKeyDer::from_pem_slice(&key.read()?)
        .map_err(|_| key.wrong("there is no PRIVATE KEY block in it that is not encrypted"))?;
    let signing = provider().key_provider.load_private_key(der);
    let signing = signing.map_err(|error| key.wrong(format!("the key cannot be used: {error}")))?;
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(|error| {
        certificate.wrong(format!("it is no pair with the key in {} ({}): {error}", key.path.display(), key.variable))
    })?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn refused(error: impl ToString) -> NativeError {
    NativeError::Runtime(error.to_string())
}

/// The side of a chaincode that dials.
#[derive(Clone, Debug)]
pub(super) struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl ClientTls {
    /// None when `name` can be in no certificate.
    pub(super) fn load(
        roots: &NamedFile,
        key: &NamedFile,
        certificate: &NamedFile,
        name: &str,
    ) -> Result<Option<Self>, NativeError> {
        let Ok(name) = ServerName::try_from(name.to_owned()) else { return Ok(None) };
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let mut config =
            builder.with_root_certificates(roots.roots()?).with_client_cert_resolver(pair(key, certificate)?);
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Some(Self { config: Arc::new(config), name }))
    }
}

/// What tonic calls for a connection.
pub(super) struct Handshake {
    address: String,
    tls: ClientTls,
}

impl Handshake {
    pub(super) fn new(address: &str, tls: &ClientTls) -> Self {
        Self { address: address.to_owned(), tls: tls.clone() }
    }
}

impl Service<Uri> for Handshake {
    type Response = TokioIo<client::TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (address, tls) = (self.address.clone(), self.tls.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let connected = TlsConnector::from(tls.config).connect(tls.name, stream).await;
            Ok(TokioIo::new(connected.map_err(|error| io::Error::other(format!("TLS handshake failed: {error}")))?))
        })
    }
}

/// The side of a chaincode that serves.
#[derive(Clone, Debug)]
pub(super) struct ServerTls {
    config: Arc<ServerConfig>,
    pub(super) verifies_clients: bool,
}

impl ServerTls {
    /// With `clients`, a peer must show a certificate of one of these authorities.
    pub(super) fn load(
        key: &NamedFile,
        certificate: &NamedFile,
        clients: Option<&NamedFile>,
    ) -> Result<Self, NativeError> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(file.roots()?), provider()).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| file.wrong(error.to_string()))?)
            }
        };
        let mut config = builder.with_cert_resolver(pair(key, certificate)?);
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config), verifies_clients: clients.is_some() })
    }
}

/// Connections whose handshake is done. Each is a task of its own, so that nobody waits for another's.
pub(super) struct TlsIncoming {
    connections: mpsc::Receiver<TlsConnection>,
    _accepting: JoinSet<()>,
}

impl TlsIncoming {
    pub(super) fn new(listener: TcpListener, tls: &ServerTls) -> Self {
        let (ready, connections) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, TlsAcceptor::from(Arc::clone(&tls.config)), ready));
        Self { connections, _accepting: accepting }
    }
}

impl Stream for TlsIncoming {
    type Item = io::Result<TlsConnection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<TlsConnection>) {
    let mut handshakes = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while handshakes.try_join_next().is_some() {}
        if oldest_first.len() >= HANDSHAKES {
            oldest_first.retain(|handshake| !handshake.is_finished());
        }
        // Of connections that say nothing, the one that has had most time for it goes, and nobody waits for it.
        if oldest_first.len() >= HANDSHAKES
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        let handshake = handshakes.spawn(async move {
            // A peer that fails says so in its own log; what it is told is the alert.
            let _ = stream.set_nodelay(true);
            if let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                let _ = ready.send(TlsConnection(connection)).await;
            }
        });
        oldest_first.push_back(handshake);
    }
}

/// A connection whose handshake is done.
pub(super) struct TlsConnection(server::TlsStream<TcpStream>);

impl Connected for TlsConnection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.0.get_ref().0.connect_info()
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
