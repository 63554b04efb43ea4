//! The engine that tests share.

use bollard::Docker;

use anyhow::{Context, anyhow, bail};

use crate::testing::Boxed;

/// Where the engine is, or, as a sentence, why there is none: `cargo xtask test` says so.
const VARIABLE: &str = "SELVEDGE_TEST_DOCKER";
const USUAL: &str = "unix:///var/run/docker.sock";
/// Of one request, in seconds: an image of a hundred megabytes goes through the engine's disk.
const TIMEOUT: u64 = 120;

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    /// For `vm.endpoint`.
    pub endpoint: String,
    /// A client, which speaks the engine's version.
    pub client: Docker,
}

/// The engine for tests: the one that `cargo xtask test` has found or started, or else that of `DOCKER_HOST`, or the
/// machine's.
///
/// # Errors
/// Where there is none; the text says what to do.
pub fn docker_engine() -> Boxed<'static, anyhow::Result<DockerEngine>> {
    Box::pin(async {
        let named = std::env::var(VARIABLE).or_else(|_| std::env::var("DOCKER_HOST"));
        let endpoint = named.unwrap_or_else(|_| USUAL.to_owned());
        if !endpoint.contains("://") {
            bail!("this test needs a Docker engine: {endpoint}");
        }
        DockerEngine::connect(&endpoint).await.with_context(|| {
            format!("this test needs a Docker engine, and none answers at {endpoint}; `cargo xtask engine` starts one")
        })
    })
}

impl DockerEngine {
    /// The engine at a `unix://` address. It has to be on this machine: chaincode in its containers dials a peer on the
    /// loopback interface.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn connect(endpoint: &str) -> Boxed<'_, anyhow::Result<Self>> {
        Box::pin(async move {
            let path = endpoint.strip_prefix("unix://").ok_or_else(|| anyhow!("it has no unix:// address"))?;
            let client = Docker::connect_with_unix(path, TIMEOUT, bollard::API_DEFAULT_VERSION)?;
            Ok(Self { endpoint: endpoint.to_owned(), client: client.negotiate_version().await? })
        })
    }
}
