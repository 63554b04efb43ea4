//! What chaincode wrote before its container was removed, for whoever asks why it ended (not of Fabric).
//!
//! Invariant: bounded memory, whatever is written and however often: the end of one run for each of the last [`CHAINCODES`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio_stream::StreamExt;
use tracing::debug;

use super::output::{Lines, Stream, plain};
use super::owner::Role;
use super::status::{state, wanted};
use super::{DockerError, Owner};
use crate::container::recent::RecentLines;
use crate::container::{Ccid, ContainerState, LogLines, LogRequest};

/// Chaincodes of which the end is kept; each has at most what [`RecentLines`] keeps.
const CHAINCODES: usize = 64;
/// Lines that are asked for. More would hardly be kept.
const LINES: usize = 2000;
/// How long an engine may hold up a removal to tell how a container ended, and again to tell what it wrote.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last runs that have ended, of this peer's chaincode only.
#[derive(Clone)]
pub(super) struct EndedRuns {
    owner: Owner,
    runs: Arc<Mutex<VecDeque<Run>>>,
}

struct Run {
    ccid: Ccid,
    lines: RecentLines,
    /// How it ended, for a reader.
    end: String,
}

impl EndedRuns {
    /// None yet.
    pub(super) fn new(owner: Owner) -> Self {
        Self { owner, runs: Arc::default() }
    }

    /// Keeps what the engine knows of a container that is about to be removed. One that never ran has nothing to tell.
    pub(super) async fn keep(&self, engine: &Docker, container: &str) {
        let run = match tokio::time::timeout(PATIENCE, Run::of(engine, &self.owner, container)).await {
            Ok(Ok(Some(run))) => run,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return debug!("what container {container} wrote is not kept: {error}"),
            Err(_) => return debug!("what container {container} wrote is not kept: the engine is slow"),
        };
        if tokio::time::timeout(PATIENCE, run.read(engine, container)).await.is_err() {
            run.lines.push(format!("(the engine did not tell the rest of it within {} s)", PATIENCE.as_secs()));
        }
        self.push(run);
    }

    fn push(&self, run: Run) {
        let mut runs = self.runs();
        runs.retain(|other| other.ccid != run.ccid);
        runs.push_back(run);
        if runs.len() > CHAINCODES {
            runs.pop_front();
        }
    }

    /// Nothing of this chaincode is wanted any more.
    pub(super) fn forget(&self, ccid: &Ccid) {
        self.runs().retain(|run| run.ccid != *ccid);
    }

    /// The last lines of the last run that has ended, and how it did.
    pub(super) fn read(&self, ccid: &Ccid, request: LogRequest) -> Option<LogLines> {
        let runs = self.runs();
        let run = runs.iter().find(|run| run.ccid == *ccid)?;
        let lines = run.lines.read(LogRequest { follow: false, ..request });
        Some(Box::pin(lines.chain(tokio_stream::once(Ok(run.end.clone())))))
    }

    /// How that run ended.
    pub(super) fn end(&self, ccid: &Ccid) -> Option<String> {
        self.runs().iter().find(|run| run.ccid == *ccid).map(|run| run.end.clone())
    }

    fn runs(&self) -> MutexGuard<'_, VecDeque<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// How a container of this peer's has ended; none where it is another's or has not.
    async fn of(engine: &Docker, owner: &Owner, container: &str) -> Result<Option<Self>, DockerError> {
        let found = engine.inspect_container(container, None::<InspectContainerOptions>).await?;
        let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let (None, Some((ccid, Role::Chaincode)), Some(end)) =
            (owner.other(&labels), Owner::chaincode(&labels), end(&found))
        else {
            return Ok(None);
        };
        Ok(Some(Self { ccid, lines: RecentLines::default(), end }))
    }

    async fn read(&self, engine: &Docker, container: &str) {
        let mut lines = Lines::default();
        let keep = |line: Vec<u8>| self.lines.push(plain(&String::from_utf8_lossy(&line)));
        let mut pieces = engine.logs(container, Some(wanted(LINES, false)));
        while let Some(piece) = pieces.next().await {
            match piece.map_err(DockerError::from) {
                Ok(piece) => lines.split(Stream::of(&piece), &piece.into_bytes()).into_iter().for_each(keep),
                // A logging driver that cannot be read from, for instance. How it ended is known all the same.
                Err(error) => {
                    self.lines.push(format!("(what it wrote cannot be read: {error})"));
                    break;
                }
            }
        }
        lines.rest().for_each(keep);
    }
}

/// How a container of a chaincode has ended, in a line for its reader; none where it has not.
pub(super) fn end(found: &ContainerInspectResponse) -> Option<String> {
    let (ContainerState::Exited(code), at) = state(found, Role::Chaincode) else { return None };
    let killed = found.state.as_ref().and_then(|state| state.oom_killed).unwrap_or_default();
    let reason = if killed { ", killed for its memory: vm.docker.hostConfig.Memory" } else { "" };
    Some(format!("(it ended with exit code {code} at {}{reason})", moment(at)))
}

/// As `selvedge chaincode ps` shows times.
fn moment(at: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    OffsetDateTime::from(at).format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: LogRequest = LogRequest { tail: usize::MAX, follow: false, previous: false };

    fn run(name: &str, line: &str) -> Run {
        let lines = RecentLines::default();
        lines.push(line.to_owned());
        Run { ccid: Ccid::new(name, "1"), lines, end: "(it ended)".to_owned() }
    }

    async fn read(runs: &EndedRuns, name: &str) -> Vec<String> {
        match runs.read(&Ccid::new(name, "1"), ALL) {
            Some(lines) => lines.map(Result::unwrap).collect().await,
            None => Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_last_run_of_the_last_chaincodes_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let runs = EndedRuns::new(Owner::of_peer(folder.path()).unwrap());
        runs.push(run("a", "first"));
        runs.push(run("b", "of b"));
        runs.push(run("a", "second"));
        assert_eq!(read(&runs, "a").await, ["second", "(it ended)"]);
        for n in 0..CHAINCODES - 1 {
            runs.push(run(&n.to_string(), "line"));
        }
        assert_eq!(read(&runs, "b").await, [""; 0], "the oldest is out");
        assert_eq!(read(&runs, "a").await.len(), 2);
        runs.forget(&Ccid::new("a", "1"));
        assert_eq!(read(&runs, "a").await, [""; 0]);
    }

    #[test]
    fn an_end_has_a_code_a_time_and_a_reason() {
        let found = |state: &str| serde_json::from_str(&format!(r#"{{"State": {state}}}"#)).unwrap();
        let ended = r#"{"Status": "exited", "ExitCode": 7, "FinishedAt": "2023-11-14T22:13:20.5Z"}"#;
        assert_eq!(end(&found(ended)).unwrap(), "(it ended with exit code 7 at 2023-11-14 22:13:20Z)");
        let killed = ended.replace("\"ExitCode\": 7", "\"ExitCode\": 137, \"OOMKilled\": true");
        assert!(end(&found(&killed)).unwrap().ends_with("20Z, killed for its memory: vm.docker.hostConfig.Memory)"));
        for state in [r#"{"Status": "running"}"#, r#"{"Status": "created"}"#] {
            assert_eq!(end(&found(state)), None);
        }
    }
}
