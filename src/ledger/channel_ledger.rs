//! A channel's ledger: opening it, and everything that is read from it (Fabric: `kvledger.kvLedger`, `blkstorage`).
//!
//! Committing is in `commit.rs`. Invariant: readers take the snapshot of the last finished commit and hold no lock while
//! they read, so nobody waits for a commit and no commit waits for a reader.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use prost::Message;
use redb::Database;
use selvedge_proto::common::{Block, BlockchainInfo, Envelope};
use selvedge_proto::protos::ProcessedTransaction;
use tokio::sync::watch;

use super::guard::{GuardedDatabase, guarded};
use super::state_database::CouchDb;
use super::store::Snapshot;
use super::{HistoryQueryExecutor, LedgerError, PrivateDataSupport, QueryExecutor, TxSimulator};

/// Page cache of one channel. A peer is a member of a handful of channels, and the hot part of a state is small; redb's
/// own default is 1 GiB for each database.
pub(super) const CACHE_BYTES: usize = 64 << 20;

/// The ledger of one channel. One writer, any number of readers.
pub struct Ledger {
    pub(super) channel: String,
    pub(super) database: GuardedDatabase,
    /// Held by the one who commits.
    pub(super) writer: Mutex<()>,
    pub(super) height: watch::Sender<u64>,
    /// None: it stands for goleveldb.
    pub(super) couchdb: OnceLock<CouchDb>,
    /// Why no more blocks are taken.
    halted: OnceLock<String>,
    /// None: no private data is kept, all of it is missing.
    pub(super) private: OnceLock<Arc<PrivateDataSupport>>,
    current: RwLock<Arc<Snapshot>>,
}

impl Ledger {
    /// Makes the database of a channel with its block 0, in a file that only the node's user may read.
    pub(super) fn create(path: &Path, channel: &str, genesis: &Block) -> Result<(), LedgerError> {
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| LedgerError::Io { action: "make", path: path.to_owned(), source })?;
        let database = GuardedDatabase::new(Database::builder().set_cache_size(CACHE_BYTES).create_file(file)?);
        super::commit::write_genesis(&database, channel, genesis)
    }

    /// Opens the database of a channel that was joined before, and reads what the channel cannot do without.
    pub(super) fn open(path: &Path, channel: &str) -> Result<Self, LedgerError> {
        let open = || {
            let ledger = Self::over(Database::builder().set_cache_size(CACHE_BYTES).open(path)?, channel)?;
            let snapshot = ledger.snapshot();
            snapshot.indexed_block(snapshot.tip.last_config)?;
            Ok(ledger)
        };
        guarded(open).map_err(|error| error.of_opening(path))
    }

    /// The ledger in a database that holds at least block 0.
    pub(super) fn over(database: Database, channel: &str) -> Result<Self, LedgerError> {
        let database = GuardedDatabase::new(database);
        let snapshot = Arc::new(Snapshot::open(&database)?);
        Ok(Self {
            channel: channel.to_owned(),
            height: watch::Sender::new(snapshot.tip.height),
            current: RwLock::new(snapshot),
            writer: Mutex::default(),
            couchdb: OnceLock::new(),
            halted: OnceLock::new(),
            private: OnceLock::new(),
            database,
        })
    }

    /// The channel's name.
    pub fn channel_id(&self) -> &str {
        &self.channel
    }

    /// The number of blocks.
    ///
    /// # Errors
    /// None now; a ledger elsewhere may have to ask.
    pub fn height(&self) -> Result<u64, LedgerError> {
        Ok(self.snapshot().tip.height)
    }

    /// The number of the newest block with a valid CONFIG transaction.
    pub fn last_config_block_number(&self) -> u64 {
        self.snapshot().tip.last_config
    }

    /// Height and the last two hashes, as qscc's GetChainInfo answers them.
    ///
    /// # Errors
    /// None now; see [`Self::height`].
    pub fn chain_info(&self) -> Result<BlockchainInfo, LedgerError> {
        let tip = &self.snapshot().tip;
        Ok(BlockchainInfo {
            height: tip.height,
            current_block_hash: tip.hash.clone(),
            previous_block_hash: tip.previous_hash.clone(),
        })
    }

    /// A block with its filter filled in; `u64::MAX` is the newest.
    ///
    /// # Errors
    /// When the database fails.
    pub fn block_by_number(&self, number: u64) -> Result<Option<Block>, LedgerError> {
        self.snapshot().block(number)
    }

    /// The block with that header hash.
    ///
    /// # Errors
    /// When the database fails.
    pub fn block_by_hash(&self, hash: &[u8]) -> Result<Option<Block>, LedgerError> {
        let snapshot = self.snapshot();
        snapshot.number_by_hash(hash)?.map(|number| snapshot.indexed_block(number)).transpose()
    }

    /// The block that holds the transaction, valid or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn block_by_txid(&self, txid: &str) -> Result<Option<Block>, LedgerError> {
        let snapshot = self.snapshot();
        snapshot.transaction(txid)?.map(|(number, ..)| snapshot.indexed_block(number)).transpose()
    }

    /// A transaction with the verdict over it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn transaction_by_id(&self, txid: &str) -> Result<Option<ProcessedTransaction>, LedgerError> {
        let snapshot = self.snapshot();
        let Some((number, index, code)) = snapshot.transaction(txid)? else { return Ok(None) };
        let block = snapshot.indexed_block(number)?;
        let envelope = block.data.and_then(|data| data.data.get(index as usize).cloned());
        let envelope = envelope.and_then(|envelope| Envelope::decode(envelope).ok());
        let missing = || LedgerError::Corrupted(format!("block {number} has no transaction {index} ({txid})"));
        Ok(Some(ProcessedTransaction {
            transaction_envelope: Some(envelope.ok_or_else(missing)?),
            validation_code: i32::from(code),
        }))
    }

    /// Whether a transaction with this id is in some block, valid or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn contains_transaction(&self, txid: &str) -> Result<bool, LedgerError> {
        Ok(self.snapshot().transaction(txid)?.is_some())
    }

    /// Reads the newest state outside any simulation, as validation does.
    pub fn new_query_executor(&self) -> QueryExecutor {
        QueryExecutor::new(self.snapshot())
    }

    /// A simulator over the newest state. It sees that state until its end, and no commit waits for it.
    ///
    /// # Errors
    /// None now; see [`Self::height`].
    pub fn new_tx_simulator(&self, txid: &str) -> Result<TxSimulator, LedgerError> {
        Ok(TxSimulator::new(txid, self.snapshot(), self.state_database()))
    }

    /// Reads histories as of now.
    ///
    /// # Errors
    /// None now; see [`Self::height`].
    pub fn new_history_query_executor(&self) -> Result<HistoryQueryExecutor, LedgerError> {
        Ok(HistoryQueryExecutor::new(self.snapshot()))
    }

    /// Why the channel takes no more blocks until the node is started again, if it does not.
    pub fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    /// Takes no more blocks. Those who wait for one are told.
    pub(crate) fn halt(&self, reason: String) {
        tracing::error!(channel = self.channel, error = reason, "the channel is halted");
        let _ = self.halted.set(reason);
        self.height.send_modify(|_| ());
    }

    /// The height after each commit. A receiver that is slow sees the newest one. When the channel is halted it is told, too.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.height.subscribe()
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_snapshot(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let old = std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), snapshot);
        // Closing a snapshot takes locks of the database, and those who ask for the new one need not wait for that.
        drop(old);
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let height = self.snapshot().tip.height;
        formatter
            .debug_struct("Ledger")
            .field("channel", &self.channel)
            .field("height", &height)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{HistoryIterator, LedgerProvider, SharedSimulator, StateIterator};

    #[test]
    fn everything_of_a_transaction_may_move_between_threads() {
        fn shared<T: Send + Sync>() {}
        fn moved<T: Send>() {}
        shared::<Ledger>();
        shared::<LedgerProvider>();
        shared::<SharedSimulator>();
        shared::<HistoryQueryExecutor>();
        moved::<StateIterator>();
        moved::<HistoryIterator>();
    }
}
