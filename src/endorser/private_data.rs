//! Private data between simulation and endorsement (Fabric: `core/endorser/pvtrwset_assembler.go`).
//!
//! Invariant: what is handed on carries the definitions of exactly the collections that it writes to, as this simulation
//! saw them.

use std::sync::PoisonError;

use prost::Message;
use selvedge_proto::protos::CollectionConfigPackage;
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::rwset::{NsPvtReadWriteSet, TxPvtReadWriteSet};
use selvedge_proto::transientstore::TxPvtReadWriteSetWithConfigInfo;

use super::EndorserError;
use crate::ledger::SharedSimulator;
use crate::ledger::collections::{LSCC, collections_key};

/// Puts a transaction's private writes together with the collections that they go to.
pub(super) fn assemble(
    private: TxPvtReadWriteSet,
    simulator: &SharedSimulator,
) -> Result<TxPvtReadWriteSetWithConfigInfo, EndorserError> {
    let mut simulator = simulator.lock().unwrap_or_else(PoisonError::into_inner);
    let mut assembled = TxPvtReadWriteSetWithConfigInfo { endorsed_at: simulator.height()?, ..Default::default() };
    for namespace in &private.ns_pvt_rwset {
        let chaincode = &namespace.namespace;
        // The results were taken: this read is in no read set.
        let package = simulator.get_state(LSCC, &collections_key(chaincode))?;
        let package = package.ok_or_else(|| EndorserError::NoCollections(chaincode.clone()))?;
        let package = CollectionConfigPackage::decode(package)
            .map_err(|source| EndorserError::Collections { chaincode: chaincode.clone(), source })?;
        assembled.collection_configs.insert(chaincode.clone(), trimmed(package, namespace));
    }
    assembled.pvt_rwset = Some(private);
    Ok(assembled)
}

fn trimmed(mut package: CollectionConfigPackage, written: &NsPvtReadWriteSet) -> CollectionConfigPackage {
    package.config.retain(|config| match &config.payload {
        Some(Payload::StaticCollectionConfig(config)) => {
            written.collection_pvt_rwset.iter().any(|set| set.collection_name == config.name)
        }
        None => false,
    });
    package
}

#[cfg(test)]
mod tests;
