//! The end of private data's life (Fabric: `pvtstatepurgemgmt`, and the purge of `pvtdatastorage`).
//!
//! What block `n` writes into a collection with a `block_to_live` of `b` goes with the commit of block `n + b + 1`: value,
//! hash and the kept set. No transaction does it, so there is no version and nothing in the commit hash. It is scheduled
//! when it is written: a later change of the collection does not change its time.
//!
//! Invariant: every peer's hashes end with the same block, members' or not, because later transactions read them.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, TableDefinition};

use super::LedgerError;
use super::collections::expiring_block;
use super::guard::GuardedWrite;
use super::private_commit::CollectionsBefore;
use super::private_store::{MISSING_SETS, PRIVATE_SETS, PRIVATE_STATE};
use super::rich_query::keep::IndexWriter;
use super::rich_query::space::Part;
use super::state::{Space, StateRow};
use super::updates::{Update, UpdateBatch};

/// The end of a hash -> key of its value in the private state, empty if not known.
pub(super) const KEYS: TableDefinition<'_, KeyEnd, &[u8]> = TableDefinition::new("private_key_expiry");
/// Expiring block, and the key of a set that is kept or missing.
pub(super) const SETS: TableDefinition<'_, SetEnd, ()> = TableDefinition::new("private_set_expiry");

/// Expiring block, committing block, key of the state table.
pub(super) type KeyEnd = (u64, u64, &'static [u8]);
/// Expiring block, committing block, transaction, chaincode, collection.
pub(super) type SetEnd = (u64, u64, u64, &'static str, &'static str);

/// The state table of a commit.
pub(super) type StateTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// Plans the end of the hashes that a block writes, and of their values where the plain keys are known.
pub(super) fn schedule_keys(
    transaction: &GuardedWrite,
    number: u64,
    updates: &UpdateBatch,
    collections: &CollectionsBefore,
    plain_keys: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), LedgerError> {
    if updates.hashed().next().is_none() {
        return Ok(());
    }
    let mut keys = transaction.open_table(KEYS)?;
    for (namespace, collection, hash, update) in updates.hashed() {
        let ends = collections.get(namespace, collection).and_then(|config| expiring_block(config, number));
        let (Some(end), Update::Put(_)) = (ends, update) else { continue };
        let hash = Space { namespace, collection }.table_key(hash);
        let plain = plain_keys.get(&hash).map_or(&[][..], |plain| plain);
        keys.insert((end, number, hash.as_slice()), plain)?;
    }
    Ok(())
}

/// Plans the end of a set that a block brings, or lacks.
pub(super) fn schedule_sets<'a>(
    transaction: &GuardedWrite,
    number: u64,
    sets: impl Iterator<Item = &'a (u64, String, String)>,
    collections: &CollectionsBefore,
) -> Result<(), LedgerError> {
    let mut schedule = transaction.open_table(SETS)?;
    for (tx, chaincode, collection) in sets {
        let config = collections.get(chaincode, collection);
        if let Some(end) = config.and_then(|config| expiring_block(config, number)) {
            schedule.insert((end, number, *tx, chaincode.as_str(), collection.as_str()), ())?;
        }
    }
    Ok(())
}

/// Ends what is to end with block `number`, whose own writes are in `state` already: what the block wrote anew stays.
pub(super) fn expire(
    transaction: &GuardedWrite,
    number: u64,
    state: &mut StateTable<'_>,
    indexed: &mut IndexWriter<'_>,
) -> Result<(), LedgerError> {
    expire_keys(transaction, number, state, indexed)?;
    let mut schedule = transaction.open_table(SETS)?;
    if schedule.first()?.is_none_or(|(end, _)| end.value().0 > number) {
        return Ok(());
    }
    let mut kept = transaction.open_table(PRIVATE_SETS)?;
    let mut missing = transaction.open_table(MISSING_SETS)?;
    for row in schedule.extract_from_if(..(number + 1, 0, 0, "", ""), |_, ()| true)? {
        let (key, ()) = (row?.0, ());
        let (_, block, tx, chaincode, collection) = key.value();
        kept.remove((block, tx, chaincode, collection))?;
        missing.remove((block, tx, chaincode, collection))?;
    }
    Ok(())
}

/// The same for hashes and values alone.
pub(super) fn expire_keys(
    transaction: &GuardedWrite,
    number: u64,
    state: &mut StateTable<'_>,
    indexed: &mut IndexWriter<'_>,
) -> Result<(), LedgerError> {
    let mut schedule = transaction.open_table(KEYS)?;
    if schedule.first()?.is_none_or(|(end, _)| end.value().0 > number) {
        return Ok(());
    }
    let mut values = transaction.open_table(PRIVATE_STATE)?;
    for row in schedule.extract_from_if(..(number + 1, 0, &[][..]), |_, _| true)? {
        let (key, plain) = row?;
        let (_, committed, hash) = key.value();
        let is_of = |table: &StateTable<'_>, key: &[u8]| match table.get(key)? {
            Some(row) => Ok::<_, LedgerError>(StateRow::decode(row.value())?.version.block == committed),
            None => Ok(false),
        };
        let newest = is_of(state, hash)?;
        if newest {
            state.remove(hash)?;
        }
        // A value that never came anew is still that of the block whose time is over.
        let plain = plain.value();
        if !plain.is_empty() && (newest || is_of(&values, plain)?) {
            let old = values.remove(plain)?;
            indexed.update(Part::Private, plain, old.as_ref().map(|old| old.value()), None)?;
        }
    }
    Ok(())
}
