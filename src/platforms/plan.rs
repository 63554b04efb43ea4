//! How code becomes an image (Fabric: `platforms.Registry.GenerateDockerBuild`, `GenerateDockerfile`).
//!
//! An image is built in two steps: a builder container turns the code into `binpackage.tar`, and a Dockerfile of few lines
//! adds that to the runtime's image. This module says what to run and what to write; talking to an engine is
//! `container::docker`'s. Invariant: nothing of a package reaches a Dockerfile or a shell but what is one plain word.

use bytes::Bytes;

use super::settings::{BASE_VERSION, FABRIC_VERSION};
use super::{BuildSettings, CodePackage, Platform, PlatformError, golang, java, node, rust};
use crate::container::Ccid;

/// How an image of a chaincode is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildPlan {
    /// The text of the file `Dockerfile`, which adds `binpackage.tar` to the runtime's image.
    pub dockerfile: String,
    /// Where `binpackage.tar` comes from.
    pub packaging: Packaging,
}

/// Where `binpackage.tar` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packaging {
    /// A container makes it: the code (as it is, a gzipped tar) goes to `/chaincode/input`, `/bin/sh -c command` runs, and
    /// what is in `/chaincode/output` is the content. Images of others than Fabric's do not have these two folders.
    Builder {
        /// The builder's image.
        image: String,
        /// What to run.
        command: String,
        /// Variables, as `NAME=value`, on top of the image's.
        env: Vec<String>,
    },
    /// This is it: a tar, not zipped.
    Files(Bytes),
}

/// The first lines of a Dockerfile, and where what they add comes from.
pub(super) struct PlatformPlan<'a> {
    pub(super) runtime: &'a str,
    /// The setting that says so.
    pub(super) runtime_setting: &'static str,
    /// The folder that `binpackage.tar` is unpacked in.
    pub(super) destination: &'static str,
    pub(super) packaging: Packaging,
}

/// Plans the image of `code`, which runs as `ccid`. Unpacks code of NODE and RUST: not for a thread that others wait for.
///
/// # Errors
/// When the platform needs no image, or the code, its path or a name is not fit for one.
pub fn plan(code: &CodePackage, ccid: &Ccid, settings: &BuildSettings) -> Result<BuildPlan, PlatformError> {
    let plan = match code.platform {
        Platform::Golang => golang::plan(&code.path, settings)?,
        Platform::Node => node::plan(&code.bytes, settings)?,
        Platform::Java => java::plan(settings),
        Platform::Rust => rust::plan(&code.bytes, settings)?,
        Platform::Wasm | Platform::Ccaas => return Err(PlatformError::NoImage(code.platform)),
    };
    if plan.runtime.is_empty() {
        return Err(PlatformError::NoImageName(plan.runtime_setting));
    }
    Ok(BuildPlan { dockerfile: dockerfile(code.platform, ccid, &plan)?, packaging: plan.packaging })
}

/// A builder without variables of its own.
pub(super) fn builder(image: &str, setting: &'static str, command: String) -> Result<Packaging, PlatformError> {
    match image {
        "" => Err(PlatformError::NoImageName(setting)),
        _ => Ok(Packaging::Builder { image: image.to_owned(), command, env: Vec::new() }),
    }
}

fn dockerfile(platform: Platform, ccid: &Ccid, plan: &PlatformPlan<'_>) -> Result<String, PlatformError> {
    const LABEL: &str = "org.hyperledger.fabric";
    for text in [&ccid.name, &ccid.version] {
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.+".contains(c)) {
            return Err(PlatformError::Label(text.clone()));
        }
    }
    let lines = [
        format!("FROM {}", plan.runtime),
        format!("ADD binpackage.tar {}", plan.destination),
        format!("LABEL {LABEL}.chaincode.id.name=\"{}\" \\", ccid.name),
        format!("      {LABEL}.chaincode.id.version=\"{}\" \\", ccid.version),
        format!("      {LABEL}.chaincode.type=\"{platform}\" \\"),
        format!("      {LABEL}.version=\"{FABRIC_VERSION}\" \\"),
        format!("      {LABEL}.base.version=\"{BASE_VERSION}\""),
        format!("ENV CORE_CHAINCODE_BUILDLEVEL={FABRIC_VERSION}"),
    ];
    Ok(lines.join("\n"))
}
