//! Stops and removes containers (Fabric: `DockerVM.stopInternal`), and says which ones this peer may.

use bollard::Docker;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, ListContainersOptions, RemoveContainerOptions, StopContainerOptions,
};
use tokio::task::JoinSet;
use tracing::debug;

use super::ended::EndedRuns;
use super::{DockerError, Owner};
use crate::container::{Ccid, StopContainer};

/// What has the name of a container that is to be started or stopped.
pub(super) enum Leftover {
    /// Nothing.
    Nothing,
    /// A container of this peer, or one that does not run.
    Removable,
    /// A container that runs and is not this peer's (another's, Fabric's, anybody's), or is another chaincode's.
    Foreign(DockerError),
}

/// Looks at who has the name.
///
/// # Errors
/// The engine's.
pub(super) async fn leftover(
    engine: &Docker,
    owner: &Owner,
    ccid: &Ccid,
    container: &str,
) -> Result<Leftover, DockerError> {
    let found = match engine.inspect_container(container, None::<InspectContainerOptions>).await {
        Ok(found) => found,
        Err(error) => {
            let error = DockerError::from(error);
            return if error.is_not_found() { Ok(Leftover::Nothing) } else { Err(error) };
        }
    };
    let runs = found.state.and_then(|state| state.running).unwrap_or_default();
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let container = container.to_owned();
    Ok(match (owner.other(&labels), Owner::chaincode(&labels)) {
        (Some((peer, network)), _) if runs => Leftover::Foreign(DockerError::Foreign { container, peer, network }),
        // `a-b:1` and `a:b-1` have containers of one name.
        (None, Some((other, _))) if runs && other != *ccid => {
            Leftover::Foreign(DockerError::Shared { container, chaincode: other.to_string() })
        }
        _ => Leftover::Removable,
    })
}

/// Stops, kills and removes a container, as far as it was asked for. What it wrote is kept in `ended` before.
///
/// # Errors
/// As in Fabric, that of the last step: a container that was removed is gone, whatever happened before.
pub(super) async fn stop(
    engine: &Docker,
    container: &str,
    request: StopContainer,
    ended: Option<&EndedRuns>,
) -> Result<(), DockerError> {
    let seconds = i32::try_from(request.timeout.as_secs()).unwrap_or(i32::MAX);
    let options = StopContainerOptions { t: Some(seconds), ..StopContainerOptions::default() };
    // The engine answers when the container has ended.
    let patient = engine.clone().with_timeout(engine.timeout().saturating_add(request.timeout));
    let mut last = patient.stop_container(container, Some(options)).await;
    debug!("stop container {container}: {last:?}");
    if !request.keep_running {
        last = engine.kill_container(container, None::<KillContainerOptions>).await;
        debug!("kill container {container}: {last:?}");
    }
    if !request.keep_container {
        if let Some(ended) = ended {
            ended.keep(engine, container).await;
        }
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        last = engine.remove_container(container, Some(options)).await;
        debug!("remove container {container}: {last:?}");
    }
    Ok(last?)
}

/// What became of the containers of this peer.
#[derive(Default)]
pub(super) struct Removed {
    /// How many are gone.
    pub(super) count: usize,
    /// Those that the engine keeps, by id, and why.
    pub(super) kept: Vec<(String, DockerError)>,
}

/// Stops and removes every container of this peer, side by side. What they wrote is kept in `ended` before.
///
/// # Errors
/// When the engine goes away.
pub(super) async fn remove_all(
    engine: &Docker,
    owner: &Owner,
    ended: Option<&EndedRuns>,
) -> Result<Removed, DockerError> {
    let options =
        ListContainersOptions { all: true, filters: Some(owner.filter()), ..ListContainersOptions::default() };
    let found = engine.list_containers(Some(options)).await?;
    let mut removals = JoinSet::new();
    for id in found.into_iter().filter_map(|container| container.id) {
        let (engine, ended) = (engine.clone(), ended.cloned());
        removals.spawn(async move {
            let stopped = stop(&engine, &id, StopContainer::default(), ended.as_ref()).await;
            (id, stopped)
        });
    }
    let mut removed = Removed::default();
    while let Some(removal) = removals.join_next().await {
        match removal {
            Ok((_, Ok(()))) => removed.count += 1,
            // Somebody else was quicker, or is about to be.
            Ok((_, Err(error))) if error.is_not_found() || error.is_conflict() => {}
            // The others are removed all the same.
            Ok((id, Err(error @ DockerError::Api { .. }))) => removed.kept.push((id, error)),
            Ok((_, Err(error))) => return Err(error),
            Err(_) => return Err(DockerError::GoingDown),
        }
    }
    Ok(removed)
}
