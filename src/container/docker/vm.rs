//! `DockerVm`: starts, stops and waits for the containers of chaincode (Fabric: `dockercontroller.DockerVM`).
//!
//! Requests to the engine run on the runtime that the VM was made on, because callers may be on one without sockets. A call
//! that is dropped ends there too, and what it had made is removed. Invariant: a start that failed leaves no container.

use std::sync::Arc;

use async_trait::async_trait;
use bollard::query_parameters::InspectContainerOptions;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, RwLock, mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::ended::EndedRuns;
use super::owned::remove_at_last;
use super::start::Start;
use super::stop::{self, Leftover};
use super::{DockerConfig, DockerError, DockerMetrics, builder, status};
use crate::container::{Ccid, ContainerStatus, LogLines, LogRequest, StartContainer, StopContainer, Vm, VmError};

/// Lines of a log that wait for whoever asked for them.
const LINES: usize = 256;

/// Runs chaincode in containers of a Docker engine.
pub struct DockerVm {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    config: DockerConfig,
    metrics: DockerMetrics,
    ended: EndedRuns,
    /// How many containers of an earlier run were removed, once they were.
    reconciled: OnceCell<usize>,
    /// Starts hold it while they run.
    starting: RwLock<()>,
    closing: watch::Sender<bool>,
}

impl DockerVm {
    /// A VM on the current runtime. The engine is not asked for anything yet.
    pub fn new(config: DockerConfig, metrics: DockerMetrics) -> Self {
        let shared = Shared {
            ended: EndedRuns::new(config.owner.clone()),
            config,
            metrics,
            reconciled: OnceCell::new(),
            starting: RwLock::default(),
            closing: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared), runtime: Handle::current() }
    }

    /// Reaches the engine and removes what an earlier run of this peer left; tells how many containers.
    ///
    /// # Errors
    /// When the engine cannot be reached. Then it is done before the first start.
    pub async fn open(&self) -> Result<usize, DockerError> {
        self.run(|shared| async move { shared.reconcile().await }).await
    }

    /// Stops and removes every container of this peer. No start succeeds any more.
    ///
    /// # Errors
    /// When the engine cannot be reached, or keeps one.
    pub async fn close(&self) -> Result<usize, DockerError> {
        self.shared.closing.send_replace(true);
        self.run(|shared| async move {
            let _none_starts = shared.starting.write().await;
            let engine = shared.config.endpoint.client().await?;
            let removed = stop::remove_all(&engine, &shared.config.owner, None).await?;
            removed.kept.into_iter().next().map_or(Ok(removed.count), |(_, error)| Err(error))
        })
        .await
    }

    /// Runs `work` on the VM's runtime; dropping the future ends it.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Shared>) -> F) -> Result<T, DockerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DockerError>> + Send + 'static,
    {
        let mut task = JoinSet::new();
        task.spawn_on(work(Arc::clone(&self.shared)), &self.runtime);
        match task.join_next().await {
            Some(Ok(result)) => result,
            _ => Err(DockerError::GoingDown),
        }
    }
}

impl Shared {
    async fn reconcile(&self) -> Result<usize, DockerError> {
        let reconcile = || async {
            let engine = self.config.endpoint.client().await?;
            let removed = stop::remove_all(&engine, &self.config.owner, Some(&self.ended)).await?;
            // One that is kept holds up nobody. It is tried again by its id: a second list may have containers of this run.
            for (id, error) in removed.kept {
                warn!("a container of an earlier run cannot be removed yet: {error}");
                tokio::spawn(remove_at_last(engine.clone(), id));
            }
            Ok(removed.count)
        };
        self.reconciled.get_or_try_init(reconcile).await.copied()
    }

    async fn start(&self, ccid: &Ccid, request: StartContainer) -> Result<(), DockerError> {
        let _starting = self.starting.read().await;
        let mut closing = self.closing.subscribe();
        let start = async {
            let image = self.config.names.image(ccid)?;
            let engine = self.config.endpoint.client().await?;
            self.reconcile().await?;
            let container = self.config.names.container(ccid);
            let Self { config, metrics, ended, .. } = self;
            Start { engine, config, metrics, ended, ccid, image, container }.run(request).await
        };
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => Err(DockerError::GoingDown),
            started = start => started,
        }
    }
}

#[async_trait]
impl Vm for DockerVm {
    async fn start(&self, ccid: &Ccid, request: StartContainer) -> Result<(), VmError> {
        let ccid = ccid.clone();
        Ok(self.run(|shared| async move { shared.start(&ccid, request).await }).await?)
    }

    async fn stop(&self, ccid: &Ccid, request: StopContainer) -> Result<(), VmError> {
        let (container, ccid) = (self.shared.config.names.container(ccid), ccid.clone());
        let stopped = self.run(|shared| async move {
            let engine = shared.config.endpoint.client().await?;
            match stop::leftover(&engine, &shared.config.owner, &ccid, &container).await? {
                Leftover::Foreign(error) => Err(error),
                Leftover::Nothing | Leftover::Removable => {
                    stop::stop(&engine, &container, request, Some(&shared.ended)).await
                }
            }
        });
        Ok(stopped.await?)
    }

    async fn wait(&self, ccid: &Ccid) -> Result<i32, VmError> {
        let container = self.shared.config.names.container(ccid);
        let ended = self.run(|shared| async move {
            let engine = shared.config.endpoint.client().await?;
            builder::exit_code(&engine, &container).await
        });
        Ok(i32::try_from(ended.await?).unwrap_or(i32::MAX))
    }

    async fn health_check(&self) -> Result<(), VmError> {
        let answered = self.run(|shared| async move { Ok(shared.config.endpoint.ping().await) }).await?;
        answered.map_err(VmError::Other)
    }

    async fn last_output(&self, ccid: &Ccid) -> String {
        let (container, ccid) = (self.shared.config.names.container(ccid), ccid.clone());
        let read = self.run(|shared| async move {
            let engine = shared.config.endpoint.client().await?;
            status::last_words(&engine, &shared.config.owner, &ccid, &container).await
        });
        read.await.unwrap_or_default()
    }

    async fn containers(&self) -> Result<Vec<ContainerStatus>, VmError> {
        let listed = self.run(|shared| async move {
            match shared.config.endpoint.client().await {
                Ok(engine) => status::containers(&engine, &shared.config.owner).await,
                // Without an engine there are none.
                Err(DockerError::Off | DockerError::Connect { .. } | DockerError::Unusable { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        });
        Ok(listed.await?)
    }

    async fn remove(&self, ccid: &Ccid) -> Result<(), VmError> {
        let (container, image) = (self.shared.config.names.container(ccid), self.shared.config.names.image(ccid)?);
        let (name, ccid) = (ccid.container_name(), ccid.clone());
        let removed = self.run(|shared| async move {
            let engine = shared.config.endpoint.client().await?;
            let container = match stop::leftover(&engine, &shared.config.owner, &ccid, &container).await? {
                Leftover::Foreign(error) => return Err(error),
                Leftover::Nothing => false,
                Leftover::Removable => {
                    // It may have been another chaincode's, of the same container name.
                    stop::stop(&engine, &container, StopContainer::default(), Some(&shared.ended)).await?;
                    true
                }
            };
            shared.ended.forget(&ccid);
            Ok(status::remove_image(&engine, &image).await? || container)
        });
        if removed.await? { Ok(()) } else { Err(VmError::NotFound(name)) }
    }

    async fn logs(&self, ccid: &Ccid, request: LogRequest) -> Result<LogLines, VmError> {
        let container = self.shared.config.names.container(ccid);
        let ended = || self.shared.ended.read(ccid, request);
        if request.previous {
            return ended().ok_or_else(|| VmError::Other(format!("no earlier run of chaincode {ccid} is remembered")));
        }
        let (lines, taken) = mpsc::channel(LINES);
        let asked = ccid.clone();
        let begun = self.run(|shared| async move {
            let engine = shared.config.endpoint.client().await?;
            let found = engine.inspect_container(&container, None::<InspectContainerOptions>).await;
            let found = found.map_err(DockerError::from)?;
            // Others have containers of that name, too.
            let Some(id) = found.id.clone().filter(|_| shared.config.owner.runs(&asked, found)) else {
                return Ok(false);
            };
            let how = shared.ended.clone();
            tokio::spawn(status::logs(engine, id, request, move || how.end(&asked), lines));
            Ok(true)
        });
        let not_found = || VmError::NotFound(ccid.container_name());
        match begun.await {
            Ok(true) => Ok(Box::pin(ReceiverStream::new(taken))),
            Ok(false) => ended().ok_or_else(not_found),
            // Without an engine, what has ended is known all the same.
            Err(error) => ended().ok_or_else(|| if error.is_not_found() { not_found() } else { error.into() }),
        }
    }
}
