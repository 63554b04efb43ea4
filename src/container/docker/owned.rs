//! A container that goes away with whoever made it.
//!
//! Invariant: once an engine was asked for a container, it is removed unless somebody calls [`OwnedContainer::keep`], also
//! when the caller was dropped before the engine's answer came.

use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};

use super::DockerError;

/// How long after a removal that failed the next one is tried: an engine that died may come back.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// A container that is removed, running or not, when this is dropped. Dropping is not free: the removal is a task.
pub(super) struct OwnedContainer {
    engine: Docker,
    id: String,
    kept: bool,
}

impl OwnedContainer {
    /// Creates a container; without a name, the engine makes one up.
    ///
    /// # Errors
    /// The engine's.
    pub(super) async fn create(
        engine: &Docker,
        name: Option<String>,
        body: ContainerCreateBody,
    ) -> Result<Self, DockerError> {
        let engine = engine.clone();
        // In a task, so that the answer finds somebody in any case.
        let created = tokio::spawn(async move {
            let options = CreateContainerOptions { name, ..CreateContainerOptions::default() };
            let id = engine.create_container(Some(options), body).await?.id;
            Ok(Self { engine, id, kept: false })
        });
        created.await.unwrap_or(Err(DockerError::GoingDown))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Leaves the container to others.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    /// Removes it and waits for that. Where the engine does not, it is tried again, and nobody waits.
    pub(super) async fn remove(mut self) {
        self.kept = remove(&self.engine, &self.id).await;
    }
}

impl Drop for OwnedContainer {
    fn drop(&mut self) {
        // Without a runtime the peer has gone, and finds the container at its next start.
        if let (false, Ok(runtime)) = (self.kept, tokio::runtime::Handle::try_current()) {
            runtime.spawn(remove_at_last(self.engine.clone(), std::mem::take(&mut self.id)));
        }
    }
}

/// Removes a container that somebody had made for this peer, as often as it takes.
pub(super) async fn remove_at_last(engine: Docker, id: String) {
    for pause in PAUSES {
        if remove(&engine, &id).await {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Whether it is gone, or somebody else is removing it.
async fn remove(engine: &Docker, id: &str) -> bool {
    let options = RemoveContainerOptions { force: true, v: true, link: false };
    match engine.remove_container(id, Some(options)).await.map_err(DockerError::from) {
        Ok(()) => true,
        Err(error) if error.is_not_found() || error.is_conflict() => true,
        Err(error) => {
            tracing::debug!("container {id} cannot be removed: {error}");
            false
        }
    }
}
