//! What may be in a code package (Fabric: `Platform.ValidateCodePackage` of each platform).

use std::ops::ControlFlow;

use bytes::Bytes;

use super::archive::{Head, walk};
use super::{Platform, PlatformError, ccaas, golang, java, node, rust, wasm};

/// The bits of a mode that a plain file without rights to run may have.
const PLAIN_FILE: u32 = 0o100_666;
/// Those that a directory may have. Fabric 2's tool packages Go with directories, and a 1.4 peer takes such a package.
const DIRECTORY: u32 = 0o040_777;

/// Checks code before it is installed. Code of no bytes passes, as in Fabric, whose command line packages none in development
/// mode; an install refuses such a package before that. Unpacks the code: not for a thread that others wait for.
///
/// # Errors
/// The first thing that has no place in a package of the platform, or is missing in it.
pub fn validate_code_package(platform: Platform, code: &Bytes) -> Result<(), PlatformError> {
    if code.is_empty() {
        return Ok(());
    }
    match platform {
        Platform::Golang => golang::validate(code),
        Platform::Node => node::validate(code),
        Platform::Java => java::validate(code),
        Platform::Rust => rust::validate(code),
        Platform::Wasm => wasm::validate(code),
        Platform::Ccaas => ccaas::validate(code),
    }
}

/// What to make of code that cannot be unpacked to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// What comes before the damage is the package: Fabric's rule for GOLANG and NODE.
    Ends,
    /// It is an error.
    Fails,
}

/// Checks the name and mode of everything in `code`; `seen` may look at each further that is no directory.
pub(super) fn check_entries(
    code: &[u8],
    damage: Damage,
    is_allowed: impl Fn(&str) -> bool,
    mut seen: impl FnMut(&Head, &mut dyn std::io::Read) -> Result<(), PlatformError>,
) -> Result<(), PlatformError> {
    let walked = walk(code, |head, content| {
        if !is_allowed(&head.name) {
            return Err(PlatformError::IllegalFile(head.name.clone()));
        }
        let modes = if head.directory { DIRECTORY } else { PLAIN_FILE };
        if head.mode & !modes != 0 {
            return Err(PlatformError::IllegalMode { name: head.name.clone(), mode: head.mode });
        }
        if !head.directory {
            seen(head, content)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    match walked {
        Err(PlatformError::Damaged(_)) if damage == Damage::Ends => Ok(()),
        walked => walked,
    }
}

/// `^(/)?(src|META-INF)/.*`
pub(super) fn is_source_or_metadata(name: &str) -> bool {
    let name = name.strip_prefix('/').unwrap_or(name);
    name.starts_with("src/") || name.starts_with("META-INF/")
}
