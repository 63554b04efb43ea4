//! Chaincode as a service: a package says where it is (Fabric 2.x: packages of type `ccaas`).

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::PlatformError;
use super::archive::{read_content, read_file, walk};
use super::folder::{Content, Source, Sources, metadata_beside};
use super::packaging::read;
use super::validation::{Damage, Rules, check_entries};

/// Where a package says where the service is, as in the inner archive of a package for Fabric 2.x.
pub const CONNECTION: &str = "connection.json";
/// Bytes of that file: an address, and three certificates or keys.
pub const MAX_CONNECTION: u64 = 1 << 20;
/// Bytes of a package for Fabric 2.x; those of services hold no code.
const MAX_PACKAGE: u64 = 16 << 20;
/// How what is gzipped begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

pub(super) fn validate(code: &[u8], rules: Rules) -> Result<(), PlatformError> {
    let is_allowed = |name: &str| name == CONNECTION || name.starts_with("META-INF/");
    let mut found = false;
    check_entries(code, rules, Damage::Fails, is_allowed, |head, content| {
        if head.name != CONNECTION {
            return Ok(());
        }
        if found || !head.regular {
            return Err(PlatformError::IllegalFile(head.name.clone()));
        }
        found = true;
        check_connection(&read_content(head, content, MAX_CONNECTION)?)
    })?;
    match found {
        true => Ok(()),
        false => Err(PlatformError::Missing { name: CONNECTION, advice: "a package of type CCAAS holds it" }),
    }
}

/// Whether it names a service. What else it says is read by who dials it.
pub(super) fn check_connection(text: &[u8]) -> Result<(), PlatformError> {
    let unfit = |reason| Err(PlatformError::Unfit { name: CONNECTION, reason });
    match serde_json::from_slice::<Value>(text) {
        Err(cause) => unfit(format!("is no JSON: {cause}")),
        Ok(connection) if connection["address"].as_str().is_some_and(|address| !address.is_empty()) => Ok(()),
        Ok(_) => unfit("names no service; write {\"address\":\"HOST:PORT\"}".to_owned()),
    }
}

/// A connection.json or its folder, with `META-INF` beside; or a package for Fabric 2.x of type `ccaas`.
pub(super) fn sources(path: &Path) -> Result<Sources, PlatformError> {
    let file = if path.is_dir() { path.join(CONNECTION) } else { path.to_owned() };
    let content = read(&file, MAX_PACKAGE)?;
    let sources = match content.starts_with(GZIP) {
        true => repackaged(&file, &content)?,
        false => {
            let mut sources = metadata_beside(&file)?;
            sources.files.push(Source { name: CONNECTION.to_owned(), content: Content::Bytes(content) });
            sources
        }
    };
    Ok(sources)
}

/// What a package for Fabric 2.x has for us: the connection, and metadata.
fn repackaged(path: &Path, package: &[u8]) -> Result<Sources, PlatformError> {
    let unfit = |reason: String| PlatformError::UnfitFile { path: path.to_owned(), reason };
    let part = |name: &str| {
        let part = read_file(package, name, MAX_PACKAGE)?;
        part.ok_or_else(|| unfit(format!("is no package for Fabric 2.x: it has no {name}")))
    };
    let metadata: Value = serde_json::from_slice(&part("metadata.json")?)
        .map_err(|cause| unfit(format!("is no package for Fabric 2.x: its metadata.json is no JSON: {cause}")))?;
    let kind = metadata["type"].as_str().unwrap_or_default();
    if !kind.eq_ignore_ascii_case("ccaas") {
        return Err(unfit(format!(
            "is a package of type {kind:?}; only those of type \"ccaas\" say where a service is"
        )));
    }
    let mut sources = Sources::default();
    walk(&part("code.tar.gz")?, |head, content| {
        let name = head.name.trim_start_matches("./");
        if head.regular && (name == CONNECTION || name.starts_with("META-INF/")) {
            let content = Content::Bytes(read_content(head, content, MAX_CONNECTION)?);
            sources.files.push(Source { name: name.to_owned(), content });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    sources.files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sources)
}
