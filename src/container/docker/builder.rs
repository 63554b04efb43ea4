//! Builds code in a container that lives for this only (Fabric: `platforms/util.DockerBuild`).
//!
//! Invariant: a build that fails or is given up leaves no container; that of one that succeeds is the caller's, in [`Built`].

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptions, CreateImageOptions, StartContainerOptions, UploadToContainerOptions, WaitContainerOptions,
};
use bytes::Bytes;
use tokio_stream::StreamExt;
use tracing::{Level, debug, info};

use super::context::{self, Built};
use super::error::BuildError;
use super::output::{ContainerLog, Stream, Tail};
use super::owned::OwnedContainer;
use super::{DockerError, archive};

/// A build in a container.
pub(super) struct Build<'a> {
    pub(super) engine: &'a Docker,
    pub(super) image: &'a str,
    pub(super) command: &'a str,
    pub(super) env: Vec<String>,
    /// The code package: a tar, gzipped or not.
    pub(super) code: Bytes,
    pub(super) host: HostConfig,
    pub(super) labels: std::collections::HashMap<String, String>,
    /// The container that it is built for; names the log.
    pub(super) container: &'a str,
}

impl Build<'_> {
    /// Runs it; what is in `/chaincode/output` then.
    ///
    /// # Errors
    /// What failed, and the end of the build's output.
    pub(super) async fn run(self) -> Result<Built, BuildError> {
        self.have_image().await?;
        let body = ContainerCreateBody {
            image: Some(self.image.to_owned()),
            cmd: Some(["/bin/sh", "-c", self.command].map(str::to_owned).to_vec()),
            env: Some(self.env.clone()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(self.labels.clone()),
            host_config: Some(self.host.clone()),
            ..ContainerCreateBody::default()
        };
        let created = OwnedContainer::create(self.engine, None, body).await;
        let container = created.map_err(step("Error creating container"))?;
        match self.run_in(container.id()).await {
            Ok(size) => Ok(Built { container, size }),
            Err(error) => {
                container.remove().await;
                Err(error)
            }
        }
    }

    /// Fabric pulls an image that is not there.
    async fn have_image(&self) -> Result<(), BuildError> {
        match self.engine.inspect_image(self.image).await.map_err(DockerError::from) {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => {}
            Err(source) => return Err(step("Error inspecting image")(source)),
        }
        info!("image {} does not exist locally, attempt pull", self.image);
        let options = CreateImageOptions { from_image: Some(with_tag(self.image)), ..CreateImageOptions::default() };
        let mut progress = self.engine.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            let refused =
                |error| BuildError::Pull { image: self.image.to_owned(), reason: DockerError::from(error).to_string() };
            if let Some(status) = step.map_err(refused)?.status {
                debug!("pulling {}: {status}", self.image);
            }
        }
        Ok(())
    }

    /// The size of what it has left.
    async fn run_in(&self, id: &str) -> Result<u64, BuildError> {
        self.upload(id).await.map_err(step("Error uploading input to container"))?;
        let options =
            AttachContainerOptions { stream: true, stdout: true, stderr: true, ..AttachContainerOptions::default() };
        let attached = self.engine.attach_container(id, Some(options)).await;
        let mut output = attached.map_err(lost("Error attaching to container"))?.output;
        let started = self.engine.start_container(id, None::<StartContainerOptions>).await;
        started.map_err(lost("Error executing build"))?;
        let written = async {
            let (mut log, mut tail) = (ContainerLog::new(self.container, Level::DEBUG), Tail::default());
            while let Some(Ok(piece)) = output.next().await {
                let (from, bytes) = (Stream::of(&piece), piece.into_bytes());
                log.write(from, &bytes);
                tail.write(&bytes);
            }
            log.close();
            Ok(tail)
        };
        let (code, tail) = tokio::try_join!(exit_code(self.engine, id), written)
            .map_err(step("Error waiting for container to complete"))?;
        if code != 0 {
            return Err(BuildError::Failed { code, output: tail.text() });
        }
        context::count(self.engine, id).await
    }

    async fn upload(&self, id: &str) -> Result<(), DockerError> {
        let put = |path: &str, tar: Bytes| {
            let options = UploadToContainerOptions { path: path.to_owned(), ..UploadToContainerOptions::default() };
            let (engine, id) = (self.engine, id.to_owned());
            async move { engine.upload_to_container(&id, Some(options), bollard::body_full(tar)).await }
        };
        match put("/chaincode/input", self.code.clone()).await.map_err(DockerError::from) {
            // Fabric's builders have the folders; others need not.
            Err(error) if error.is_not_found() => {}
            result => return result,
        }
        let folders = archive::builder_folders().map_err(|error| DockerError::Lost(error.to_string()))?;
        put("/", folders).await?;
        Ok(put("/chaincode/input", self.code.clone()).await?)
    }
}

/// Waits until a container does not run, and tells what it left with.
///
/// # Errors
/// The engine's, also when it goes away meanwhile.
pub(super) async fn exit_code(engine: &Docker, container: &str) -> Result<i64, DockerError> {
    match engine.wait_container(container, None::<WaitContainerOptions>).next().await {
        Some(Ok(ended)) => Ok(ended.status_code),
        // What bollard makes of a code other than 0.
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(error.into()),
        None => Err(DockerError::Lost("it stopped while a container was waited for".to_owned())),
    }
}

/// An engine that is asked for an image without a tag pulls all of them.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

fn step(what: &'static str) -> impl FnOnce(DockerError) -> BuildError {
    move |source| BuildError::Step { what, source: Box::new(source) }
}

fn lost(what: &'static str) -> impl FnOnce(Error) -> BuildError {
    move |error| step(what)(error.into())
}
