//! Which of Fabric's state databases this node's ledgers stand for (Fabric: `ledger.state.stateDatabase`), and the
//! indexes that come with CouchDB.
//!
//! The state itself is the same: what differs is which writes are taken, the form in which JSON is read, and whether
//! rich queries are answered. So a data directory may be opened as either. Invariant: indexes are those of the state
//! they are read with; where the state moved on without them, they are made anew before the first query.

use std::sync::{Arc, PoisonError};

use redb::ReadableTable;
use selvedge_proto::Message;
use selvedge_proto::protos::ChaincodeData;

use super::collections::{Collections, LSCC, collections_key};
use super::guard::{GuardedWrite, guarded};
use super::rich_query::deployed;
use super::rich_query::keep::{self, IndexWriter};
use super::rich_query::space::IndexedSpace;
use super::rich_query::store::Definitions;
use super::rich_query::{DeployedIndexes, PackagedIndex};
use super::state::{StateRow, public_key, public_range_end};
use super::store::{STATE, Snapshot};
use super::updates::{Update, UpdateBatch};
use super::{Ledger, LedgerError, LedgerProvider};

/// Which of Fabric's databases a ledger stands for (`ledger.state.stateDatabase`).
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
    /// Has all ledgers, those of later channels too, stand for CouchDB. Once, and before any block is committed.
    /// Indexes of what is deployed are taken from the installed packages; this may take as long as reading the state. A
    /// channel whose database fails is halted.
    ///
    /// # Errors
    /// None now.
    pub fn use_couchdb(&self, packages: Arc<dyn DeployedIndexes>) -> Result<(), LedgerError> {
        let couchdb = self.couchdb.get_or_init(|| CouchDb { packages });
        let ledgers: Vec<_> = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        ledgers.iter().try_for_each(|ledger| match ledger.use_couchdb(couchdb) {
            // It is halted, and the others are served.
            Err(fault) if fault.is_fault() => Ok(()),
            outcome => outcome,
        })
    }
}

impl LedgerProvider {
    /// Gives a chaincode that was just installed its indexes, on the channels that have instantiated this very package and
    /// stand for CouchDB (Fabric: `cceventmgmt.HandleChaincodeInstall`). A channel that fails is left to its next start.
    pub fn define_installed(&self, chaincode: &str, version: &str, id: &[u8], indexes: &[PackagedIndex]) {
        for ledger in self.channels().into_iter().filter_map(|channel| self.get(&channel)) {
            let defined = ledger.define_installed(chaincode, version, id, indexes);
            if let Err(error) = defined {
                let channel = ledger.channel_id();
                tracing::error!("[{channel}] chaincode {chaincode}:{version} has no indexes: {error}");
            }
        }
    }
}

impl Ledger {
    fn define_installed(
        &self,
        chaincode: &str,
        version: &str,
        id: &[u8],
        indexes: &[PackagedIndex],
    ) -> Result<(), LedgerError> {
        if self.state_database() != StateDatabase::CouchDb {
            return Ok(());
        }
        let entry = self.new_query_executor().get_state(LSCC, chaincode)?.unwrap_or_default();
        let deployed = ChaincodeData::decode(entry).unwrap_or_default();
        if deployed.name == chaincode && deployed.version == version && deployed.id == id {
            self.define_indexes(chaincode, indexes)?;
        }
        Ok(())
    }

    /// Which database the ledger stands for.
    pub fn state_database(&self) -> StateDatabase {
        match self.couchdb.get() {
            Some(_) => StateDatabase::CouchDb,
            None => StateDatabase::GoLevelDb,
        }
    }

    /// The names of all indexes: chaincode, collection if it is of one, design document and name.
    pub fn indexes(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        let named = snapshot
            .indexes
            .definitions()
            .iter()
            .flat_map(|(space, indexes)| indexes.iter().map(move |index| format!("{space}/{}", index.full_name())));
        named.collect()
    }

    /// Gives a chaincode these indexes in place of those it has. Returns when they are durable, and whether anything
    /// changed. What is no definition is left out, and the log says so. Without effect on the answers to queries.
    ///
    /// # Errors
    /// When the database fails.
    pub fn define_indexes(&self, chaincode: &str, indexes: &[PackagedIndex]) -> Result<bool, LedgerError> {
        // Nobody commits meanwhile.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = self.halted() {
            return Err(LedgerError::Halted { channel: self.channel.clone(), reason: reason.to_owned() });
        }
        let height = self.snapshot().tip.height;
        self.change_indexes(|transaction| define(transaction, &self.channel, chaincode, indexes, height))
    }

    pub(super) fn use_couchdb(&self, couchdb: &CouchDb) -> Result<(), LedgerError> {
        self.couchdb.get_or_init(|| couchdb.clone());
        let snapshot = self.snapshot();
        let (channel, height) = (&self.channel, snapshot.tip.height);
        self.change_indexes(|transaction| {
            let mut changed = keep::catch_up(transaction, channel, snapshot.indexes.definitions(), height)?;
            for (chaincode, version) in deployments(transaction)? {
                let files = couchdb.packages.index_files(&chaincode, &version);
                if let Some(files) = files {
                    changed |= define(transaction, channel, &chaincode, &files, height)?;
                }
            }
            Ok(changed)
        })?;
        Ok(())
    }

    /// Commits what `change` does, if it says that it did something. A failure of the database halts the channel.
    fn change_indexes(
        &self,
        change: impl FnOnce(&GuardedWrite) -> Result<bool, LedgerError>,
    ) -> Result<bool, LedgerError> {
        let changed = guarded(|| {
            let mut transaction = GuardedWrite::begin(&self.database)?;
            // As after a block, reopening after a crash must not walk the whole database.
            transaction.set_quick_repair(true);
            let changed = change(&transaction)?;
            if changed {
                transaction.commit()?;
                self.set_snapshot(Snapshot::open(&self.database)?);
            }
            Ok(changed)
        });
        if let Err(fault) = &changed
            && fault.is_fault()
        {
            self.halt(fault.to_string());
        }
        changed
    }
}

/// What a commit does for indexes; nothing in a ledger that stands for goleveldb.
#[derive(Default)]
pub(super) struct Indexing<'a> {
    couchdb: Option<(&'a CouchDb, &'a str)>,
    definitions: Definitions,
}

impl Ledger {
    /// Of the block after `snapshot`.
    pub(super) fn indexing<'a>(&'a self, snapshot: &Snapshot) -> Indexing<'a> {
        match self.couchdb.get() {
            Some(couchdb) => Indexing {
                couchdb: Some((couchdb, &self.channel)),
                definitions: snapshot.indexes.definitions().clone(),
            },
            None => Indexing::default(),
        }
    }
}

impl Indexing<'_> {
    pub(super) fn open<'t>(&'t self, transaction: &'t GuardedWrite) -> Result<IndexWriter<'t>, LedgerError> {
        IndexWriter::open(transaction, &self.definitions)
    }

    /// Defines the indexes of what a block deploys, in the block's own transaction.
    pub(super) fn define_deployed(
        &self,
        transaction: &GuardedWrite,
        updates: &UpdateBatch,
        height: u64,
    ) -> Result<(), LedgerError> {
        let Some((couchdb, channel)) = self.couchdb else { return Ok(()) };
        for (key, update) in updates.range(LSCC, b"", b"") {
            let Update::Put(value) = update else { continue };
            let Ok(key) = std::str::from_utf8(key) else { continue };
            let Some((chaincode, version)) = deployed::definition(key, &value.value) else { continue };
            match couchdb.packages.index_files(&chaincode, &version) {
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
fn deployments(transaction: &GuardedWrite) -> Result<Vec<(String, String)>, LedgerError> {
    let state = transaction.open_table(STATE)?;
    let (from, to) = (public_key(LSCC, b""), public_range_end(LSCC, ""));
    let mut found = Vec::new();
    for entry in state.range::<&[u8]>(from.as_slice()..to.as_slice())? {
        let (key, value) = entry?;
        let key = key.value().get(from.len()..).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        found.extend(deployed::definition(key, StateRow::decode(value.value())?.value));
    }
    Ok(found)
}

fn define(
    transaction: &GuardedWrite,
    channel: &str,
    chaincode: &str,
    indexes: &[PackagedIndex],
    height: u64,
) -> Result<bool, LedgerError> {
    let collections = collections(transaction, chaincode)?;
    let before = keep::indexed_collections(transaction, chaincode)?;
    let mut changed = false;
    for (collection, files) in deployed::by_collection(indexes, &before) {
        let space = match collection {
            None => IndexedSpace::public(chaincode),
            Some(collection) if collections.get(collection).is_some() => IndexedSpace::private(chaincode, collection),
            Some(collection) => {
                tracing::error!(
                    "[{channel}] Error processing index for chaincode [{chaincode}]: cannot create an index for an undefined \
                     collection=[{collection}]"
                );
                continue;
            }
        };
        changed |= keep::define(transaction, channel, &space, &files, height)?;
    }
    Ok(changed)
}

/// A chaincode's collections, as the transaction sees them.
fn collections(transaction: &GuardedWrite, chaincode: &str) -> Result<Collections, LedgerError> {
    let state = transaction.open_table(STATE)?;
    let Some(row) = state.get(public_key(LSCC, collections_key(chaincode).as_bytes()).as_slice())? else {
        return Ok(Collections::default());
    };
    let package = StateRow::decode(row.value())?.to_value().value;
    Ok(Collections::decode(chaincode, package).unwrap_or_else(|error| {
        tracing::error!(%error, "its collections get no indexes");
        Collections::default()
    }))
}

#[cfg(test)]
mod tests;
