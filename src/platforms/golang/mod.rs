//! Chaincode in Go (Fabric: `core/chaincode/platforms/golang`).

mod sources;
mod tool;

pub(super) use sources::sources;

use super::plan::{Packaging, PlatformPlan, builder};
use super::validation::{Damage, Rules, check_entries, is_source_or_metadata};
use super::{BuildSettings, PlatformError};

pub(super) fn validate(code: &[u8], rules: Rules) -> Result<(), PlatformError> {
    check_entries(code, rules, Damage::Ends, is_source_or_metadata, |_, _| Ok(()))
}

pub(super) fn plan<'a>(path: &str, settings: &'a BuildSettings) -> Result<PlatformPlan<'a>, PlatformError> {
    let package = import_path(path)?;
    let flags = match settings.golang_dynamic_link {
        true => "",
        false => "-ldflags \"-linkmode external -extldflags '-static'\"",
    };
    // The two blanks are Fabric's.
    let command = format!("GOPATH=/chaincode/input:$GOPATH go build  {flags} -o /chaincode/output/chaincode {package}");
    let mut packaging = builder(&settings.builder, "chaincode.builder", command)?;
    if let Packaging::Builder { env, .. } = &mut packaging {
        // What Fabric 1.4's image does by itself: Go has taken everything for a module since 1.16.
        env.push("GO111MODULE=off".to_owned());
    }
    Ok(PlatformPlan {
        runtime: &settings.golang_runtime,
        runtime_setting: "chaincode.golang.runtime",
        destination: "/usr/local/bin",
        packaging,
    })
}

/// The package that a path, or a URL, is for (Fabric: `decodeUrl`). It stands in a shell's command, so it is checked.
fn import_path(path: &str) -> Result<&str, PlatformError> {
    let package = path.strip_prefix("http://").or_else(|| path.strip_prefix("https://")).unwrap_or(path);
    if package.len() < 2 {
        return Err(PlatformError::PathInvalid);
    }
    let package = package.strip_suffix('/').unwrap_or(package);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-~+@/".contains(c);
    // What begins with a dash would be an option.
    if !package.chars().all(allowed) || package.starts_with('-') {
        return Err(PlatformError::NoImportPath(path.to_owned()));
    }
    Ok(package)
}
