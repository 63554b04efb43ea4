//! Chaincode in containers of a Docker engine (Fabric 1.4: `core/container/dockercontroller`, `platforms/util.DockerBuild`).
//!
//! | here | does |
//! |---|---|
//! | [`DockerVm`] | the `Vm`: start, stop, wait, in Fabric's order |
//! | `engine`, `api_version` | reach the engine (socket, TCP, TLS) in a version of its API |
//! | `names` | what containers and images are called |
//! | `image`, `builder`, `context` | turn a code package into an image |
//! | `owned` | a container that is removed unless somebody keeps it |
//! | `output` | what containers write: into the log, and into errors |
//! | `status` | what the engine knows of this peer's containers |
//! | `ended` | what those wrote that are removed |
//!
//! A connection is made for each request, so an engine may die and come back at any time. What is to be built is planned by
//! the composition root's [`Planner`]; nothing here knows a platform.
//!
//! Invariant: every container that this module makes carries this peer's [`Owner`], and only containers that do are removed,
//! but for one that stands in the way of a start under its own name and does not run.

mod api_version;
mod archive;
mod builder;
mod context;
mod ended;
mod engine;
mod error;
mod image;
mod metrics;
mod names;
mod output;
mod owned;
mod owner;
mod start;
mod status;
mod stop;
mod vm;

use std::sync::Arc;

pub use bollard::models::{HostConfig, HostConfigLogConfig};
pub use engine::Endpoint;
pub use error::DockerError;
pub use metrics::DockerMetrics;
pub use names::Names;
pub use owner::Owner;
pub use vm::DockerVm;

use crate::container::Ccid;
use crate::platforms::{BuildPlan, CodePackage};

/// Tells how a code package becomes an image, or why it cannot. Called on a thread that may block.
pub type Planner = Arc<dyn Fn(&CodePackage, &Ccid) -> Result<BuildPlan, String> + Send + Sync>;

/// Whether the engine is to ask the registry for base images that it has already (`chaincode.pull`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// Only for images that are not there.
    #[default]
    Missing,
    /// For every build.
    Always,
}

/// What becomes of what chaincode writes (`vm.docker.attachStdout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachStdout {
    /// The engine's log of the container keeps it.
    #[default]
    No,
    /// It goes to the peer's log, too.
    Yes,
}

/// What a [`DockerVm`] needs.
#[derive(Clone)]
pub struct DockerConfig {
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// What containers and images are called.
    pub names: Names,
    /// Whose containers they are.
    pub owner: Owner,
    /// What containers may use.
    pub host: HostConfig,
    /// Whether what chaincode writes goes to the log.
    pub attach_stdout: AttachStdout,
    /// Whether base images are asked for anew.
    pub pull: Pull,
    /// How images are made.
    pub planner: Planner,
}
