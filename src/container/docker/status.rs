//! What the engine knows of this peer's containers: how they are, what they hold, what they wrote.

use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as Status};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, LogsOptions, RemoveImageOptions, StatsOptions,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

use super::output::{Lines, Stream, TAIL_LINES, Tail, plain};
use super::owner::Role;
use super::{DockerError, Owner, ended};
use crate::container::{Ccid, ContainerState, ContainerStatus, LogRequest, VmError};

/// How long counting the memory of one container may take.
const COUNT: Duration = Duration::from_secs(3);

/// The containers of this peer. A build is a chaincode that is starting.
///
/// # Errors
/// The engine's.
pub(super) async fn containers(engine: &Docker, owner: &Owner) -> Result<Vec<ContainerStatus>, DockerError> {
    let options =
        ListContainersOptions { all: true, filters: Some(owner.filter()), ..ListContainersOptions::default() };
    let mut all = Vec::new();
    for listed in engine.list_containers(Some(options)).await? {
        let labels = listed.labels.unwrap_or_default();
        let (Some(id), Some((ccid, role))) = (listed.id, Owner::chaincode(&labels)) else { continue };
        // One that was removed since has no status.
        let Ok(found) = engine.inspect_container(&id, None::<InspectContainerOptions>).await else { continue };
        let (state, since) = state(&found, role);
        let memory = match state {
            ContainerState::Running => tokio::time::timeout(COUNT, memory(engine, &id)).await.ok().flatten(),
            _ => None,
        };
        all.push(ContainerStatus { ccid, state, since, memory });
    }
    Ok(all)
}

/// How far a container has come, and since when.
pub(super) fn state(found: &ContainerInspectResponse, role: Role) -> (ContainerState, SystemTime) {
    let time = |text: Option<&String>| {
        let time = text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        time.map_or(SystemTime::UNIX_EPOCH, SystemTime::from)
    };
    let Some(state) = &found.state else { return (ContainerState::Starting, SystemTime::UNIX_EPOCH) };
    let starting = (ContainerState::Starting, time(found.created.as_ref()));
    match (role, state.status) {
        (Role::Builder, _) | (_, None | Some(Status::EMPTY | Status::CREATED)) => starting,
        (Role::Chaincode, Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING)) => {
            (ContainerState::Running, time(state.started_at.as_ref()))
        }
        (Role::Chaincode, Some(_)) => {
            let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(i32::MAX);
            (ContainerState::Exited(code), time(state.finished_at.as_ref()))
        }
    }
}

/// As `docker stats` counts it: without the pages of files that the system would give up first.
async fn memory(engine: &Docker, id: &str) -> Option<u64> {
    let options = StatsOptions { stream: false, one_shot: true };
    let counted = engine.stats(id, Some(options)).next().await?.ok()?.memory_stats?;
    let details = counted.stats.unwrap_or_default();
    let cache = details.get("inactive_file").or_else(|| details.get("total_inactive_file")).copied().unwrap_or(0);
    Some(counted.usage?.saturating_sub(cache))
}

/// The last of what a container wrote, from the engine's log of it; and whether it took too much memory.
///
/// # Errors
/// The engine's, for instance when its logging driver cannot be read.
pub(super) async fn last_words(
    engine: &Docker,
    owner: &Owner,
    ccid: &Ccid,
    container: &str,
) -> Result<String, DockerError> {
    let found = engine.inspect_container(container, None::<InspectContainerOptions>).await?;
    let killed = found.state.as_ref().and_then(|state| state.oom_killed).unwrap_or_default();
    if !owner.runs(ccid, found) {
        return Ok(String::new());
    }
    let (mut tail, mut pieces) = (Tail::default(), engine.logs(container, Some(wanted(TAIL_LINES, false))));
    while let Some(piece) = pieces.next().await {
        tail.write(&piece?.into_bytes());
    }
    let mut text = tail.text();
    if killed {
        let line = "(killed for its memory: vm.docker.hostConfig.Memory)";
        text = if text.is_empty() { line.to_owned() } else { format!("{text}\n{line}") };
    }
    Ok(text)
}

/// Sends the lines of a container's log until it ends, or nobody takes them; and how it has ended.
pub(super) async fn logs(
    engine: Docker,
    container: String,
    request: LogRequest,
    ended: impl Fn() -> Option<String>,
    to: mpsc::Sender<Result<String, VmError>>,
) {
    let mut pieces = engine.logs(&container, Some(wanted(request.tail, request.follow)));
    let mut lines = Lines::default();
    loop {
        let piece = tokio::select! {
            () = to.closed() => return,
            piece = pieces.next() => piece,
        };
        let whole = match piece {
            Some(Ok(piece)) => lines.split(Stream::of(&piece), &piece.into_bytes()),
            Some(Err(error)) => {
                let _ = to.send(Err(DockerError::from(error).into())).await;
                return;
            }
            None => {
                for rest in lines.rest() {
                    let _ = to.send(Ok(plain(&String::from_utf8_lossy(&rest)))).await;
                }
                let end = match engine.inspect_container(&container, None::<InspectContainerOptions>).await {
                    Ok(found) => ended::end(&found),
                    // It was removed meanwhile.
                    Err(_) => ended(),
                };
                if let Some(end) = end {
                    let _ = to.send(Ok(end)).await;
                }
                return;
            }
        };
        for line in whole {
            if to.send(Ok(plain(&String::from_utf8_lossy(&line)))).await.is_err() {
                return;
            }
        }
    }
}

/// The last lines, and what comes after them.
pub(super) fn wanted(lines: usize, follow: bool) -> LogsOptions {
    LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), follow, ..LogsOptions::default() }
}

/// Removes an image; says whether it was there.
///
/// # Errors
/// The engine's, for instance when a container uses it.
pub(super) async fn remove_image(engine: &Docker, image: &str) -> Result<bool, DockerError> {
    match engine.remove_image(image, None::<RemoveImageOptions>, None).await.map_err(DockerError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
