//! What an operator sees of containers: which there are, what they hold, and what they wrote. Not of Fabric, whose operators
//! ask the engine.
//!
//! Invariant: nothing is told of containers that are not this peer's, nor removed.

use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptions, LogsOptions, RemoveImageOptions, StatsOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::output::Lines;
use super::{DockerConfig, DockerError};
use crate::container::{ContainerState, ContainerStatus, LogRequest, VmError};

/// The containers of this peer. One in which an image is built counts as one that starts.
///
/// # Errors
/// The engine's.
pub(super) async fn containers(engine: &Docker, config: &DockerConfig) -> Result<Vec<ContainerStatus>, DockerError> {
    let filters = Some(config.owner.filter());
    let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
    let mut counted = JoinSet::new();
    for container in engine.list_containers(Some(options)).await? {
        let (Some(id), Some(mut status)) = (container.id.clone(), status(&container, config)) else { continue };
        let engine = engine.clone();
        counted.spawn(async move {
            if status.state == ContainerState::Running {
                status.memory = memory(&engine, &id).await;
            }
            status
        });
    }
    Ok(counted.join_all().await)
}

fn status(container: &ContainerSummary, config: &DockerConfig) -> Option<ContainerStatus> {
    let ccid = config.owner.chaincode(container.labels.as_ref()?)?;
    let name = format!("/{}", config.names.container(&ccid));
    let own = container.names.iter().flatten().any(|other| *other == name);
    let state = match container.state {
        Some(ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD) => {
            ContainerState::Exited(exit_code(container.status.as_deref().unwrap_or_default()))
        }
        Some(ContainerSummaryStateEnum::RUNNING) if own => ContainerState::Running,
        _ => ContainerState::Starting,
    };
    let created = u64::try_from(container.created.unwrap_or_default()).unwrap_or_default();
    Some(ContainerStatus { ccid, state, since: SystemTime::UNIX_EPOCH + Duration::from_secs(created), memory: None })
}

/// Out of `Exited (137) 2 minutes ago`: a list has it nowhere else.
fn exit_code(status: &str) -> i32 {
    let code = status.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(code, _)| code);
    code.and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// What a container holds, as `docker stats` counts it: without what the system can take back from its page cache.
async fn memory(engine: &Docker, id: &str) -> Option<u64> {
    let options = StatsOptions { stream: false, one_shot: true };
    let stats = Box::pin(engine.stats(id, Some(options))).next().await?.ok()?.memory_stats?;
    let detail = |name: &str| stats.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    let inactive = detail("total_inactive_file").or_else(|| detail("inactive_file")).unwrap_or_default();
    Some(stats.usage?.saturating_sub(inactive))
}

/// Removes the image of a chaincode.
///
/// # Errors
/// The engine's: there is none, or a container uses it.
pub(super) async fn remove_image(engine: &Docker, image: &str) -> Result<(), DockerError> {
    engine.remove_image(image, None::<RemoveImageOptions>, None).await?;
    Ok(())
}

/// Sends a container's log there, line by line, until it ends or nobody listens.
pub(super) async fn send_logs(
    engine: Docker,
    container: String,
    request: LogRequest,
    lines: mpsc::Sender<Result<String, VmError>>,
) {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        follow: request.follow,
        tail: request.tail.to_string(),
        ..LogsOptions::default()
    };
    let mut pieces = Box::pin(engine.logs(&container, Some(options)));
    let mut whole = Lines::default();
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = lines.closed() => return,
        };
        let ended = match piece {
            Some(Ok(piece)) => whole.take(&piece.into_bytes()),
            Some(Err(error)) => {
                let _ = lines.send(Err(DockerError::from(error).into())).await;
                return;
            }
            None => {
                if let Some(line) = whole.rest() {
                    let _ = lines.send(Ok(line)).await;
                }
                return;
            }
        };
        for line in ended {
            if lines.send(Ok(line)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::exit_code;

    #[test]
    fn a_list_tells_an_exit_code_in_words() {
        assert_eq!(exit_code("Exited (137) 2 minutes ago"), 137);
        assert_eq!(exit_code("Dead"), 0);
    }
}
