//! Reaches the Docker engine (Fabric: `container/util.NewDockerClient`).
//!
//! A client is made, and a version of the API agreed on ([`ApiVersion`]), for each thing that is to be done: the engine behind
//! the endpoint may have died, or been replaced, since the last one. Invariant: with TLS, the engine is believed under the configured authority only,
//! whatever authorities the machine knows.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use hyper_util::rt::TokioIo;

use super::DockerError;
use super::api_version::ApiVersion;
use crate::tls::ClientTls;

/// How long the engine may take to begin an answer. Starting a container on a busy machine takes seconds.
const ANSWER: Duration = Duration::from_secs(120);
/// The same for a question whether it is there.
const PING: Duration = Duration::from_secs(3);

/// Where a Docker engine is (`vm.endpoint`, `vm.docker.tls`).
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// Nowhere: chaincode in containers is switched off.
    Off,
    /// A socket of this machine.
    Unix(PathBuf),
    /// `host:port`, without TLS.
    Tcp(String),
    /// `host:port`, and whom to believe there and what to show.
    Tls(String, Box<ClientTls>),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("none"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address, _) => write!(f, "https://{address}"),
        }
    }
}

impl Endpoint {
    /// A client of the engine, in a version of the API that both know.
    ///
    /// # Errors
    /// [`DockerError::Connect`] when nobody is there, [`DockerError::Unusable`] when there is no such version.
    pub(super) async fn client(&self) -> Result<Docker, DockerError> {
        let client = self.unconnected(PING)?;
        let version = self.agree(&client).await?;
        Ok(version.spoken_by(client).with_timeout(ANSWER))
    }

    async fn agree(&self, client: &Docker) -> Result<ApiVersion, DockerError> {
        let engine = client.version().await.map_err(|error| self.unreachable(error))?;
        ApiVersion::agreed(&engine).map_err(|reason| DockerError::Unusable { endpoint: self.clone(), reason })
    }

    /// Whether an engine answers that can be used.
    ///
    /// # Errors
    /// Fabric's words, and the reason.
    pub(super) async fn ping(&self) -> Result<(), String> {
        let client = self.unconnected(PING).map_err(|error| format!("failed to connect to Docker daemon: {error}"))?;
        let answered = match client.ping().await {
            Ok(_) => self.agree(&client).await,
            Err(error) => Err(self.unreachable(error)),
        };
        answered.map(drop).map_err(|error| format!("failed to ping to Docker daemon: {error}"))
    }

    fn unconnected(&self, timeout: Duration) -> Result<Docker, DockerError> {
        let (seconds, version) = (timeout.as_secs(), API_DEFAULT_VERSION);
        match self {
            Self::Off => return Err(DockerError::Off),
            Self::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), seconds, version),
            Self::Tcp(address) => Docker::connect_with_http(&format!("tcp://{address}"), seconds, version),
            Self::Tls(address, tls) => connect_with_tls(address, tls, seconds),
        }
        .map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: bollard::errors::Error) -> DockerError {
        match error {
            bollard::errors::Error::SocketNotFoundError(_) => self.refused("there is no such socket"),
            error => match DockerError::from(error) {
                DockerError::Lost(reason) => self.refused(&reason),
                error => error,
            },
        }
    }

    fn refused(&self, reason: &str) -> DockerError {
        DockerError::Connect { endpoint: self.clone(), reason: reason.to_owned() }
    }
}

/// One connection for each request, as bollard does it. Its own TLS would believe the machine's authorities too.
fn connect_with_tls(address: &str, tls: &ClientTls, timeout: u64) -> Result<Docker, bollard::errors::Error> {
    let (tls, target) = (tls.clone(), address.to_owned());
    let transport = move |mut request: bollard::BollardRequest| {
        let (tls, address) = (tls.clone(), target.clone());
        async move {
            let stream = tls.handshake(&address).await.map_err(std::io::Error::other)?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection.with_upgrades());
            // What a server expects: the path alone, and the host in a header.
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            *request.uri_mut() = path.parse().map_err(std::io::Error::other)?;
            let host = address.parse().map_err(std::io::Error::other)?;
            request.headers_mut().insert(hyper::header::HOST, host);
            Ok(sender.send_request(request).await?)
        }
    };
    Docker::connect_with_custom_transport(transport, Some(format!("https://{address}")), timeout, API_DEFAULT_VERSION)
}
