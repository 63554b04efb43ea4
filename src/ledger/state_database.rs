//! Which of Fabric's state databases this node's ledgers stand for (Fabric: `ledger.state.stateDatabase`), and the indexes
//! that come with CouchDB.
//!
//! The state itself is the same: what differs is which writes are taken, the form in which JSON is read, and whether rich
//! queries are answered. So a data directory may be opened as either. Invariant: indexes are those of the state they are
//! read with; where the state moved on without them, they are made anew before the first query.

use std::sync::{Arc, PoisonError};

use redb::ReadableTable;

use super::rich_query::deployed::{self, LSCC};
use super::rich_query::store::{self, IndexSnapshot};
use super::rich_query::{DeployedIndexes, PackagedIndex};
use super::state::{Space, StateRow, public_range_end};
use super::store::{STATE, Snapshot};
use super::updates::{Update, UpdateBatch};
use super::{Ledger, LedgerError, LedgerProvider};

/// `ledger.state.stateDatabase`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateDatabase {
    /// Fabric's default: any key and value, no rich queries.
    #[default]
    GoLevelDb,
    /// Rich queries; CouchDB's rules for keys and values.
    CouchDb,
}

/// What a ledger that stands for CouchDB needs.
#[derive(Clone)]
pub(super) struct CouchDb {
    packages: Arc<dyn DeployedIndexes>,
}

impl std::fmt::Debug for CouchDb {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CouchDb").finish_non_exhaustive()
    }
}

impl LedgerProvider {
    /// Has all ledgers, those of later channels too, stand for CouchDB. Once, and before any block is committed. Indexes of
    /// what is deployed are taken from the installed packages; this may take as long as reading the state.
    ///
    /// # Errors
    /// When a database fails.
    pub fn use_couchdb(&self, packages: Arc<dyn DeployedIndexes>) -> Result<(), LedgerError> {
        let couchdb = self.couchdb.get_or_init(|| CouchDb { packages });
        let ledgers: Vec<_> = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        ledgers.iter().try_for_each(|ledger| ledger.use_couchdb(couchdb))
    }
}

impl Ledger {
    /// Which database the ledger stands for.
    pub fn state_database(&self) -> StateDatabase {
        match self.couchdb.get() {
            Some(_) => StateDatabase::CouchDb,
            None => StateDatabase::GoLevelDb,
        }
    }

    /// The names of all indexes: chaincode, design document and name.
    pub fn indexes(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        let named = snapshot.indexes.definitions().iter().flat_map(|(space, indexes)| {
            let space = String::from_utf8_lossy(space).trim_end_matches('\0').to_owned();
            indexes.iter().map(move |index| format!("{space}/{}", index.full_name()))
        });
        named.collect()
    }

    /// Gives a chaincode these indexes in place of those it has. Returns when they are durable, and whether anything changed.
    /// What is no definition is left out, and the log says so. Without effect on the answers to queries.
    ///
    /// # Errors
    /// When the database fails.
    pub fn define_indexes(&self, chaincode: &str, indexes: &[PackagedIndex]) -> Result<bool, LedgerError> {
        // Nobody commits meanwhile.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.database.begin_write()?;
        let height = self.snapshot().tip.height;
        let changed = define(&transaction, &self.channel, chaincode, indexes, height)?;
        if changed {
            transaction.commit()?;
            self.set_snapshot(Snapshot::open(&self.database)?);
        }
        Ok(changed)
    }

    pub(super) fn use_couchdb(&self, couchdb: &CouchDb) -> Result<(), LedgerError> {
        self.couchdb.get_or_init(|| couchdb.clone());
        let snapshot = self.snapshot();
        let (channel, height) = (&self.channel, snapshot.tip.height);
        let transaction = self.database.begin_write()?;
        let mut changed = store::catch_up(&transaction, channel, snapshot.indexes.definitions(), height)?;
        for (chaincode, version) in deployments(&transaction)? {
            let files = couchdb.packages.index_files(&chaincode, &version);
            if let Some(files) = files {
                changed |= define(&transaction, channel, &chaincode, &files, height)?;
            }
        }
        if changed {
            transaction.commit()?;
            self.set_snapshot(Snapshot::open(&self.database)?);
        }
        Ok(())
    }
}

impl CouchDb {
    /// Defines the indexes of what a block deploys, in the block's own transaction.
    pub(super) fn define_deployed(
        &self,
        transaction: &redb::WriteTransaction,
        channel: &str,
        updates: &UpdateBatch,
        height: u64,
    ) -> Result<(), LedgerError> {
        for (key, update) in updates.range(LSCC, b"", std::ops::Bound::Unbounded) {
            let Update::Put(value) = update else { continue };
            let Ok(key) = std::str::from_utf8(key) else { continue };
            let Some((chaincode, version)) = deployed::definition(key, &value.value) else { continue };
            match self.packages.index_files(&chaincode, &version) {
                Some(files) => drop(define(transaction, channel, &chaincode, &files, height)?),
                None => tracing::info!(
                    "Channel [{channel}]: Chaincode [{chaincode}:{version}] is not installed hence no indexes are made for it"
                ),
            }
        }
        Ok(())
    }
}

/// The definitions in lscc's namespace: names and versions.
fn deployments(transaction: &redb::WriteTransaction) -> Result<Vec<(String, String)>, LedgerError> {
    let state = transaction.open_table(STATE)?;
    let (from, to) = (Space::public(LSCC).table_key(b""), public_range_end(LSCC, ""));
    let mut found = Vec::new();
    for entry in state.range::<&[u8]>(from.as_slice()..to.as_slice())? {
        let (key, value) = entry?;
        let key = key.value().get(from.len()..).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        found.extend(deployed::definition(key, StateRow::decode(value.value())?.value));
    }
    Ok(found)
}

fn define(
    transaction: &redb::WriteTransaction,
    channel: &str,
    chaincode: &str,
    indexes: &[PackagedIndex],
    height: u64,
) -> Result<bool, LedgerError> {
    let mut changed = false;
    for (collection, files) in deployed::by_collection(indexes) {
        match collection {
            None => {
                let space = Space::public(chaincode).table_key(b"");
                changed |= store::define(transaction, channel, &space, &files, height)?;
            }
            Some(collection) => tracing::warn!(
                "[{channel}] no indexes are made for collection {collection} of chaincode {chaincode}: its queries are answered \
                 without"
            ),
        }
    }
    Ok(changed)
}

/// The definitions of a snapshot, as far as the ledger keeps their rows.
pub(super) fn indexes(couchdb: Option<&CouchDb>, indexes: &IndexSnapshot) -> store::Definitions {
    couchdb.map(|_| indexes.definitions().clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
