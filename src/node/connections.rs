//! Connections that end when the node does.
//!
//! Tonic serves each connection in a task that nobody can stop: after the time for calls under way, those that are still open
//! would stay with what they serve. Invariant: after [`Connections::cut`] none of them reads or writes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tonic::transport::server::Connected;

/// All connections of a node's listeners.
#[derive(Debug)]
pub(super) struct Connections(watch::Sender<bool>);

impl Connections {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Makes connections that can be cut.
    pub(super) fn door(&self) -> Door {
        Door(self.0.subscribe())
    }

    /// Ends all of them; returns when they are gone, and the doors too.
    pub(super) async fn cut(self) {
        self.0.send_replace(true);
        self.0.closed().await;
    }
}

/// Where connections come in.
#[derive(Clone, Debug)]
pub(super) struct Door(watch::Receiver<bool>);

impl Door {
    pub(super) fn enter<S>(&self, stream: S) -> Connection<S> {
        let mut cut = self.0.clone();
        let cut = async move { drop(cut.wait_for(|cut| *cut).await) };
        Connection { stream, cut: Some(Box::pin(cut)) }
    }
}

/// A connection that fails once it is cut.
pub(super) struct Connection<S> {
    stream: S,
    /// None: it was.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S: Unpin> Connection<S> {
    /// The stream, and a wish to be woken when it is cut.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut S>> {
        if self.cut.as_mut().is_none_or(|cut| cut.as_mut().poll(context).is_ready()) {
            self.cut = None;
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the node stops"));
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl<S: Connected> Connected for Connection<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_waits_ends_when_it_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let connections = Connections::new();
        let mut served = connections.door().enter(listener.accept().await.expect("a client").0);
        let serving = tokio::spawn(async move { served.read_u8().await.expect_err("nobody says anything").kind() });
        tokio::time::timeout(Duration::from_secs(20), connections.cut()).await.expect("all are gone");
        assert_eq!(serving.await.expect("no panic"), io::ErrorKind::ConnectionAborted);
        assert_eq!(client.read(&mut [0]).await.expect("is closed"), 0);
    }
}
