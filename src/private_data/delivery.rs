//! The private data that goes to a client with a block (Fabric 2.5: `core/peer/deliverevents.go`, `collPolicyChecker`).
//!
//! As in Fabric, who may read the channel's blocks gets the data of every collection that does not say
//! `member_only_read`. Invariant: what a collection's rules cannot be found for, nobody gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_proto::common::Envelope;
use selvedge_proto::protos::StaticCollectionConfig;
use selvedge_proto::rwset::TxPvtReadWriteSet;

use super::AccessPolicy;
use crate::channel::{Bundle, Channels};
use crate::decode::envelope_creator;
use crate::ledger::{Ledger, LedgerError};
use crate::ordering::PrivateDataAccess;

/// Reads private data for whoever asks for it.
pub struct PrivateDataDelivery {
    channels: Arc<Channels>,
}

impl PrivateDataDelivery {
    /// Finds members in the configurations of these channels.
    pub fn new(channels: Arc<Channels>) -> Self {
        Self { channels }
    }
}

impl PrivateDataAccess for PrivateDataDelivery {
    fn readable(
        &self,
        ledger: &Ledger,
        block: u64,
        request: &Envelope,
    ) -> Result<BTreeMap<u64, TxPvtReadWriteSet>, LedgerError> {
        let mut private = ledger.private_data_of_block(block)?;
        if private.is_empty() {
            return Ok(private);
        }
        let bundle = self.channels.get(ledger.channel_id());
        let mut known = BTreeMap::new();
        for transaction in private.values_mut() {
            for namespace in &mut transaction.ns_pvt_rwset {
                let chaincode = namespace.namespace.as_str();
                if !known.contains_key(chaincode) {
                    let collections = ledger.collections_before(block, chaincode)?.unwrap_or_default();
                    known.insert(chaincode.to_owned(), collections);
                }
                let collections = &known[chaincode];
                namespace.collection_pvt_rwset.retain(|set| {
                    let config = collections.get(&set.collection_name);
                    config.is_some_and(|config| may_read(config, bundle.as_deref(), request))
                });
            }
            transaction.ns_pvt_rwset.retain(|namespace| !namespace.collection_pvt_rwset.is_empty());
        }
        private.retain(|_, transaction| !transaction.ns_pvt_rwset.is_empty());
        Ok(private)
    }
}

/// The signature of `request` was verified with the right to read blocks.
fn may_read(collection: &StaticCollectionConfig, bundle: Option<&Bundle>, request: &Envelope) -> bool {
    if !collection.member_only_read {
        return true;
    }
    let Some(msps) = bundle.map(Bundle::msps) else { return false };
    let creator = envelope_creator(request).ok().and_then(|creator| msps.deserialize(&creator).ok());
    match (creator, AccessPolicy::new(collection, msps)) {
        (Some(creator), Ok(policy)) => policy.is_member(&creator),
        _ => false,
    }
}
