//! What a VM tells about its containers.

use std::fmt;
use std::pin::Pin;
use std::time::SystemTime;

use tokio_stream::Stream;

use super::{Ccid, VmError};

/// One container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Whose it is.
    pub ccid: Ccid,
    /// How far it has come.
    pub state: ContainerState,
    /// Since when.
    pub since: SystemTime,
    /// What it holds of memory, in bytes; none where nobody counts that.
    pub memory: Option<u64>,
}

/// How far a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It is being built, started or dialled.
    Starting,
    /// It runs.
    Running,
    /// It has ended with this code, and was kept.
    Exited(i32),
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::Exited(code) => write!(f, "exited ({code})"),
        }
    }
}

/// Which lines of a container's log are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// How many of the last ones.
    pub tail: usize,
    /// Those too that are yet to be written, until the container ends.
    pub follow: bool,
    /// Those of the run that ended last, although another one is there.
    pub previous: bool,
}

/// Lines of a log, without their ends, oldest first.
pub type LogLines = Pin<Box<dyn Stream<Item = Result<String, VmError>> + Send>>;
