//! Private data between its endorsement and the commit of its transaction (Fabric: `core/transientstore`).
//!
//! A database of its own, so that no endorsement waits for a commit. Endorsements that come while the disk is at work are
//! written together. What is stored twice is kept once, at the later height.
//!
//! Invariant: what [`TransientStore::persist`] has returned for is on the disk. A purge may be lost in a crash: what it
//! leaves goes by its height.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use selvedge_proto::transientstore::TxPvtReadWriteSetWithConfigInfo;
use sha2::{Digest, Sha256};

use super::LedgerError;
use super::guard::{GuardedDatabase, GuardedWrite, guarded};
use super::provider::make_dir;

/// Channel, transaction id, hash of the private set.
type SetKey = (&'static str, &'static str, &'static [u8]);
/// -> height, marshalled `TxPvtReadWriteSetWithConfigInfo`.
const SETS: TableDefinition<'_, SetKey, (u64, &[u8])> = TableDefinition::new("sets");
/// Channel, height, transaction id, hash of the private set.
const BY_HEIGHT: TableDefinition<'_, (&str, u64, &str, &[u8]), ()> = TableDefinition::new("by_height");

const FILE: &str = "transient.redb";
/// Page cache. What is endorsed is committed soon, so little of it is ever read from the disk.
const CACHE_BYTES: usize = 16 << 20;

/// The transient store of all channels of a node.
pub struct TransientStore {
    database: GuardedDatabase,
    /// Its file, for who has to be told of damage.
    path: PathBuf,
    /// Sets that wait for whoever writes next.
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever writes.
    writing: Mutex<()>,
}

struct Waiting {
    set: Set,
    outcome: Arc<Mutex<Outcome>>,
}

#[derive(Clone)]
struct Set {
    channel: String,
    txid: String,
    hash: [u8; 32],
    height: u64,
    bytes: Bytes,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Outcome {
    #[default]
    Waiting,
    Durable,
    Failed,
}

impl TransientStore {
    /// Opens the store in a directory; makes it where it does not exist.
    ///
    /// # Errors
    /// When the directory or the database fails.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let made = make_dir(dir);
        made.map_err(|source| LedgerError::Io { action: "make the directory", path: dir.to_owned(), source })?;
        let path = dir.join(FILE);
        let open = || {
            // What is private is for the node's user alone.
            let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(|source| LedgerError::Io { action: "open", path: path.clone(), source })?;
            Self::over(Database::builder().set_cache_size(CACHE_BYTES).create_file(file)?, &path)
        };
        guarded(open).map_err(|error| of_the_store(&path, error.of_opening(&path)))
    }

    fn over(database: Database, path: &Path) -> Result<Self, LedgerError> {
        let database = GuardedDatabase::new(database);
        let transaction = GuardedWrite::begin(&database)?;
        transaction.open_table(SETS)?;
        transaction.open_table(BY_HEIGHT)?;
        transaction.commit()?;
        Ok(Self { database, path: path.to_owned(), waiting: Mutex::default(), writing: Mutex::default() })
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let database = Database::builder().create_with_backend(redb::backends::InMemoryBackend::new());
        Self::over(database.unwrap(), Path::new("in memory")).unwrap()
    }

    /// Keeps what a transaction wrote to collections, endorsed when the channel was `height` blocks long. Blocks the thread
    /// until the disk has it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn persist(
        &self,
        channel: &str,
        txid: &str,
        height: u64,
        private: &TxPvtReadWriteSetWithConfigInfo,
    ) -> Result<(), LedgerError> {
        let hash = Sha256::digest(private.pvt_rwset.clone().unwrap_or_default().encode_to_vec()).into();
        let bytes = private.encode_to_vec().into();
        let set = Set { channel: channel.to_owned(), txid: txid.to_owned(), hash, height, bytes };
        let outcome = Arc::new(Mutex::new(Outcome::Waiting));
        lock(&self.waiting).push(Waiting { set: set.clone(), outcome: Arc::clone(&outcome) });

        let writing = lock(&self.writing);
        let mine = *lock(&outcome);
        match mine {
            Outcome::Durable => return Ok(()),
            // Others' sets are in that batch too: this one alone says what is wrong with it.
            Outcome::Failed => return self.guarded(|| self.write(&[&set])),
            Outcome::Waiting => {}
        }
        let batch = std::mem::take(&mut *lock(&self.waiting));
        let sets: Vec<_> = batch.iter().map(|waiting| &waiting.set).collect();
        let written = self.guarded(|| self.write(&sets));
        for waiting in &batch {
            *lock(&waiting.outcome) = if written.is_ok() { Outcome::Durable } else { Outcome::Failed };
        }
        drop(writing);
        written
    }

    /// What is kept of a transaction: one for each endorsement that came to something else.
    ///
    /// # Errors
    /// When the database fails, or a set does not decode.
    pub fn private_data(&self, channel: &str, txid: &str) -> Result<Vec<TxPvtReadWriteSetWithConfigInfo>, LedgerError> {
        let mut found = Vec::new();
        self.visit(channel, txid, |set| {
            found.push(set);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// A damaged store is told from a damaged ledger.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        guarded(work).map_err(|error| of_the_store(&self.path, error))
    }

    /// The same, one after the other until `visit` has enough. Nobody limits how often a client has one transaction
    /// endorsed, so a commit must not hold them all.
    ///
    /// # Errors
    /// As [`Self::private_data`].
    pub(super) fn visit(
        &self,
        channel: &str,
        txid: &str,
        visit: impl FnMut(TxPvtReadWriteSetWithConfigInfo) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        self.guarded(|| self.find(channel, txid, visit))
    }

    fn find(
        &self,
        channel: &str,
        txid: &str,
        mut visit: impl FnMut(TxPvtReadWriteSetWithConfigInfo) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        let sets = self.database.begin_read()?.open_table(SETS)?;
        for row in sets.range((channel, txid, &[][..])..)? {
            let (key, value) = row?;
            let (of_channel, of_txid, _) = key.value();
            if (of_channel, of_txid) != (channel, txid) {
                break;
            }
            let set = TxPvtReadWriteSetWithConfigInfo::decode(Bytes::copy_from_slice(value.value().1));
            let damaged = |_| LedgerError::Corrupted(format!("the private data of transaction {txid} does not decode"));
            if visit(set.map_err(damaged)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Lets go of what is kept of these transactions.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge_by_txids<'a>(
        &self,
        channel: &str,
        txids: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), LedgerError> {
        self.guarded(|| {
            let sets = self.database.begin_read()?.open_table(SETS)?;
            let mut gone = Vec::new();
            for txid in txids {
                for row in sets.range((channel, txid.as_str(), &[][..])..=(channel, txid.as_str(), &[0xff; 33][..]))? {
                    let (key, value) = row?;
                    gone.push((txid.clone(), key.value().2.to_vec(), value.value().0));
                }
            }
            self.purge(channel, &gone)
        })
    }

    /// Lets go of what was endorsed below a height.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge_by_height(&self, channel: &str, height: u64) -> Result<(), LedgerError> {
        self.guarded(|| {
            let by_height = self.database.begin_read()?.open_table(BY_HEIGHT)?;
            let mut gone = Vec::new();
            for row in by_height.range((channel, 0, "", &[][..])..(channel, height, "", &[][..]))? {
                let (key, ()) = (row?.0, ());
                let (_, height, txid, hash) = key.value();
                gone.push((txid.to_owned(), hash.to_vec(), height));
            }
            self.purge(channel, &gone)
        })
    }

    /// The lowest height of what is kept of a channel; none where nothing is.
    #[cfg(test)]
    pub(super) fn lowest_height(&self, channel: &str) -> Result<Option<u64>, LedgerError> {
        let by_height = self.database.begin_read()?.open_table(BY_HEIGHT)?;
        let mut of_channel = by_height.range((channel, 0, "", &[][..])..)?;
        let lowest = of_channel.next().transpose()?.map(|(key, _)| (key.value().0 == channel, key.value().1));
        Ok(lowest.filter(|(same, _)| *same).map(|(_, height)| height))
    }

    fn write(&self, batch: &[&Set]) -> Result<(), LedgerError> {
        let transaction = GuardedWrite::begin(&self.database)?;
        {
            let mut sets = transaction.open_table(SETS)?;
            let mut by_height = transaction.open_table(BY_HEIGHT)?;
            for Set { channel, txid, hash, height, bytes } in batch.iter().copied() {
                let (channel, txid) = (channel.as_str(), txid.as_str());
                let before = sets.get((channel, txid, &hash[..]))?.map(|kept| kept.value().0);
                if before.is_some_and(|before| before >= *height) {
                    continue;
                }
                if let Some(before) = before {
                    by_height.remove((channel, before, txid, &hash[..]))?;
                }
                sets.insert((channel, txid, &hash[..]), (*height, &bytes[..]))?;
                by_height.insert((channel, *height, txid, &hash[..]), ())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Without waiting for the disk: the next set that is kept takes the purge along. What was endorsed again meanwhile,
    /// at another height, stays.
    fn purge(&self, channel: &str, gone: &[(String, Vec<u8>, u64)]) -> Result<(), LedgerError> {
        if gone.is_empty() {
            return Ok(());
        }
        let _writing = lock(&self.writing);
        let mut transaction = GuardedWrite::begin(&self.database)?;
        transaction.set_durability(Durability::None)?;
        {
            let mut sets = transaction.open_table(SETS)?;
            let mut by_height = transaction.open_table(BY_HEIGHT)?;
            for (txid, hash, height) in gone {
                if by_height.remove((channel, *height, txid.as_str(), hash.as_slice()))?.is_some() {
                    sets.remove((channel, txid.as_str(), hash.as_slice()))?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Damage of this file is told from damage of a ledger: what there is to do costs much less.
fn of_the_store(path: &Path, error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Corrupted(damage) => LedgerError::TransientStore { path: path.to_owned(), damage },
        other => other,
    }
}

/// Nobody panics while holding one of these in the middle of a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for TransientStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TransientStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
