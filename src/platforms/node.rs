//! Chaincode for Node.js (Fabric: `core/chaincode/platforms/node`).
//!
//! Beyond Fabric: a package may bring its modules along, in `src/node_modules`. It is then built without a network, and
//! stays a package that a Fabric peer takes as well.

use std::ops::ControlFlow;
use std::path::Path;

use super::archive::walk;
use super::folder::{Sources, sources_of};
use super::plan::{PlatformPlan, builder};
use super::validation::{Damage, Rules, check_entries, is_source_or_metadata};
use super::{BuildSettings, PlatformError};

/// Where a package has the modules that it brings along.
const MODULES: &str = "src/node_modules/";

pub(super) fn validate(code: &[u8], rules: Rules) -> Result<(), PlatformError> {
    let mut package_json = false;
    check_entries(code, rules, Damage::Ends, is_source_or_metadata, |head, _| {
        // Fabric looks at the name only.
        package_json |= head.name == "src/package.json" && (rules == Rules::Deployment || !head.directory);
        Ok(())
    })?;
    if package_json { Ok(()) } else { Err(PlatformError::NoPackageJson) }
}

pub(super) fn plan<'a>(code: &[u8], settings: &'a BuildSettings) -> Result<PlatformPlan<'a>, PlatformError> {
    // Packages have no rights to run in them and no links: `npm rebuild` makes what modules have under `.bin`.
    let install = if brings_modules(code)? { "npm rebuild --offline" } else { "npm install --production" };
    let command = format!("cp -R /chaincode/input/src/. /chaincode/output && cd /chaincode/output && {install}");
    Ok(PlatformPlan {
        runtime: &settings.node_runtime,
        runtime_setting: "chaincode.node.runtime",
        destination: "/usr/local/src",
        packaging: builder(&settings.builder, "chaincode.builder", command)?,
    })
}

/// As in Fabric, everything but `node_modules` and what has `.git` in its path.
pub(super) fn sources(folder: &Path, with_modules: bool) -> Result<Sources, PlatformError> {
    let modules = folder.join("node_modules");
    if with_modules && !modules.is_dir() {
        return Err(PlatformError::NoModules(modules));
    }
    sources_of(folder, |below| {
        let module = below.starts_with("node_modules/");
        // Links to programs, which only `npm rebuild` can make where the package goes.
        let program = module && below.contains("/.bin/");
        below.contains(".git") || program || (module && !with_modules)
    })
}

fn brings_modules(code: &[u8]) -> Result<bool, PlatformError> {
    let mut found = false;
    let walked = walk(code, |head, _| {
        found = head.name.starts_with(MODULES);
        Ok(if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    match walked {
        Err(PlatformError::Damaged(_)) | Ok(()) => Ok(found),
        Err(error) => Err(error),
    }
}
