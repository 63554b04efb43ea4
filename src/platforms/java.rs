//! Chaincode in Java (Fabric: `core/chaincode/platforms/java`).

use std::path::Path;

use super::folder::{Sources, sources_of};
use super::plan::{Packaging, PlatformPlan};
use super::validation::{Damage, Rules, check_entries, is_source_or_metadata};
use super::{BuildSettings, PlatformError};

pub(super) fn validate(code: &[u8], rules: Rules) -> Result<(), PlatformError> {
    let is_allowed = match rules {
        Rules::Deployment => is_allowed,
        // Fabric's tool packages whatever stands beside the build file, and indexes where they belong.
        Rules::Package => is_source_or_metadata,
    };
    check_entries(code, rules, Damage::Fails, is_allowed, |_, _| Ok(()))
}

/// `^(/)?src/((src|META-INF)/.*|(build\.gradle|settings\.gradle|pom\.xml))`, and no `.class`. As in Fabric, a name may go on
/// after the second kind.
fn is_allowed(name: &str) -> bool {
    let Some(below) = name.strip_prefix('/').unwrap_or(name).strip_prefix("src/") else { return false };
    let starts = ["src/", "META-INF/", "build.gradle", "settings.gradle", "pom.xml"];
    starts.iter().any(|start| below.starts_with(start)) && !name.ends_with(".class")
}

/// Where Fabric's image for Java, `fabric-javaenv`, looks for the code.
const DESTINATION: &str = "/root/chaincode-java/chaincode";
/// The program of that image that starts the code.
pub const JAVA_START: &str = "/root/chaincode-java/start";

/// As in Fabric, everything but what builds make and what has `.git` in its path.
pub(super) fn sources(folder: &Path) -> Result<Sources, PlatformError> {
    sources_of(folder, |below| {
        let built = ["target/", "build/", "out/"].iter().any(|start| below.starts_with(start));
        built || below.contains(".git") || below.ends_with(".class")
    })
}

pub(super) fn plan(settings: &BuildSettings) -> PlatformPlan<'_> {
    let (image, command) = (settings.java_runtime.clone(), "./build.sh".to_owned());
    PlatformPlan {
        runtime: &settings.java_runtime,
        runtime_setting: "chaincode.java.runtime",
        destination: DESTINATION,
        // It has the JDK, and the script.
        packaging: Packaging::Builder { image, command, env: Vec::new() },
    }
}
