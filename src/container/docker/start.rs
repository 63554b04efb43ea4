//! Starts a container (Fabric: `DockerVM.Start`): stop what is left of that name, create, on "no such image" build and create
//! again, attach, upload, start.

use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{AttachContainerOptions, StartContainerOptions, UploadToContainerOptions};
use tokio_stream::StreamExt;
use tracing::{Level, debug, error};

use super::ended::EndedRuns;
use super::image::Image;
use super::output::{ContainerLog, Stream};
use super::owned::OwnedContainer;
use super::owner::Role;
use super::stop::{self, Leftover};
use super::{AttachStdout, DockerConfig, DockerError, DockerMetrics, archive};
use crate::container::{Ccid, StartContainer, StopContainer};

/// How long attaching to a container may take (Fabric: `streamOutput`).
const ATTACH: Duration = Duration::from_secs(10);
/// An engine may still be removing a container of that name, which somebody else asked for.
const CONFLICTS: u32 = 20;
const AFTER_CONFLICT: Duration = Duration::from_millis(250);

/// One start.
pub(super) struct Start<'a> {
    pub(super) engine: Docker,
    pub(super) config: &'a DockerConfig,
    pub(super) metrics: &'a DockerMetrics,
    pub(super) ended: &'a EndedRuns,
    pub(super) ccid: &'a Ccid,
    pub(super) image: String,
    pub(super) container: String,
}

impl Start<'_> {
    pub(super) async fn run(self, request: StartContainer) -> Result<(), DockerError> {
        self.clear().await?;
        let image = Image {
            engine: &self.engine,
            config: self.config,
            metrics: self.metrics,
            ccid: self.ccid,
            name: &self.image,
        };
        if let Some(code) = &request.code
            && image.is_of_other(code).await?
        {
            image.build(code).await?;
        }
        let container = match self.create(&request).await {
            Err(error) if error.is_not_found() => {
                let code = request.code.as_ref().ok_or_else(|| DockerError::NoCode(self.image.clone()))?;
                image.build(code).await?;
                self.create(&request).await?
            }
            created => created?,
        };
        if self.config.attach_stdout == AttachStdout::Yes {
            self.attach(container.id()).await;
        }
        if !request.files.is_empty() {
            self.upload(container.id(), &request).await?;
        }
        self.engine.start_container(container.id(), None::<StartContainerOptions>).await?;
        debug!("started container {}", self.container);
        container.keep();
        Ok(())
    }

    /// Removes what has the name.
    async fn clear(&self) -> Result<(), DockerError> {
        match stop::leftover(&self.engine, &self.config.owner, self.ccid, &self.container).await? {
            Leftover::Nothing => Ok(()),
            Leftover::Foreign(error) => Err(error),
            Leftover::Removable => {
                let stopped =
                    stop::stop(&self.engine, &self.container, StopContainer::default(), Some(self.ended)).await;
                if let Err(error) = stopped {
                    debug!("container {} is in the way and cannot be removed: {error}", self.container);
                }
                Ok(())
            }
        }
    }

    async fn create(&self, request: &StartContainer) -> Result<OwnedContainer, DockerError> {
        let attach = Some(self.config.attach_stdout == AttachStdout::Yes);
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(request.args.clone()),
            env: Some(request.env.clone()),
            attach_stdout: attach,
            attach_stderr: attach,
            labels: Some(self.config.owner.labels(&self.config.names, self.ccid, Role::Chaincode)),
            host_config: Some(self.config.host.clone()),
            ..ContainerCreateBody::default()
        };
        let mut conflicts = 0;
        loop {
            match OwnedContainer::create(&self.engine, Some(self.container.clone()), body.clone()).await {
                Err(error) if error.is_conflict() && conflicts < CONFLICTS => {
                    conflicts += 1;
                    tokio::time::sleep(AFTER_CONFLICT).await;
                }
                created => return created,
            }
        }
    }

    /// What the container writes goes to the log until it ends. One that writes to nobody is started all the same. (Fabric asks
    /// for what was logged before, too, which gives lines twice when the container is quick: it has not started yet.)
    async fn attach(&self, id: &str) {
        let options =
            AttachContainerOptions { stream: true, stdout: true, stderr: true, ..AttachContainerOptions::default() };
        let mut output = match tokio::time::timeout(ATTACH, self.engine.attach_container(id, Some(options))).await {
            Ok(Ok(attached)) => attached.output,
            Ok(Err(refused)) => {
                error!("cannot attach to container {}: {}", self.container, DockerError::from(refused));
                return;
            }
            Err(_) => {
                error!("Timeout while attaching to IO channel in container {}", self.container);
                return;
            }
        };
        let container = self.container.clone();
        tokio::spawn(async move {
            let mut log = ContainerLog::new(&container, Level::INFO);
            while let Some(Ok(piece)) = output.next().await {
                log.write(Stream::of(&piece), &piece.into_bytes());
            }
            log.close();
            debug!("Container {container} has closed its IO channel");
        });
    }

    async fn upload(&self, id: &str, request: &StartContainer) -> Result<(), DockerError> {
        let refused = |source| DockerError::Upload { container: self.container.clone(), source: Box::new(source) };
        let tar = archive::upload(&request.files).map_err(|error| refused(DockerError::Lost(error.to_string())))?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let uploaded = self.engine.upload_to_container(id, Some(options), bollard::body_full(tar)).await;
        uploaded.map_err(|error| refused(error.into()))
    }
}
