//! The system chaincodes of this peer, by name (Fabric 1.4: `scc.Provider`).
//!
//! Invariant: a chaincode that is switched off stays in the list. Its name remains a system chaincode's, so nobody can
//! install a chaincode of his own under it.

use tracing::info;

use super::SystemChaincode;
use crate::chaincode::{CodeSource, ContainerInfo, SystemChaincodes};
use crate::container::{Ccid, VmType};

/// Names that were system chaincodes before Fabric 1.2. Nothing stands behind them, and nobody may call them.
const DEPRECATED: [&str; 2] = ["escc", "vscc"];

/// What the peer knows about system chaincodes.
#[derive(Clone, Debug)]
pub struct Registry {
    chaincodes: Vec<SystemChaincode>,
    version: String,
}

impl Registry {
    /// A registry of these chaincodes, in the order of their deployment. They all carry one version, which is part of
    /// what an endorser signs: a network with Fabric peers needs theirs.
    pub fn new(chaincodes: Vec<SystemChaincode>, version: impl Into<String>) -> Self {
        for SystemChaincode { name, path, enabled, .. } in chaincodes.iter().filter(|chaincode| !chaincode.runs()) {
            info!("system chaincode ({name},{},{enabled}) disabled", path.display());
        }
        Self { chaincodes, version: version.into() }
    }

    /// All of them, those that are switched off included.
    pub fn chaincodes(&self) -> &[SystemChaincode] {
        &self.chaincodes
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&SystemChaincode> {
        self.chaincodes.iter().find(|chaincode| chaincode.name == name)
    }

    /// Name and version of a chaincode.
    pub fn ccid(&self, chaincode: &SystemChaincode) -> Ccid {
        Ccid::new(&*chaincode.name, &*self.version)
    }

    /// How a chaincode is launched.
    pub fn info(&self, chaincode: &SystemChaincode) -> ContainerInfo {
        ContainerInfo { ccid: self.ccid(chaincode), vm: VmType::System, code: CodeSource::System }
    }
}

impl SystemChaincodes for Registry {
    fn is_sys_cc(&self, name: &str) -> bool {
        self.get(name).is_some() || DEPRECATED.contains(&name)
    }

    fn is_sys_cc_and_not_invokable_external(&self, name: &str) -> bool {
        self.get(name).map_or(DEPRECATED.contains(&name), |chaincode| !chaincode.invokable_external)
    }

    fn is_sys_cc_and_not_invokable_cc2cc(&self, name: &str) -> bool {
        self.get(name).map_or(DEPRECATED.contains(&name), |chaincode| !chaincode.invokable_cc2cc)
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn container_info(&self, name: &str) -> Option<ContainerInfo> {
        self.get(name).filter(|chaincode| chaincode.runs()).map(|chaincode| self.info(chaincode))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_flags_and_how_each_is_launched() {
        let registry = Registry::new(SystemChaincode::builtin(&BTreeMap::new()), "1.4.12");
        // Is it a system chaincode's name, and who must not call it: clients, chaincodes?
        for (name, is_sys_cc, not_external, not_cc2cc) in [
            ("lscc", true, false, false),
            ("qscc", true, false, false),
            ("cscc", true, false, true),
            ("+lifecycle", true, false, false),
            ("escc", true, true, true),
            ("vscc", true, true, true),
            ("mycc", false, false, false),
        ] {
            assert_eq!(registry.is_sys_cc(name), is_sys_cc, "{name}");
            assert_eq!(registry.is_sys_cc_and_not_invokable_external(name), not_external, "{name}");
            assert_eq!(registry.is_sys_cc_and_not_invokable_cc2cc(name), not_cc2cc, "{name}");
        }
        assert_eq!(registry.container_info("lscc"), None, "it is not whitelisted");
        let whitelist = BTreeMap::from([("lscc".to_owned(), "yes".to_owned())]);
        let registry = Registry::new(SystemChaincode::builtin(&whitelist), "1.4.12");
        assert_eq!(registry.container_info("lscc").unwrap().ccid.to_string(), "lscc:1.4.12");
    }
}
