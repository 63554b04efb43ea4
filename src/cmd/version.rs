//! `selvedge version` (Fabric: `peer version`).

pub(super) fn text() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("selvedge:\n Version: {}\n OS/Arch: {os}/{arch}", env!("CARGO_PKG_VERSION"))
}
