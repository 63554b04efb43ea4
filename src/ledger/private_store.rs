//! The tables of private data, and what is read from them outside a simulation (Fabric: `core/ledger/pvtdatastorage`,
//! `confighistory`).
//!
//! Values stand in a table of their own, so that no name of a chaincode, however it was forged, leads to them. Invariant:
//! what a transaction wrote to a collection is either among the sets or among the missing, until it expires.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{TableDefinition, WriteTransaction};
use selvedge_proto::rwset::{CollectionPvtReadWriteSet, NsPvtReadWriteSet, TxPvtReadWriteSet};

use super::collections::{Collections, LSCC, collections_key};
use super::{HistoryQueryExecutor, Ledger, LedgerError, private_expiry};

/// Chaincode, NUL, collection, NUL, key -> version, no metadata, value.
pub(super) const PRIVATE_STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("private_state");
/// What a transaction wrote to a collection, as a marshalled `KVRWSet`.
pub(super) const PRIVATE_SETS: TableDefinition<'_, SetKey, &[u8]> = TableDefinition::new("private_sets");
/// What should be in [`PRIVATE_SETS`] and did not come -> whether this peer's organisation was a member then.
pub(super) const MISSING_SETS: TableDefinition<'_, SetKey, bool> = TableDefinition::new("missing_private_sets");

/// Block, transaction, chaincode, collection.
pub(super) type SetKey = (u64, u64, &'static str, &'static str);

/// Makes the tables, which readers expect to be there.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), LedgerError> {
    transaction.open_table(PRIVATE_STATE)?;
    transaction.open_table(PRIVATE_SETS)?;
    transaction.open_table(MISSING_SETS)?;
    transaction.open_table(private_expiry::KEYS)?;
    transaction.open_table(private_expiry::SETS)?;
    Ok(())
}

/// The key of [`PRIVATE_STATE`].
pub(super) fn private_key(chaincode: &str, collection: &str, key: &str) -> Vec<u8> {
    [chaincode.as_bytes(), &[0], collection.as_bytes(), &[0], key.as_bytes()].concat()
}

/// The end of the range `[.., end)` of a collection; an empty `end` is the collection's end.
pub(super) fn private_range_end(chaincode: &str, collection: &str, end: &str) -> Vec<u8> {
    match end {
        "" => [chaincode.as_bytes(), &[0], collection.as_bytes(), &[1]].concat(),
        end => private_key(chaincode, collection, end),
    }
}

/// What a committed transaction wrote to a collection, and this peer has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPrivateData {
    /// Number of the block.
    pub block: u64,
    /// Index of the transaction in the block.
    pub tx: u64,
    /// The chaincode.
    pub chaincode: String,
    /// The collection.
    pub collection: String,
    /// Whether this peer's organisation was a member of the collection when the block came.
    pub eligible: bool,
}

impl Ledger {
    /// What a block's transactions wrote to collections, as far as this peer has it, by their places in the block. That of
    /// invalid ones may be among it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn private_data_of_block(&self, number: u64) -> Result<BTreeMap<u64, TxPvtReadWriteSet>, LedgerError> {
        let snapshot = self.snapshot();
        let mut transactions = BTreeMap::<u64, TxPvtReadWriteSet>::new();
        for row in snapshot.private_sets.range((number, 0, "", "")..)? {
            let (key, set) = row?;
            let (block, tx, chaincode, collection) = key.value();
            if block != number {
                break;
            }
            let namespaces = &mut transactions.entry(tx).or_default().ns_pvt_rwset;
            if namespaces.last().is_none_or(|last| last.namespace != chaincode) {
                let namespace = chaincode.to_owned();
                namespaces.push(NsPvtReadWriteSet { namespace, ..NsPvtReadWriteSet::default() });
            }
            if let Some(last) = namespaces.last_mut() {
                last.collection_pvt_rwset.push(CollectionPvtReadWriteSet {
                    collection_name: collection.to_owned(),
                    rwset: Bytes::copy_from_slice(set.value()),
                });
            }
        }
        Ok(transactions)
    }

    /// Up to `most` sets that did not come, those of the newest blocks first. Who was no member of a collection and became
    /// one since wants those too that were not for it: ask the collections as they are now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn missing_private_data(&self, most: usize) -> Result<Vec<MissingPrivateData>, LedgerError> {
        let rows = self.snapshot().missing_sets.range::<SetKey>(..)?;
        let missing = rows.rev().take(most).map(|row| {
            let (key, eligible) = row?;
            let (block, tx, chaincode, collection) = key.value();
            Ok(MissingPrivateData {
                block,
                tx,
                chaincode: chaincode.to_owned(),
                collection: collection.to_owned(),
                eligible: eligible.value(),
            })
        });
        missing.collect()
    }

    /// A chaincode's collections as they were before a block, which is how the block was committed; none if it had none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn collections_before(&self, block: u64, chaincode: &str) -> Result<Option<Collections>, LedgerError> {
        let history = HistoryQueryExecutor::new(self.snapshot());
        let written = history.last_before(LSCC, &collections_key(chaincode), block)?;
        let package = written.filter(|written| !written.is_delete).map(|written| written.value);
        package.map(|package| Collections::decode(chaincode, package)).transpose()
    }
}
