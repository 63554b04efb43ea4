//! Accepting connections (Fabric: `comm.serverCreds.ServerHandshake`, grpc-go's listener).
//!
//! Each handshake is a task of its own, with a time limit. Invariants: nobody waits for another's handshake; there are never
//! more than [`HANDSHAKES`] of them, because a new one cuts the oldest off: under a flood of connections that say nothing, a
//! client that answers at once still gets in.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::{CertHash, ServerTls};

/// From the connection to the end of the handshake (Fabric: `comm.DefaultConnectionTimeout`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes at a time. Half of the 1,024 files that a process may have open by default on Linux.
const HANDSHAKES: usize = 512;

/// Connections that wait for the server to take them.
const READY: usize = 32;

/// How long to wait when the system has no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of a TLS connection; in the extensions of each request that came over one. A request without it came over a
/// connection without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The client's address.
    pub remote: SocketAddr,
    /// The hash of the certificate that the client proved to have the key of; none if it showed none.
    pub client_cert_hash: Option<CertHash>,
}

impl TlsInfo {
    /// That of the connection that a request came over.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The client's certificate hash, if the request came over TLS and the client showed a certificate.
    pub fn client_cert_hash_of<T>(request: &tonic::Request<T>) -> Option<CertHash> {
        Self::of(request)?.client_cert_hash
    }
}

/// Connections whose handshake is done. Dropping it stops accepting and ends the handshakes under way.
#[derive(Debug)]
pub struct TlsIncoming {
    connections: mpsc::Receiver<TlsConnection>,
    _accepting: JoinSet<()>,
}

impl TlsIncoming {
    /// Accepts on `listener`.
    pub fn new(listener: TcpListener, tls: &ServerTls) -> Self {
        Self::with_limits(listener, tls, HANDSHAKE_TIMEOUT, HANDSHAKES)
    }

    pub(super) fn with_limits(listener: TcpListener, tls: &ServerTls, timeout: Duration, handshakes: usize) -> Self {
        let (ready, connections) = mpsc::channel(READY);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, tls.acceptor(), timeout, handshakes, ready));
        Self { connections, _accepting: accepting }
    }
}

impl Stream for TlsIncoming {
    type Item = io::Result<TlsConnection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    timeout: Duration,
    handshakes: usize,
    ready: mpsc::Sender<TlsConnection>,
) {
    let mut under_way = Handshakes { limit: handshakes, tasks: JoinSet::new(), oldest_first: VecDeque::new() };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                under_way.begin(async move {
                    match tokio::time::timeout(timeout, handshake(stream, remote, acceptor)).await {
                        // Gone when the node stops.
                        Ok(Ok(connection)) => drop(ready.send(connection).await),
                        Ok(Err(error)) => tracing::debug!("TLS handshake failed with {remote}: {error}"),
                        Err(_) => tracing::debug!("TLS handshake failed with {remote}: not done after {timeout:?}"),
                    }
                });
            }
            // The client went before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn handshake(stream: TcpStream, remote: SocketAddr, acceptor: TlsAcceptor) -> io::Result<TlsConnection> {
    // Without it, an answer in two packets waits 40 ms for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let client_cert_hash = certificate.map(|certificate| Sha256::digest(certificate).into());
    Ok(TlsConnection { stream, info: TlsInfo { remote, client_cert_hash } })
}

struct Handshakes {
    limit: usize,
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
}

impl Handshakes {
    fn begin(&mut self, handshake: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        if self.oldest_first.len() >= self.limit {
            self.oldest_first.retain(|task| !task.is_finished());
        }
        if self.oldest_first.len() >= self.limit
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            tracing::debug!("{} TLS handshakes at a time: the oldest is cut off", self.limit);
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(handshake));
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct TlsConnection {
    stream: TlsStream<TcpStream>,
    info: TlsInfo,
}

impl Connected for TlsConnection {
    type ConnectInfo = TlsInfo;

    fn connect_info(&self) -> TlsInfo {
        self.info.clone()
    }
}

/// A client that was killed sends no farewell. The library says so with a page of its manual.
fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "the client closed the connection without TLS's farewell")
        }
        _ => error,
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer).map_err(plain)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
