//! The definition of an instantiated chaincode, as lscc keeps it (Fabric 1.4: `LifeCycleSysCC.ChaincodeDefinition`).
//!
//! Invariant: it is read through the transaction's simulator, because Fabric's read sets hold that read and endorsers are
//! compared byte for byte.

use std::sync::PoisonError;

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeData;

use super::DefinitionError;
use crate::decode::decode;
use crate::ledger::SharedSimulator;

/// Where the definitions of instantiated chaincodes stand.
const LSCC: &str = "lscc";

/// The definition of a chaincode of users.
///
/// # Errors
/// [`DefinitionError`], with Fabric's text: outside any channel, or when the chaincode is not instantiated on this one.
pub(crate) fn chaincode_definition(
    name: &str,
    simulator: Option<&SharedSimulator>,
) -> Result<ChaincodeData, DefinitionError> {
    let simulator = simulator.ok_or_else(|| DefinitionError::NoLedgerForDefinition(name.to_owned()))?;
    decode("ChaincodeData", &definition_entry(name, simulator)?)
        .map_err(|error| DefinitionError::Other(format!("chaincode {name} has bad definition: {}", error.cause)))
}

/// The entry that defines a chaincode, as it stands in lscc's state.
pub(super) fn definition_entry(name: &str, simulator: &SharedSimulator) -> Result<Bytes, DefinitionError> {
    let not_found = || DefinitionError::NotFound(name.to_owned());
    if name.is_empty() {
        return Err(not_found());
    }
    let entry = simulator.lock().unwrap_or_else(PoisonError::into_inner).get_state(LSCC, name);
    let entry = entry
        .map_err(|error| DefinitionError::Other(format!("could not retrieve state for chaincode {name}: {error}")))?;
    entry.ok_or_else(not_found)
}
