//! The simulator: reads of the committed state, and the read-write set that a transaction leaves
//! (Fabric: `lockbasedtxmgr.lockBasedTxSimulator`, `queryHelper`).
//!
//! Private data is in `private_data.rs`. Which hidden reads a call leaves (definitions, collections) is for the callers to
//! know. Invariant: a simulator reads one snapshot, never its own writes, and holds nothing that a commit waits for.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use redb::AccessGuard;
use selvedge_proto::kvrwset::{KvMetadataWrite, RangeQueryInfo};
use selvedge_proto::rwset::TxPvtReadWriteSet;

use super::collections::Collections;
use super::range_query::{MAX_DEGREE, RangeQueryReads};
use super::rich_query::couchdb_rules;
use super::rich_query::effort::Stop;
use super::rich_query::execute::{Answer, RichRows};
use super::rich_query::space::IndexedSpace;
use super::rich_query::store::StateRows;
use super::rwset::{self, RwSetBuilder};
use super::state::{StateRow, Version, public_key, public_range_end};
use super::store::{Snapshot, state_range};
use super::{LedgerError, StateDatabase};

const PAGINATED_NEEDS_READ_ONLY: &str = "Paginated queries are supported only in a read-only transaction";
const PAGINATED_BEFORE_WRITE: &str = "Transaction has already performed a paginated query. Writes are not allowed";
const PRIVATE_QUERY_BEFORE_WRITE: &str =
    "Transaction has already performed queries on pvt data. Writes are not allowed";

/// In [`StateIterator::query`]: nobody checks later whether the rows are the same.
pub(super) const NOT_RECORDED: usize = usize::MAX;

type FoundRow = AccessGuard<'static, &'static [u8]>;

/// Simulates one transaction, all its nested calls on the channel included.
pub struct TxSimulator {
    txid: String,
    snapshot: Option<Arc<Snapshot>>,
    pub(super) rwset: RwSetBuilder,
    queries: Vec<RangeQuery>,
    /// Those of the chaincodes that used one.
    pub(super) collections: BTreeMap<String, Collections>,
    pub(super) wrote: bool,
    paginated: bool,
    pub(super) queried_private_data: bool,
    results_taken: bool,
    /// For the next rich query.
    stop: Option<Stop>,
    pub(super) database: StateDatabase,
}

/// A range query that was begun. It outlives its iterator, because it is recorded with the results.
struct RangeQuery {
    namespace: String,
    info: RangeQueryInfo,
    requested_end: String,
    reads: RangeQueryReads,
}

/// A row of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, without its namespace.
    pub key: String,
    /// The committed value.
    pub value: Bytes,
}

/// What a simulation comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationResults {
    /// The marshalled `TxReadWriteSet`; empty when nothing was touched.
    pub public: Bytes,
    /// The values of private writes; none when there are none.
    pub private: Option<TxPvtReadWriteSet>,
}

/// A query's rows, to be read with [`TxSimulator::next`] of the simulator that made it. Dropping it closes the query; what
/// was read stays recorded.
pub struct StateIterator {
    pub(super) rows: redb::Range<'static, &'static [u8], &'static [u8]>,
    /// A rich query; `rows` is empty then.
    pub(super) rich: Option<Box<RichQuery>>,
    pub(super) query: usize,
    pub(super) prefix: usize,
    pub(super) left: Option<u32>,
}

/// A rich query, and whose rows are its answer.
pub(super) struct RichQuery {
    /// None for private data: nothing is recorded.
    namespace: Option<String>,
    rows: RichRows,
}

impl TxSimulator {
    pub(super) fn new(txid: &str, snapshot: Arc<Snapshot>, database: StateDatabase) -> Self {
        Self {
            txid: txid.to_owned(),
            snapshot: Some(snapshot),
            rwset: RwSetBuilder::default(),
            queries: Vec::new(),
            collections: BTreeMap::new(),
            wrote: false,
            paginated: false,
            queried_private_data: false,
            results_taken: false,
            stop: None,
            database,
        }
    }

    /// The height of the state that this simulator reads: the number of blocks that it has seen.
    ///
    /// # Errors
    /// When the simulator is closed.
    pub fn height(&self) -> Result<u64, LedgerError> {
        Ok(self.snapshot()?.tip.height)
    }

    /// The committed value; none for a key that does not exist. The read is recorded in both cases.
    ///
    /// # Errors
    /// When the simulator is closed or the database fails.
    pub fn get_state(&mut self, namespace: &str, key: &str) -> Result<Option<Bytes>, LedgerError> {
        let (found, database) = (self.find(namespace, key)?, self.database);
        self.read(namespace, key, found, |row| value_as_read(database, row.value))
    }

    /// [`Self::get_state`] for whoever has no time for a large value: empty for a key that does not exist; none, and nothing
    /// is copied or recorded, where the value and what is kept with it have more than `limit` bytes.
    ///
    /// # Errors
    /// As [`Self::get_state`].
    pub fn get_small_state(&mut self, namespace: &str, key: &str, limit: usize) -> Result<Option<Bytes>, LedgerError> {
        let (found, database) = (self.find(namespace, key)?, self.database);
        if found.as_ref().is_some_and(|row| row.value().len() > limit) {
            return Ok(None);
        }
        let value = self.read(namespace, key, found, |row| value_as_read(database, row.value))?;
        Ok(Some(value.unwrap_or_default()))
    }

    /// Writes a value; an empty one deletes the key.
    ///
    /// # Errors
    /// When the simulator is closed, or the transaction has made a query that only a read-only one may make.
    pub fn set_state(&mut self, namespace: &str, key: &str, value: Bytes) -> Result<(), LedgerError> {
        self.before_write()?;
        self.check_write(key, &value)?;
        self.rwset.write(namespace, key, value);
        Ok(())
    }

    /// Deletes a key, which need not exist.
    ///
    /// # Errors
    /// As [`Self::set_state`].
    pub fn delete_state(&mut self, namespace: &str, key: &str) -> Result<(), LedgerError> {
        self.set_state(namespace, key, Bytes::new())
    }

    /// The committed metadata of a key, empty when it has none. Recorded as a read of the key.
    ///
    /// # Errors
    /// When the simulator is closed or the database fails.
    pub fn get_state_metadata(&mut self, namespace: &str, key: &str) -> Result<BTreeMap<String, Bytes>, LedgerError> {
        let found = self.find(namespace, key)?;
        let row = self.read(namespace, key, found, |row| KvMetadataWrite::decode(row.metadata))?;
        let metadata = row.transpose().map_err(|_| LedgerError::Corrupted(format!("the metadata of key {key:?}")))?;
        let entries = metadata.unwrap_or_default().entries;
        Ok(entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
    }

    /// Replaces all metadata of a key; an empty map removes it.
    ///
    /// # Errors
    /// As [`Self::set_state`].
    pub fn set_state_metadata(
        &mut self,
        namespace: &str,
        key: &str,
        metadata: BTreeMap<String, Bytes>,
    ) -> Result<(), LedgerError> {
        self.before_write()?;
        self.check_write(key, b"")?;
        self.rwset.write_metadata(namespace, key, metadata);
        Ok(())
    }

    /// The keys of `[start, end)`; an empty `end` is the end of the namespace.
    ///
    /// # Errors
    /// When the simulator is closed or the database fails.
    pub fn get_state_range(&mut self, namespace: &str, start: &str, end: &str) -> Result<StateIterator, LedgerError> {
        self.range(namespace, start, end, None)
    }

    /// At most `page_size` keys of `[start, end)`, where `bookmark`, if not empty, replaces `start`. Makes the transaction
    /// read-only.
    ///
    /// # Errors
    /// When the transaction has written; as [`Self::get_state_range`].
    pub fn get_state_range_page(
        &mut self,
        namespace: &str,
        start: &str,
        end: &str,
        page_size: u32,
        bookmark: &str,
    ) -> Result<StateIterator, LedgerError> {
        self.before_page()?;
        self.range(namespace, if bookmark.is_empty() { start } else { bookmark }, end, Some(page_size))
    }

    /// Has the next rich query end with an error once `is_over` says so, in whatever place it is then. Asked at least
    /// for each row.
    pub fn stop_next_query_when(&mut self, is_over: impl Fn() -> bool + Send + Sync + 'static) {
        self.stop = Some(Arc::new(is_over));
    }

    /// A rich query over the namespace. Each row that is given out is recorded as a read; whether the answer would have more
    /// rows later is not checked.
    ///
    /// # Errors
    /// When the ledger stands for goleveldb, the query is none or costs too much, or the database fails.
    pub fn execute_query(&mut self, namespace: &str, query: &str) -> Result<StateIterator, LedgerError> {
        let space = IndexedSpace::public(namespace);
        self.rich_query(Some(namespace), space, query, None, "")
    }

    /// At most `page_size` rows of a rich query, from `bookmark` on. Makes the transaction read-only.
    ///
    /// # Errors
    /// When the transaction has written; as [`Self::execute_query`].
    pub fn execute_query_page(
        &mut self,
        namespace: &str,
        query: &str,
        page_size: u32,
        bookmark: &str,
    ) -> Result<StateIterator, LedgerError> {
        self.before_page()?;
        let space = IndexedSpace::public(namespace);
        self.rich_query(Some(namespace), space, query, Some(page_size), bookmark)
    }

    /// The next row of a query; none at the end of the range or of the page. What was read, and that the end was seen, is
    /// recorded for the phantom check.
    ///
    /// # Errors
    /// When the simulator is closed or the database fails.
    pub fn next(&mut self, iterator: &mut StateIterator) -> Result<Option<KeyValue>, LedgerError> {
        self.snapshot()?;
        if iterator.left == Some(0) {
            return Ok(None);
        }
        if let Some(rich) = &mut iterator.rich {
            let Some(Answer { key, version, value }) = rich.rows.next()? else { return Ok(None) };
            if let Some(namespace) = &rich.namespace {
                self.rwset.read(namespace, &key, Some(version));
            }
            iterator.left = iterator.left.map(|left| left - 1);
            return Ok(Some(KeyValue { key, value }));
        }
        let query = self.queries.get_mut(iterator.query);
        let Some((key, row)) = iterator.rows.next().transpose()? else {
            if let Some(query) = query {
                query.info.end_key.clone_from(&query.requested_end);
                query.info.itr_exhausted = true;
            }
            return Ok(None);
        };
        let key = iterator.key(key.value())?;
        let row = StateRow::decode(row.value())?;
        if let Some(query) = query {
            query.reads.add(rwset::read(key.clone(), Some(row.version)));
            query.info.end_key.clone_from(&key);
        }
        iterator.left = iterator.left.map(|left| left - 1);
        Ok(Some(KeyValue { key, value: value_as_read(self.database, row.value) }))
    }

    /// The read-write set. Writes and reads after it go nowhere.
    ///
    /// # Errors
    /// The second time, and when the simulator is closed.
    pub fn results(&mut self) -> Result<SimulationResults, LedgerError> {
        if self.results_taken {
            return Err(LedgerError::ResultsTaken);
        }
        self.snapshot()?;
        self.results_taken = true;
        for query in self.queries.drain(..) {
            let info = RangeQueryInfo { reads_info: query.reads.finish(), ..query.info };
            self.rwset.range_query(&query.namespace, info);
        }
        let (public, private) = std::mem::take(&mut self.rwset).marshal();
        Ok(SimulationResults { public, private })
    }

    /// Closes the simulator and lets its snapshot go; dropping it does the same.
    pub fn done(&mut self) {
        self.snapshot = None;
    }

    /// The row of a key, where the database holds it.
    fn find(&self, namespace: &str, key: &str) -> Result<Option<FoundRow>, LedgerError> {
        Ok(self.snapshot()?.state.get(public_key(namespace, key.as_bytes()).as_slice())?)
    }

    /// Takes what is wanted of a row that was found or not, and records the read.
    fn read<T>(
        &mut self,
        namespace: &str,
        key: &str,
        found: Option<FoundRow>,
        take: impl FnOnce(&StateRow<'_>) -> T,
    ) -> Result<Option<T>, LedgerError> {
        let found: Option<(Version, T)> = match &found {
            Some(guard) => {
                let row = StateRow::decode(guard.value())?;
                Some((row.version, take(&row)))
            }
            None => None,
        };
        self.rwset.read(namespace, key, found.as_ref().map(|(version, _)| *version));
        Ok(found.map(|(_, taken)| taken))
    }

    fn range(
        &mut self,
        namespace: &str,
        start: &str,
        end: &str,
        left: Option<u32>,
    ) -> Result<StateIterator, LedgerError> {
        let from = public_key(namespace, start.as_bytes());
        let to = public_range_end(namespace, end);
        let rows = state_range(&self.snapshot()?.state, &from, Bound::Excluded(&to))?;
        self.queries.push(RangeQuery {
            namespace: namespace.to_owned(),
            info: RangeQueryInfo { start_key: start.to_owned(), ..Default::default() },
            requested_end: end.to_owned(),
            reads: RangeQueryReads::new(MAX_DEGREE),
        });
        Ok(StateIterator { rows, rich: None, query: self.queries.len() - 1, prefix: namespace.len() + 1, left })
    }

    /// Begins a rich query; its rows are recorded as reads of `recorded`.
    pub(super) fn rich_query(
        &mut self,
        recorded: Option<&str>,
        space: IndexedSpace,
        query: &str,
        left: Option<u32>,
        bookmark: &str,
    ) -> Result<StateIterator, LedgerError> {
        let snapshot = self.snapshot.clone().ok_or(LedgerError::Done)?;
        if self.database == StateDatabase::GoLevelDb {
            return Err(LedgerError::RichQuery);
        }
        let none = state_range(&snapshot.state, b"", Bound::Excluded(b""))?;
        let rows = StateRows { snapshot, space };
        let rows = RichRows::new(Box::new(rows), query, bookmark, self.stop.take())?;
        let rich = Some(Box::new(RichQuery { namespace: recorded.map(str::to_owned), rows }));
        Ok(StateIterator { rows: none, rich, query: NOT_RECORDED, prefix: 0, left })
    }

    fn before_page(&mut self) -> Result<(), LedgerError> {
        if self.wrote {
            return Err(self.unsupported(PAGINATED_NEEDS_READ_ONLY));
        }
        self.paginated = true;
        Ok(())
    }

    /// What Fabric's state database has against a write.
    pub(super) fn check_write(&self, key: &str, value: &[u8]) -> Result<(), LedgerError> {
        match self.database {
            StateDatabase::GoLevelDb => Ok(()),
            StateDatabase::CouchDb => Ok(couchdb_rules::check_write(key, value)?),
        }
    }

    pub(super) fn before_write(&mut self) -> Result<(), LedgerError> {
        self.snapshot()?;
        if self.queried_private_data {
            return Err(self.unsupported(PRIVATE_QUERY_BEFORE_WRITE));
        }
        if self.paginated {
            return Err(self.unsupported(PAGINATED_BEFORE_WRITE));
        }
        self.wrote = true;
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Result<&Snapshot, LedgerError> {
        self.snapshot.as_deref().ok_or(LedgerError::Done)
    }

    pub(super) fn unsupported(&self, rule: &'static str) -> LedgerError {
        LedgerError::UnsupportedTransaction { txid: self.txid.clone(), rule }
    }
}

impl StateIterator {
    /// Whether the next row may be far.
    pub fn is_rich(&self) -> bool {
        self.rich.is_some()
    }

    /// Where the next page begins: the first key that was not read, empty when there is none; of a rich query, its last row,
    /// as CouchDB has it. Ends the query.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bookmark(&mut self) -> Result<String, LedgerError> {
        self.left = Some(0);
        if let Some(rich) = &self.rich {
            return Ok(rich.rows.bookmark());
        }
        match self.rows.next().transpose()? {
            Some((key, _)) => self.key(key.value()),
            None => Ok(String::new()),
        }
    }

    fn key(&self, row: &[u8]) -> Result<String, LedgerError> {
        let key = row.get(self.prefix..).and_then(|key| std::str::from_utf8(key).ok());
        key.map(str::to_owned).ok_or_else(|| LedgerError::Corrupted("a key that is not UTF-8".into()))
    }
}

/// A value as chaincode sees it.
pub(super) fn value_as_read(database: StateDatabase, value: &[u8]) -> Bytes {
    match database {
        StateDatabase::GoLevelDb => Bytes::copy_from_slice(value),
        StateDatabase::CouchDb => couchdb_rules::as_read(value),
    }
}

impl std::fmt::Debug for TxSimulator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TxSimulator").field("txid", &self.txid).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StateIterator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StateIterator").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
