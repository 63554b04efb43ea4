//! Makes the image of a chaincode (Fabric: `DockerVM.deployImage`).
//!
//! An image carries the hash of the code that it was made of. Fabric takes any image of the right name, and so runs the code
//! of a network that is long gone; here such an image is made anew. One of Fabric's, without a hash, is taken as it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{BuildInfo, HostConfig};
use bollard::query_parameters::{BuildImageOptions, RemoveImageOptions};
use sha2::{Digest, Sha256};
use tokio_stream::{Stream, StreamExt};
use tracing::{Level, info, warn};

use super::builder::Build;
use super::context::{Context, Package};
use super::output::{self, ContainerLog, Tail};
use super::owner::Role;
use super::{DockerConfig, DockerError, DockerMetrics, Pull};
use crate::container::Ccid;
use crate::platforms::{CodePackage, Packaging};

/// The label with the hash of the code.
const CODE: &str = "org.selvedge.code";
/// How much longer than for other answers the engine may take to read a context: a gigabyte at 4 MB/s.
const UPLOAD: Duration = Duration::from_secs(256);

/// An image that is to be there.
pub(super) struct Image<'a> {
    pub(super) engine: &'a Docker,
    pub(super) config: &'a DockerConfig,
    pub(super) metrics: &'a DockerMetrics,
    pub(super) ccid: &'a Ccid,
    pub(super) name: &'a str,
}

impl Image<'_> {
    /// Whether an image of that name was made of other code.
    ///
    /// # Errors
    /// The engine's.
    pub(super) async fn is_of_other(&self, code: &CodePackage) -> Result<bool, DockerError> {
        match self.engine.inspect_image(self.name).await.map_err(DockerError::from) {
            Ok(image) => {
                let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
                match labels.get(CODE) {
                    Some(hash) => Ok(*hash != hash_of(code).await?),
                    None => Ok(false),
                }
            }
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Builds it, over one of that name.
    ///
    /// # Errors
    /// What failed, and the end of the build's output.
    pub(super) async fn build(&self, code: &CodePackage) -> Result<(), DockerError> {
        let began = Instant::now();
        let replaced = self.engine.inspect_image(self.name).await.ok().and_then(|image| image.id);
        info!("building image {} of chaincode {} ({code:?})", self.name, self.ccid);
        let built = self.try_build(code).await;
        self.metrics.built(self.ccid, &built, began.elapsed());
        match &built {
            Ok(()) => info!("built image {} in {:.1} s", self.name, began.elapsed().as_secs_f64()),
            Err(error) => warn!("Error building image {}: {error}", self.name),
        }
        built?;
        if let Some(id) = replaced
            && let Ok(old) = self.engine.inspect_image(&id).await
            && old.repo_tags.unwrap_or_default().is_empty()
        {
            // Nobody finds it any more (one that has another name is somebody's). Where a container still runs of it, the engine
            // says no.
            let _ = self.engine.remove_image(&id, None::<RemoveImageOptions>, None).await;
        }
        Ok(())
    }

    async fn try_build(&self, code: &CodePackage) -> Result<(), DockerError> {
        let container = self.config.names.container(self.ccid);
        let no_plan = |reason: String| DockerError::Plan { container: container.clone(), reason };
        let (planner, planned, ccid) = (self.config.planner.clone(), code.clone(), self.ccid.clone());
        let plan = tokio::task::spawn_blocking(move || planner(&planned, &ccid)).await;
        let plan = plan.map_err(|_| DockerError::GoingDown)?.map_err(&no_plan)?;
        let package = match plan.packaging {
            Packaging::Files(tar) => Package::Files(tar),
            Packaging::Builder { image, command, env } => {
                let build = Build {
                    engine: self.engine,
                    image: &image,
                    command: &command,
                    env,
                    code: code.bytes.clone(),
                    // A builder writes what it builds.
                    host: HostConfig { readonly_rootfs: None, ..self.config.host.clone() },
                    labels: self.config.owner.labels(&self.config.names, self.ccid, Role::Builder),
                    container: &container,
                };
                Package::Built(build.run().await?)
            }
        };
        let sent = self.send(code, &plan.dockerfile, &package, &container).await;
        if let Package::Built(built) = package {
            built.container.remove().await;
        }
        sent
    }

    async fn send(
        &self,
        code: &CodePackage,
        dockerfile: &str,
        package: &Package,
        container: &str,
    ) -> Result<(), DockerError> {
        let options = BuildImageOptions {
            t: Some(self.name.to_owned()),
            pull: (self.config.pull == Pull::Always).then(|| "true".to_owned()),
            networkmode: self.config.host.network_mode.clone(),
            labels: Some(HashMap::from([(CODE.to_owned(), hash_of(code).await?)])),
            rm: true,
            forcerm: true,
            ..BuildImageOptions::default()
        };
        let (context, body) = Context::new();
        // The engine answers when it has the whole context.
        let patient = self.engine.clone().with_timeout(self.engine.timeout().saturating_add(UPLOAD));
        let progress = patient.build_image(options, None, Some(bollard::body_try_stream(body)));
        tokio::select! {
            biased;
            Err(error) = context.send(self.engine, dockerfile, package) => Err(error),
            built = self.follow(progress, container) => built,
        }
    }

    /// Reads what the engine writes while it builds, to the end.
    async fn follow(
        &self,
        progress: impl Stream<Item = Result<BuildInfo, Error>>,
        container: &str,
    ) -> Result<(), DockerError> {
        let (mut log, mut tail) = (ContainerLog::new(container, Level::DEBUG), Tail::default());
        let mut progress = std::pin::pin!(progress);
        while let Some(step) = progress.next().await {
            let written = match step {
                Ok(step) => step.stream.or(step.status.map(|status| status + "\n")),
                Err(Error::DockerStreamError { error }) => {
                    let (image, output) = (self.name.to_owned(), tail.text());
                    return Err(DockerError::Image { image, reason: error, output });
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(text) = written {
                log.write(output::Stream::Out, text.as_bytes());
                tail.write(text.as_bytes());
            }
        }
        log.close();
        Ok(())
    }
}

/// On a thread that may block: code may have a hundred megabytes.
async fn hash_of(code: &CodePackage) -> Result<String, DockerError> {
    let code = code.clone();
    let hash = move || {
        let mut hash = Sha256::new();
        // Zeros end the texts, so that no two packages give the same bytes.
        hash.update(format!("{}\0{}\0", code.platform, code.path));
        hash.update(&code.bytes);
        hex::encode(hash.finalize())
    };
    tokio::task::spawn_blocking(hash).await.map_err(|_| DockerError::GoingDown)
}
