//! The build context of an image, which goes to the engine as it is made (Fabric holds it whole).
//!
//! What a build leaves is read from its container twice: once to count its bytes, which a tar has to say first, and once on
//! its way back to the engine. It is never on the peer's disk, and builds side by side need no more memory than one.
//! Invariant: the peer holds a few pieces of a context at a time.

use std::io;
use std::pin::Pin;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::DownloadFromContainerOptions;
use bytes::Bytes;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use super::error::BuildError;
use super::owned::OwnedContainer;
use super::{DockerError, archive};

/// Of the output of one build. More than an image of chaincode should hold.
const MAX_OUTPUT: u64 = 1 << 30;
/// Pieces that wait for the engine to take them; it has some hundred kilobytes of each connection already.
const PIECES: usize = 4;

/// The content of `binpackage.tar`.
pub(super) enum Package {
    /// It is known.
    Files(Bytes),
    /// A builder has left it.
    Built(Built),
}

/// What a builder has left in `/chaincode/output`.
pub(super) struct Built {
    pub(super) container: OwnedContainer,
    /// Of the tar that the engine makes of it, as [`count`] has found it.
    pub(super) size: u64,
}

/// The bytes of what is in a builder that has ended.
///
/// # Errors
/// [`BuildError::TooLarge`], or the engine's.
pub(super) async fn count(engine: &Docker, container: &str) -> Result<u64, BuildError> {
    let mut pieces = output(engine, container);
    let mut size = 0;
    while let Some(piece) = pieces.next().await {
        size += piece?.len() as u64;
        if size > MAX_OUTPUT {
            return Err(BuildError::TooLarge(MAX_OUTPUT));
        }
    }
    Ok(size)
}

impl Package {
    fn size(&self) -> u64 {
        match self {
            Self::Files(tar) => tar.len() as u64,
            Self::Built(built) => built.size,
        }
    }

    async fn write(&self, engine: &Docker, to: &mut Context) -> Result<(), BuildError> {
        let built = match self {
            Self::Files(tar) => {
                to.write(tar.clone()).await;
                return Ok(());
            }
            Self::Built(built) => built,
        };
        let mut pieces = output(engine, built.container.id());
        let mut left = built.size;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            left = left.checked_sub(piece.len() as u64).ok_or(BuildError::Changed(built.size))?;
            to.write(piece).await;
        }
        if left == 0 { Ok(()) } else { Err(BuildError::Changed(built.size)) }
    }
}

/// The way of a context to the engine. Dropped before the end, it breaks the request off: what is there already would pass
/// for all.
pub(super) struct Context {
    to: mpsc::Sender<io::Result<Bytes>>,
    /// Room for the error that breaks the request off; none once all is written.
    rest: Option<OwnedPermit<io::Result<Bytes>>>,
}

impl Context {
    /// Two ends: what is written to one is the body of a request.
    pub(super) fn new() -> (Self, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
        let (to, body) = mpsc::channel(PIECES);
        let rest = to.clone().try_reserve_owned().ok();
        (Self { to, rest }, ReceiverStream::new(body))
    }

    /// Writes it to the end. Where nobody reads any more, the rest is left out: whoever stopped reading says why.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn send(
        mut self,
        engine: &Docker,
        dockerfile: &str,
        package: &Package,
    ) -> Result<(), DockerError> {
        let (start, end) = archive::build_context(dockerfile, package.size())
            .map_err(|error| DockerError::Lost(format!("no tar can be made for it: {error}")))?;
        self.write(start).await;
        package.write(engine, &mut self).await?;
        self.write(end).await;
        self.rest = None;
        Ok(())
    }

    async fn write(&mut self, piece: Bytes) {
        let _ = self.to.send(Ok(piece)).await;
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            rest.send(Err(io::Error::other("the rest of the build context cannot be had")));
        }
    }
}

/// The tar that the engine makes of what is in a builder.
fn output(engine: &Docker, container: &str) -> Pin<Box<dyn Stream<Item = Result<Bytes, BuildError>> + Send>> {
    let options = DownloadFromContainerOptions { path: "/chaincode/output/.".to_owned() };
    let failed = |error: Error| BuildError::Step { what: "Error downloading output", source: Box::new(error.into()) };
    Box::pin(engine.download_from_container(container, Some(options)).map(move |piece| piece.map_err(failed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_context_that_is_given_up_has_no_end() {
        let (mut context, body) = Context::new();
        let mut body = std::pin::pin!(body);
        context.write("piece".into()).await;
        drop(context);
        assert_eq!(body.next().await.unwrap().unwrap(), "piece");
        assert!(body.next().await.unwrap().is_err());

        let (context, body) = Context::new();
        let engine = Docker::connect_with_http("tcp://127.0.0.1:1", 1, bollard::API_DEFAULT_VERSION).unwrap();
        let package = Package::Files("the package".into());
        let (sent, pieces) = tokio::join!(context.send(&engine, "FROM scratch", &package), body.collect::<Vec<_>>());
        sent.unwrap();
        let whole: Result<Vec<_>, _> = pieces.into_iter().collect();
        let whole = whole.unwrap().concat();
        assert!(whole.ends_with(&[0; 1024]) && whole.len() % 512 == 0, "{whole:?}");
    }
}
