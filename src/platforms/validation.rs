//! What may be in a code package (Fabric: `Platform.ValidateCodePackage` of each platform).
//!
//! Fabric 1.4 asks this of code in the arguments of a deployment, and of signed packages in its command line. A peer of its
//! installs any code: what its tool makes of Java with a README, or with indexes, would not pass, and neither would what
//! Fabric 2's makes of Go. So there are two kinds of [`Rules`].

use std::ops::ControlFlow;

use bytes::Bytes;

use super::archive::{Head, walk};
use super::{Platform, PlatformError, ccaas, golang, java, node, rust, wasm};

/// Checks code in the arguments of a deployment, as all peers of a channel have to. Code of no bytes passes, and there hardly
/// is any other: clients leave it out. Unpacks the code: not for a thread that others wait for.
///
/// # Errors
/// The first thing that has no place in a package of the platform, or is missing in it.
pub fn validate_code_package(platform: Platform, code: &Bytes) -> Result<(), PlatformError> {
    check(platform, code, Rules::Deployment)
}

/// Checks code that is packaged or installed. Code of no bytes passes, as Fabric's command line packages none in development
/// mode; an install refuses such a package before that. Unpacks the code: not for a thread that others wait for.
///
/// # Errors
/// The first thing that has no place in a package of the platform, or is missing in it.
pub fn check_package_code(platform: Platform, code: &Bytes) -> Result<(), PlatformError> {
    check(platform, code, Rules::Package)
}

fn check(platform: Platform, code: &Bytes, rules: Rules) -> Result<(), PlatformError> {
    if code.is_empty() {
        return Ok(());
    }
    match platform {
        Platform::Golang => golang::validate(code, rules),
        Platform::Node => node::validate(code, rules),
        Platform::Java => java::validate(code, rules),
        Platform::Rust => rust::validate(code, rules),
        Platform::Wasm => wasm::validate(code, rules),
        Platform::Ccaas => ccaas::validate(code, rules),
    }
}

/// What code is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// It stands in the arguments of a deployment: Fabric's own rules, or its peers come to another verdict.
    Deployment,
    /// It is to be built: what a Fabric 1.4 peer installs passes, unless it could not be built in any way.
    Package,
}

impl Rules {
    /// The bits of a mode that something may have.
    fn modes(self, head: &Head) -> u32 {
        match self {
            // Plain files without rights to run.
            Self::Deployment => 0o100_666,
            Self::Package if head.directory => 0o040_777,
            Self::Package => 0o100_777,
        }
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

/// Checks the name and mode of everything in `code`; `seen` may look at each further.
pub(super) fn check_entries(
    code: &[u8],
    rules: Rules,
    damage: Damage,
    is_allowed: impl Fn(&str) -> bool,
    mut seen: impl FnMut(&Head, &mut dyn std::io::Read) -> Result<(), PlatformError>,
) -> Result<(), PlatformError> {
    let walked = walk(code, |head, content| {
        if !is_allowed(&head.name) {
            return Err(PlatformError::IllegalFile(head.name.clone()));
        }
        if head.mode & !rules.modes(head) != 0 {
            return Err(PlatformError::IllegalMode { name: head.name.clone(), mode: head.mode });
        }
        seen(head, content)?;
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
