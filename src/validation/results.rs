//! What a transaction's results may touch (Fabric: `VsccValidatorImpl.VSCCValidateTx`).

use std::collections::HashSet;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::kvrwset::{HashedRwSet, KvrwSet};
use selvedge_proto::protos::TxValidationCode;
use selvedge_proto::rwset::{NsReadWriteSet, TxReadWriteSet};

use crate::chaincode::SystemChaincodes;

const LSCC: &str = "lscc";

/// Checks the marshalled read-write set of a transaction of `chaincode`, whose names agree or not.
pub(super) fn check_results(
    chaincode: Option<&str>,
    results: &Bytes,
    system_chaincodes: &dyn SystemChaincodes,
) -> Result<(), TxValidationCode> {
    let set = TxReadWriteSet::decode_as_go(results.clone()).or(Err(TxValidationCode::BadRwset))?;
    let written = set
        .ns_rwset
        .iter()
        .map(|namespace| Ok((namespace.namespace.as_str(), writes(namespace)?)))
        .collect::<Result<Vec<_>, prost::DecodeError>>()
        .or(Err(TxValidationCode::BadRwset))?;
    let chaincode = chaincode.ok_or(TxValidationCode::InvalidOtherReason)?;

    let mut seen = HashSet::new();
    let is_repeated = written.iter().any(|&(namespace, _)| !seen.insert(namespace));
    let is_closed = |name: &str| system_chaincodes.is_sys_cc_and_not_invokable_external(name);
    let is_foreign = |&(namespace, writes): &(&str, bool)| {
        writes && ((namespace == LSCC && chaincode != LSCC) || is_closed(namespace))
    };
    if is_repeated || is_closed(chaincode) || written.iter().any(is_foreign) {
        return Err(TxValidationCode::IllegalWriteset);
    }
    Ok(())
}

/// Whether anything in the namespace is changed, hashed values and metadata included.
fn writes(namespace: &NsReadWriteSet) -> Result<bool, prost::DecodeError> {
    let public = KvrwSet::decode_as_go(namespace.rwset.clone())?;
    let mut writes = !public.writes.is_empty() || !public.metadata_writes.is_empty();
    for collection in &namespace.collection_hashed_rwset {
        let hashed = HashedRwSet::decode_as_go(collection.hashed_rwset.clone())?;
        writes |= !hashed.hashed_writes.is_empty() || !hashed.metadata_writes.is_empty();
    }
    Ok(writes)
}
