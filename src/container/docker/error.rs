//! Why a container could not be had. Fabric's texts where clients of Fabric see one.

use thiserror::Error;

use super::Endpoint;
use crate::container::VmError;

/// Why a container could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DockerError {
    /// Nobody said where an engine is.
    #[error("chaincode of this type needs a Docker engine, and this peer has none: vm.endpoint is empty")]
    Off,
    /// Nobody answers there.
    #[error(
        "cannot connect to Docker endpoint {endpoint} (vm.endpoint): {reason}; chaincode of this type needs a Docker engine there"
    )]
    Connect {
        /// Where the engine should be.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },
    /// Who answers there shares no version of the API with this peer.
    #[error("Docker endpoint {endpoint} (vm.endpoint) cannot be used: {reason}")]
    Unusable {
        /// Where the engine is.
        endpoint: Endpoint,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The engine refused.
    #[error("API error ({status}): {message}")]
    Api {
        /// The status of HTTP.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine went away in the middle.
    #[error("lost the connection to the Docker engine: {0}")]
    Lost(String),
    /// The chaincode's name makes no name of an image.
    #[error(
        "Error constructing Docker VM Name. '{0}' breaks Docker's repository naming rules; letters, digits and single . _ - \
         between them may be in peer.networkId, peer.id, and a chaincode's name and version"
    )]
    Name(String),
    /// A container of that name is another peer's.
    #[error(
        "container {container} runs and belongs to peer {peer} of network {network}, which is not this one; give each peer of \
         an engine its own peer.id or peer.networkId, or remove the container if nobody needs it"
    )]
    Foreign {
        /// Its name.
        container: String,
        /// The `peer.id` of whoever made it.
        peer: String,
        /// The `peer.networkId` of whoever made it.
        network: String,
    },
    /// Another chaincode of this peer runs under that name.
    #[error(
        "container {container} runs chaincode {chaincode}, which has the same container name; give one another version"
    )]
    Shared {
        /// Its name.
        container: String,
        /// The chaincode's id.
        chaincode: String,
    },
    /// There is neither an image nor code to build one of.
    #[error("no such image, and no code package to build it from: {0}")]
    NoCode(String),
    /// There is no Dockerfile for that code.
    #[error("failed to generate Dockerfile to build {container}: {reason}")]
    Plan {
        /// The container's name.
        container: String,
        /// Why not.
        reason: String,
    },
    /// The builder failed.
    #[error("Failed to generate platform-specific docker build: {0}")]
    Build(#[from] BuildError),
    /// The engine could not make an image of what was built.
    #[error("failed to build image {image}: {reason}; the last output of the build:\n{output}")]
    Image {
        /// The image's name.
        image: String,
        /// The engine's words.
        reason: String,
        /// The end of what it wrote while building.
        output: String,
    },
    /// The files for the container did not get there.
    #[error("Error uploading files to the container instance {container}: {source}")]
    Upload {
        /// The container's name.
        container: String,
        /// Why not.
        source: Box<DockerError>,
    },
    /// A task of the peer ended before its work was done.
    #[error("the peer is going down")]
    GoingDown,
}

/// Why a build failed (Fabric: `util.DockerBuild`).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The builder's image is neither here nor in a registry.
    #[error("Failed to pull {image}: {reason}")]
    Pull {
        /// The image.
        image: String,
        /// Why not.
        reason: String,
    },
    /// A step at the engine failed; the words before the colon are Fabric's.
    #[error("{what}: {source}")]
    Step {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: Box<DockerError>,
    },
    /// The code does not build.
    #[error("Error returned from build: {code} \"{output}\"")]
    Failed {
        /// What the command left with.
        code: i64,
        /// The end of what it wrote.
        output: String,
    },
    /// It builds into more than an image should hold.
    #[error(
        "the build left more than {0} bytes in /chaincode/output; leave out what the chaincode does not need to run"
    )]
    TooLarge(u64),
    /// What it left is not what was counted.
    #[error(
        "what the build left in /chaincode/output had {0} bytes at first and others when it was read; something outside the \
         build writes there"
    )]
    Changed(u64),
}

impl DockerError {
    /// Whether the engine has no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, .. })
    }

    /// Whether the name is taken.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { status: 409, .. })
    }
}

impl From<bollard::errors::Error> for DockerError {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => Self::Api { status: status_code, message },
            Error::RequestTimeoutError => Self::Lost("it gave no answer in time".to_owned()),
            error => Self::Lost(innermost(&error)),
        }
    }
}

impl From<DockerError> for VmError {
    fn from(error: DockerError) -> Self {
        Self::Other(error.to_string())
    }
}

/// The cause of all: what is around it says no more than that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}
