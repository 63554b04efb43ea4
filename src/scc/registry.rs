//! The system chaincodes of this peer, by name (Fabric 1.4: `scc.Provider`).
//!
//! Invariant: a chaincode that is switched off stays in the list. Its name remains a system chaincode's, so nobody can
//! install a chaincode of his own under it.

use async_trait::async_trait;
use tracing::info;

use super::SystemChaincode;
use crate::chaincode::{
    CodeSource, ContainerInfo, DefinitionError, Definitions, SystemChaincodes, chaincode_definition,
};
use crate::container::{Ccid, VmType};
use crate::ledger::SharedSimulator;

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
}

/// System chaincodes are defined here, all others in the state of lscc.
#[async_trait]
impl Definitions for Registry {
    async fn container_info(
        &self,
        name: &str,
        simulator: Option<&SharedSimulator>,
    ) -> Result<ContainerInfo, DefinitionError> {
        match (self.get(name).filter(|chaincode| chaincode.runs()), simulator) {
            (Some(chaincode), _) => Ok(self.info(chaincode)),
            (None, Some(_)) if self.get(name).is_some() => Err(DefinitionError::Other(format!(
                "chaincode {name} not found: it is a system chaincode that does not run here; `selvedge scc list` says why"
            ))),
            (None, Some(_)) => {
                let version = chaincode_definition(name, simulator)?.version;
                Err(DefinitionError::Other(format!(
                    "chaincode {name}:{version} does not run, and this version of the peer starts no chaincode of users; start it \
                     yourself, with chaincode.mode dev"
                )))
            }
            (None, None) => Err(DefinitionError::NoLedgerForInfo(name.to_owned())),
        }
    }

    async fn version(&self, name: &str, simulator: Option<&SharedSimulator>) -> Result<String, DefinitionError> {
        Ok(chaincode_definition(name, simulator)?.version)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use prost::Message;

    use super::*;
    use crate::ledger::testing::TestChannel;

    #[tokio::test]
    async fn the_version_of_a_users_chaincode_is_that_in_the_state_of_lscc() {
        let mut channel = TestChannel::new();
        // A definition whose name is "kv" and version "1", and one that ends within a field.
        channel.put("lscc", &[("kv", "\x0a\x02kv\x12\x011"), ("broken", "\x0a\x05k")]);
        let simulator = Arc::new(Mutex::new(channel.ledger.new_tx_simulator("tx").unwrap()));
        let registry = Registry::new(Vec::new(), "1.4.12");
        let definitions: &dyn Definitions = &registry;
        let version = async |name| definitions.version(name, Some(&simulator)).await.map_err(|error| error.to_string());
        assert_eq!(version("kv").await.unwrap(), "1");
        assert_eq!(version("none").await.unwrap_err(), "chaincode none not found");
        assert_eq!(version("").await.unwrap_err(), "chaincode  not found");
        assert_eq!(version("broken").await.unwrap_err(), "chaincode broken has bad definition: unexpected EOF");
        let text = "could not get definition for chaincode kv without a ledger context\n";
        assert_eq!(definitions.version("kv", None).await.unwrap_err().to_string(), text);

        let launch = definitions.container_info("kv", Some(&simulator)).await.unwrap_err().to_string();
        assert!(launch.starts_with("chaincode kv:1 does not run"), "{launch}");
        let reads = selvedge_proto::rwset::TxReadWriteSet::decode(simulator.lock().unwrap().results().unwrap().public);
        assert_eq!(reads.unwrap().ns_rwset[0].namespace, "lscc", "the reads are the transaction's");
    }

    #[tokio::test]
    async fn names_flags_and_definitions() {
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
        let disabled = registry.container_info("lscc", None).await.unwrap_err();
        let text = "could not get container info for chaincode lscc without a ledger context\n";
        assert_eq!(disabled.to_string(), text);

        let whitelist = BTreeMap::from([("lscc".to_owned(), "yes".to_owned())]);
        let registry = Registry::new(SystemChaincode::builtin(&whitelist), "1.4.12");
        assert_eq!(registry.container_info("lscc", None).await.unwrap().ccid.to_string(), "lscc:1.4.12");
    }
}
