//! Indexes in the channel's database: their definitions, their rows, and a snapshot of both.
//!
//! Invariant: the rows are those of the state at the height in [`INDEXED_HEIGHT`]. A commit that writes rows moves it in the
//! same transaction. Where it is behind, somebody wrote the state without them, and they are made anew before anybody
//! reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::execute::document;
use super::index::Index;
use super::limits::MAX_INDEXES;
use super::rows::{IndexIterator, RowIterator, Rows};
use super::{IndexFile, collation};
use crate::ledger::LedgerError;
use crate::ledger::private_store::{PRIVATE_STATE, private_key};
use crate::ledger::state::{CommittedState, StateRow, StateValue, public_key};
use crate::ledger::store::{CHANNEL, STATE, Snapshot, state_range};

/// The space, number of the index, encoded fields, key -> length of the key.
const INDEX_ROWS: TableDefinition<'_, &[u8], u32> = TableDefinition::new("index_rows");
/// The space -> its definitions, as JSON.
const INDEXES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("indexes");
/// In [`CHANNEL`]: the height of the state that the rows follow from.
const INDEXED_HEIGHT: &str = "indexed_height";

/// The indexes of each chaincode and collection.
pub(in crate::ledger) type Definitions = Arc<BTreeMap<IndexedSpace, Vec<Index>>>;

/// The public state, or the values of private data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) enum Part {
    Public,
    Private,
}

impl Part {
    fn table(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        match self {
            Self::Public => STATE,
            Self::Private => PRIVATE_STATE,
        }
    }

    /// The names before a key, each with a NUL after it.
    fn names(self) -> usize {
        match self {
            Self::Public => 1,
            Self::Private => 2,
        }
    }
}

/// What an index is of: the public state of a chaincode, or a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) struct IndexedSpace {
    part: Part,
    /// With what the keys of its table begin.
    begin: Vec<u8>,
}

impl IndexedSpace {
    pub(in crate::ledger) fn public(chaincode: &str) -> Self {
        Self { part: Part::Public, begin: public_key(chaincode, b"") }
    }

    pub(in crate::ledger) fn private(chaincode: &str, collection: &str) -> Self {
        Self { part: Part::Private, begin: private_key(chaincode, collection, "") }
    }

    /// The space of a key of one of the two tables, and the key there. A name never holds a NUL.
    fn of(part: Part, table_key: &[u8]) -> Option<(Self, &str)> {
        let mut ends = table_key.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
        let (begin, key) = table_key.split_at(ends.nth(part.names() - 1)?);
        Some((Self { part, begin: begin.to_vec() }, std::str::from_utf8(key).ok()?))
    }

    fn encode(&self) -> Vec<u8> {
        [&[self.part as u8], self.begin.as_slice()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        match bytes.split_first() {
            Some((0, begin)) => Ok(Self { part: Part::Public, begin: begin.to_vec() }),
            Some((1, begin)) => Ok(Self { part: Part::Private, begin: begin.to_vec() }),
            _ => Err(LedgerError::Corrupted("indexes of an unknown space".into())),
        }
    }

    /// What the rows of an index begin with.
    fn rows_of(&self, index: u32) -> Vec<u8> {
        [self.encode().as_slice(), &index.to_be_bytes()].concat()
    }
}

impl std::fmt::Display for IndexedSpace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(String::from_utf8_lossy(&self.begin).trim_end_matches('\0').replace('\0', "/").as_str())
    }
}

#[derive(Default, Serialize, Deserialize)]
struct StoredIndexes {
    next_id: u32,
    indexes: Vec<StoredIndex>,
}

#[derive(Serialize, Deserialize)]
struct StoredIndex {
    id: u32,
    file: String,
    definition: String,
}

impl StoredIndexes {
    fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        let damaged = |error| LedgerError::Corrupted(format!("definitions of indexes do not decode: {error}"));
        serde_json::from_slice(bytes).map_err(damaged)
    }

    fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let failed = |error| LedgerError::Corrupted(format!("definitions of indexes do not encode: {error}"));
        serde_json::to_vec(self).map_err(failed)
    }

    fn parse(&self) -> Result<Vec<Index>, LedgerError> {
        let parse = |stored: &StoredIndex| Index::parse(stored.id, &stored.file, &stored.definition);
        let damaged =
            |error| LedgerError::Corrupted(format!("a definition of an index was read before, and now: {error}"));
        self.indexes.iter().map(|stored| parse(stored).map_err(damaged)).collect()
    }
}

/// The indexes at one height.
pub(in crate::ledger) struct IndexSnapshot {
    definitions: Definitions,
    /// None while there is no index.
    rows: Option<ReadOnlyTable<&'static [u8], u32>>,
}

impl IndexSnapshot {
    pub(in crate::ledger) fn open(read: &ReadTransaction) -> Result<Self, LedgerError> {
        let mut definitions = BTreeMap::new();
        if let Some(table) = if_exists(read.open_table(INDEXES))? {
            for entry in table.iter()? {
                let (space, stored) = entry?;
                definitions
                    .insert(IndexedSpace::decode(space.value())?, StoredIndexes::decode(stored.value())?.parse()?);
            }
        }
        Ok(Self { definitions: Arc::new(definitions), rows: if_exists(read.open_table(INDEX_ROWS))? })
    }

    pub(in crate::ledger) fn definitions(&self) -> &Definitions {
        &self.definitions
    }
}

fn if_exists<T>(table: Result<T, TableError>) -> Result<Option<T>, LedgerError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The rows of a chaincode's public state or of a collection.
pub(in crate::ledger) struct StateRows {
    pub snapshot: Arc<Snapshot>,
    pub space: IndexedSpace,
}

impl StateRows {
    fn found(&self) -> &IndexSnapshot {
        &self.snapshot.indexes
    }
}

impl Rows for StateRows {
    fn get(&self, key: &str) -> Result<Option<StateValue>, LedgerError> {
        let key = [self.space.begin.as_slice(), key.as_bytes()].concat();
        match self.space.part {
            Part::Public => self.snapshot.get(&key),
            Part::Private => self.snapshot.private_value(&key),
        }
    }

    fn scan(&self, after: Option<&str>) -> Result<RowIterator, LedgerError> {
        let from = match after {
            Some(key) => [self.space.begin.as_slice(), key.as_bytes(), &[0]].concat(),
            None => self.space.begin.clone(),
        };
        let to = collation::after_prefix(&self.space.begin).unwrap_or_default();
        let table = match self.space.part {
            Part::Public => &self.snapshot.state,
            Part::Private => &self.snapshot.private_state,
        };
        let rows = state_range(table, &from, std::ops::Bound::Excluded(&to))?;
        let begin = self.space.begin.len();
        Ok(Box::new(rows.map(move |row| {
            let (key, value) = row?;
            Ok((key_from(key.value(), begin)?, StateRow::decode(value.value())?.to_value()))
        })))
    }

    fn indexes(&self) -> &[Index] {
        self.found().definitions.get(&self.space).map_or(&[], Vec::as_slice)
    }

    fn index(&self, index: &Index, from: &[u8], to: Option<&[u8]>) -> Result<IndexIterator, LedgerError> {
        let Some(rows) = &self.found().rows else {
            return Ok(Box::new(std::iter::empty()));
        };
        let begin = self.space.rows_of(index.id);
        let from = [begin.as_slice(), from].concat();
        let to = match to {
            Some(to) => [begin.as_slice(), to].concat(),
            None => collation::after_prefix(&begin).unwrap_or_default(),
        };
        if from >= to {
            return Ok(Box::new(std::iter::empty()));
        }
        let begin = begin.len();
        Ok(Box::new(rows.range::<&[u8]>(from.as_slice()..to.as_slice())?.map(move |row| {
            let (row, length) = row?;
            let (row, length) = (row.value(), length.value() as usize);
            let damaged = || LedgerError::Corrupted("a row of an index is too short".into());
            let fields = row.len().checked_sub(length).filter(|end| *end >= begin).ok_or_else(damaged)?;
            Ok((row[begin..fields].to_vec(), key_from(row, fields)?))
        })))
    }
}

fn key_from(row: &[u8], begin: usize) -> Result<String, LedgerError> {
    let key = row.get(begin..).and_then(|key| std::str::from_utf8(key).ok());
    key.map(str::to_owned).ok_or_else(|| LedgerError::Corrupted("a key that is not UTF-8".into()))
}

/// Keeps the rows of all indexes while a block is written.
pub(in crate::ledger) struct IndexWriter<'a> {
    definitions: &'a Definitions,
    rows: Option<redb::Table<'a, &'static [u8], u32>>,
}

impl<'a> IndexWriter<'a> {
    /// Opens the tables, where there is an index.
    pub(in crate::ledger) fn open(
        transaction: &'a WriteTransaction,
        definitions: &'a Definitions,
    ) -> Result<Self, LedgerError> {
        let rows = if definitions.is_empty() { None } else { Some(transaction.open_table(INDEX_ROWS)?) };
        Ok(Self { definitions, rows })
    }

    /// A key of a table had the value `old` and gets `new`, each in the table's form.
    pub(in crate::ledger) fn update(
        &mut self,
        part: Part,
        table_key: &[u8],
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<(), LedgerError> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let Some((space, key)) = IndexedSpace::of(part, table_key) else { return Ok(()) };
        let Some(indexes) = self.definitions.get(&space) else { return Ok(()) };
        let parse = |row: Option<&[u8]>| match row {
            Some(row) => Ok(document(key, StateRow::decode(row)?.value)),
            None => Ok::<_, LedgerError>(None),
        };
        let (old, new) = (parse(old)?, parse(new)?);
        for index in indexes {
            let before = old.as_ref().and_then(|old| index.row(old));
            let after = new.as_ref().and_then(|new| index.row(new));
            if before == after {
                continue;
            }
            let row = |fields: &[u8]| [&space.rows_of(index.id), fields, key.as_bytes()].concat();
            if let Some(before) = before {
                rows.remove(row(&before).as_slice())?;
            }
            if let Some(after) = after {
                rows.insert(row(&after).as_slice(), key.len() as u32)?;
            }
        }
        Ok(())
    }

    /// The state is that of `height` blocks.
    pub(in crate::ledger) fn finish(self, transaction: &WriteTransaction, height: u64) -> Result<(), LedgerError> {
        if self.rows.is_some() {
            transaction.open_table(CHANNEL)?.insert(INDEXED_HEIGHT, height)?;
        }
        Ok(())
    }
}

/// Gives a chaincode or collection these indexes in place of those it has, and says whether anything changed. New ones get
/// their rows from the state as the transaction sees it. What is no definition is left out, and the log says so.
pub(in crate::ledger) fn define(
    transaction: &WriteTransaction,
    channel: &str,
    space: &IndexedSpace,
    files: &[IndexFile],
    height: u64,
) -> Result<bool, LedgerError> {
    let mut table = transaction.open_table(INDEXES)?;
    let name = space.encode();
    let mut stored = match table.get(name.as_slice())? {
        Some(stored) => StoredIndexes::decode(stored.value())?,
        None => StoredIndexes::default(),
    };
    let (kept, new) = sort_out(channel, space, files, &mut stored);
    let removed: Vec<_> = stored.indexes.iter().map(|index| index.id).filter(|id| !kept.contains(id)).collect();
    if removed.is_empty() && new.is_empty() {
        return Ok(false);
    }
    let mut rows = transaction.open_table(INDEX_ROWS)?;
    for id in &removed {
        let begin = space.rows_of(*id);
        let end = collation::after_prefix(&begin).unwrap_or_default();
        rows.retain_in::<&[u8], _>(begin.as_slice()..end.as_slice(), |_, _| false)?;
    }
    stored.indexes.retain(|index| kept.contains(&index.id));
    for index in &new {
        let Index { id, file, definition, name, .. } = index;
        tracing::info!("Created CouchDB index [{name}] for [{space}] of channel [{channel}] from file [{file}]");
        stored.indexes.push(StoredIndex { id: *id, file: file.clone(), definition: definition.clone() });
    }
    fill(transaction, &mut rows, space, &new)?;
    match stored.indexes.is_empty() {
        true => drop(table.remove(name.as_slice())?),
        false => drop(table.insert(name.as_slice(), stored.encode()?.as_slice())?),
    }
    transaction.open_table(CHANNEL)?.insert(INDEXED_HEIGHT, height)?;
    Ok(true)
}

/// The collections of a chaincode that have indexes.
pub(in crate::ledger) fn indexed_collections(
    transaction: &WriteTransaction,
    chaincode: &str,
) -> Result<Vec<String>, LedgerError> {
    let table = transaction.open_table(INDEXES)?;
    let mut collections = Vec::new();
    for entry in table.iter()? {
        let space = IndexedSpace::decode(entry?.0.value())?;
        let collection = space.begin.strip_prefix(public_key(chaincode, b"").as_slice());
        if let (Part::Private, Some(collection)) = (space.part, collection) {
            collections.push(String::from_utf8_lossy(collection).trim_end_matches('\0').to_owned());
        }
    }
    Ok(collections)
}

/// The ids of the indexes that stay, and those that are new.
fn sort_out(
    channel: &str,
    space: &IndexedSpace,
    files: &[IndexFile],
    stored: &mut StoredIndexes,
) -> (Vec<u32>, Vec<Index>) {
    let (mut kept, mut new): (Vec<u32>, Vec<Index>) = (Vec::new(), Vec::new());
    for IndexFile { file, definition } in files {
        let same = |index: &&StoredIndex| index.file == *file && index.definition == *definition;
        if let Some(index) = stored.indexes.iter().find(same) {
            kept.push(index.id);
            continue;
        }
        if kept.len() + new.len() >= MAX_INDEXES {
            tracing::error!(
                "[{channel}] {space} has more indexes than MAX_INDEXES ({MAX_INDEXES}); {file} is left out"
            );
            continue;
        }
        match Index::parse(stored.next_id, file, definition) {
            Ok(index) => {
                stored.next_id += 1;
                new.push(index);
            }
            Err(error) => tracing::error!("[{channel}] error creating index: {error}"),
        }
    }
    (kept, new)
}

fn fill(
    transaction: &WriteTransaction,
    rows: &mut redb::Table<'_, &'static [u8], u32>,
    space: &IndexedSpace,
    indexes: &[Index],
) -> Result<(), LedgerError> {
    if indexes.is_empty() {
        return Ok(());
    }
    let state = transaction.open_table(space.part.table())?;
    let end = collation::after_prefix(&space.begin).unwrap_or_default();
    for entry in state.range::<&[u8]>(space.begin.as_slice()..end.as_slice())? {
        let (table_key, value) = entry?;
        let Some((_, key)) = IndexedSpace::of(space.part, table_key.value()) else { continue };
        let Some(document) = document(key, StateRow::decode(value.value())?.value) else { continue };
        for index in indexes {
            if let Some(fields) = index.row(&document) {
                let row = [space.rows_of(index.id).as_slice(), fields.as_slice(), key.as_bytes()].concat();
                rows.insert(row.as_slice(), key.len() as u32)?;
            }
        }
    }
    Ok(())
}

/// Makes all rows anew if the state has moved on without them. Says whether it did.
pub(in crate::ledger) fn catch_up(
    transaction: &WriteTransaction,
    channel: &str,
    definitions: &Definitions,
    height: u64,
) -> Result<bool, LedgerError> {
    let mut table = transaction.open_table(CHANNEL)?;
    let indexed = table.get(INDEXED_HEIGHT)?.map_or(0, |row| row.value());
    if definitions.is_empty() || indexed == height {
        return Ok(false);
    }
    tracing::info!(
        "[{channel}] the indexes are those of {indexed} blocks, the state is that of {height}: they are made anew"
    );
    transaction.delete_table(INDEX_ROWS)?;
    let mut rows = transaction.open_table(INDEX_ROWS)?;
    for (space, indexes) in &**definitions {
        fill(transaction, &mut rows, space, indexes)?;
    }
    table.insert(INDEXED_HEIGHT, height)?;
    Ok(true)
}
