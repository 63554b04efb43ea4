//! How a code package becomes an image (Fabric: `platforms.Registry.GenerateDockerBuild`, without the engine).

use bytes::Bytes;
use thiserror::Error;

/// What an image is built of: a Dockerfile and, beside it, `binpackage.tar`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildPlan {
    /// The text of the Dockerfile, which adds `binpackage.tar` to the runtime's image.
    pub dockerfile: String,
    /// Where `binpackage.tar` comes from.
    pub packaging: Packaging,
}

/// Where the files of an image come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packaging {
    /// A container gets the code package under `/chaincode/input`, runs `/bin/sh -c <command>`, and leaves the files in
    /// `/chaincode/output`.
    Builder {
        /// The container's image.
        image: String,
        /// What the shell runs.
        command: String,
        /// Environment variables, as `NAME=value`.
        env: Vec<String>,
    },
    /// This tar, as it is: there is nothing to build.
    Files(Bytes),
}

/// Why a package cannot become an image. Fabric's texts where Fabric has one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct PlatformError(pub String);
