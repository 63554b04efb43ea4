//! What runs chaincode: `trait Vm` (Fabric 1.4: `core/container/api` and the VM interfaces of `controller.go`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use super::{Ccid, ContainerStatus, LogLines, LogRequest};
use crate::platforms::CodePackage;

/// The kinds of VM that a [`super::VmController`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VmType {
    /// Containers of a Docker engine.
    Docker,
    /// WebAssembly instances inside the peer.
    System,
    /// Chaincode that somebody else runs as a service, and the peer dials.
    Server,
}

impl fmt::Display for VmType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "DOCKER",
            Self::System => "SYSTEM",
            Self::Server => "SERVER",
        })
    }
}

/// How a container is to be started (Fabric: `StartContainerReq`). A VM ignores what has no meaning to it.
#[derive(Clone, Debug, Default)]
pub struct StartContainer {
    /// The command line inside the container.
    pub args: Vec<String>,
    /// Environment variables, as `NAME=value`.
    pub env: Vec<String>,
    /// Files to put into the container before it starts: absolute path to content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is to run, for a VM that does not have it yet; none for a chaincode of the peer itself.
    pub code: Option<CodePackage>,
}

/// How a container is to be stopped (Fabric: `StopContainerReq`).
#[derive(Clone, Copy, Debug, Default)]
pub struct StopContainer {
    /// How long the chaincode may take to leave by itself.
    pub timeout: Duration,
    /// Leave out the kill after the timeout.
    pub keep_running: bool,
    /// Leave the stopped container in place.
    pub keep_container: bool,
}

/// Something that runs chaincode. One container for each [`Ccid`]; calls for the same id never overlap (the controller's
/// lock), except that [`Vm::wait`] runs beside everything else.
#[async_trait]
pub trait Vm: Send + Sync + 'static {
    /// Starts the container and returns as soon as it runs; the chaincode registers later, through its stream.
    async fn start(&self, ccid: &Ccid, request: StartContainer) -> Result<(), VmError>;

    /// Stops the container and, unless told otherwise, removes it.
    async fn stop(&self, ccid: &Ccid, request: StopContainer) -> Result<(), VmError>;

    /// Resolves with the exit code when the container has ended.
    async fn wait(&self, ccid: &Ccid) -> Result<i32, VmError>;

    /// Whether the VM can start containers at all.
    async fn health_check(&self) -> Result<(), VmError>;

    /// The end of what the container wrote, for an error about it; empty where nothing is known.
    async fn last_output(&self, _ccid: &Ccid) -> String {
        String::new()
    }

    /// Its containers, those included that have ended and were kept.
    async fn containers(&self) -> Result<Vec<ContainerStatus>, VmError> {
        Ok(Vec::new())
    }

    /// Removes what was made to run a chaincode that does not run any more, such as its image.
    async fn remove(&self, ccid: &Ccid) -> Result<(), VmError> {
        Err(VmError::NotFound(ccid.container_name()))
    }

    /// What the chaincode wrote to its log.
    async fn logs(&self, ccid: &Ccid, _: LogRequest) -> Result<LogLines, VmError> {
        Err(VmError::NotFound(ccid.container_name()))
    }
}

/// Why a VM refused. The texts are Fabric's (`inproccontroller`, `dockercontroller`, `extcc`), which clients see.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VmError {
    /// A type was registered twice.
    #[error("{0} already registered")]
    AlreadyRegistered(String),
    /// No such type.
    #[error("{0} not registered")]
    NotRegistered(String),
    /// The container is running already.
    #[error("chaincode running {0}")]
    AlreadyRunning(String),
    /// No such container.
    #[error("{0} not found")]
    NotFound(String),
    /// The container exists and is not running.
    #[error("{0} not running")]
    NotRunning(String),
    /// The instance could not be made.
    #[error("could not create instance for {ccid}: {cause}")]
    Instantiate {
        /// Container name.
        ccid: String,
        /// What went wrong, for a reader.
        cause: String,
    },
    /// A service could not be dialled.
    #[error(
        "connection to {ccid} failed: error cannot create connection for {ccid}: error creating grpc connection to {address}: \
         {cause}"
    )]
    Connection {
        /// The chaincode.
        ccid: String,
        /// Where its service should be.
        address: String,
        /// What went wrong, for a reader.
        cause: String,
    },
    /// The connection to a service has ended for good.
    #[error("connection to {ccid} terminated: {cause}")]
    Terminated {
        /// The chaincode.
        ccid: String,
        /// Why, for a reader.
        cause: String,
    },
    /// No VM of that type was configured.
    #[error("unsupported VM type: {0}")]
    UnsupportedType(VmType),
    /// A request failed; carries Fabric's prefix (`error starting container`, `error stopping container`).
    #[error("{what}: {source}")]
    Request {
        /// Fabric's prefix.
        what: &'static str,
        /// The VM's error.
        source: Box<VmError>,
    },
    /// Anything else, already worded for the client.
    #[error("{0}")]
    Other(String),
}
