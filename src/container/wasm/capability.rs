//! Capabilities: what a module may import beyond the contract that every chaincode has.
//!
//! A capability is one WIT interface. It is granted by name, in core.yaml; what was not granted is not linked, and a
//! module that imports it is refused at load with the import's name.

use std::sync::Arc;

use wasmtime::component::Linker;

use super::instance::InstanceState;

/// The contract's version, as it stands in every import's name.
const VERSION: &str = "0.1.0";

/// Interfaces that every chaincode may import.
const BASE: [&str; 9] = [
    "selvedge:chaincode/blobs",
    "selvedge:chaincode/chaincodes",
    "selvedge:chaincode/config",
    "selvedge:chaincode/events",
    "selvedge:chaincode/logging",
    "selvedge:chaincode/private-data",
    "selvedge:chaincode/process",
    "selvedge:chaincode/state",
    "selvedge:chaincode/transaction",
];

/// The host side of one capability.
pub trait Capability: Send + Sync + 'static {
    /// The name by which core.yaml grants it: that of its interface.
    fn name(&self) -> &str;

    /// Gives the interface's functions to a linker.
    ///
    /// # Errors
    /// wasmtime's, when a name is defined twice.
    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()>;
}

/// What an import of a module is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Import<'a> {
    /// Part of the contract.
    Base,
    /// A capability, by its name.
    Capability(&'a str),
    /// Something that exists here in another version.
    OtherVersion { offered: String },
    /// Nothing that this host knows.
    Unknown,
}

/// Sorts an import such as `selvedge:chaincode/state@0.1.0`.
pub(super) fn classify<'a>(import: &'a str, known: &[Arc<dyn Capability>]) -> Import<'a> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let found = match capability_name(import) {
        Some(name) if known.iter().any(|capability| capability.name() == name) => Import::Capability(name),
        None if BASE.contains(&interface) => Import::Base,
        _ => return Import::Unknown,
    };
    if version == VERSION { found } else { Import::OtherVersion { offered: format!("{interface}@{VERSION}") } }
}

/// The capability that an import needs; none for the contract itself.
pub(super) fn capability_name(import: &str) -> Option<&str> {
    let (interface, _) = import.split_once('@').unwrap_or((import, ""));
    match interface {
        "selvedge:chaincode/messages" => Some("messages"),
        _ => interface.strip_prefix("selvedge:peer/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str);

    impl Capability for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn link(&self, _: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_import_is_base_or_capability_in_our_version_or_refused() {
        let known: Vec<Arc<dyn Capability>> = vec![Arc::new(Named("ledger")), Arc::new(Named("messages"))];
        let classify = |import| super::classify(import, &known);
        assert_eq!(classify("selvedge:chaincode/state@0.1.0"), Import::Base);
        assert_eq!(classify("selvedge:peer/ledger@0.1.0"), Import::Capability("ledger"));
        assert_eq!(classify("selvedge:chaincode/messages@0.1.0"), Import::Capability("messages"));
        assert_eq!(
            classify("selvedge:chaincode/state@0.2.0"),
            Import::OtherVersion { offered: "selvedge:chaincode/state@0.1.0".into() }
        );
        for unknown in ["wasi:filesystem/types@0.2.0", "selvedge:peer/root@0.1.0", "selvedge:chaincode/shell@0.1.0"] {
            assert_eq!(classify(unknown), Import::Unknown, "{unknown}");
        }
    }
}
