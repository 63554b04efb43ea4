//! Indexes in the channel's database: their tables, and a snapshot of them.
//!
//! Invariant: the rows are those of the state at the height in [`INDEXED_HEIGHT`]. A commit that writes rows moves it
//! in the same transaction. Where it is behind, somebody wrote the state without them, and they are made anew before
//! anybody reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError};
use serde::{Deserialize, Serialize};

use super::collation;
use super::index::Index;
use super::rows::{IndexIterator, RowIterator, Rows};
use super::space::{IndexedSpace, Part};
use crate::ledger::LedgerError;
use crate::ledger::state::{CommittedState, StateRow, StateValue};
use crate::ledger::store::{CHANNEL, Snapshot, state_range};

/// The space, number of the index, encoded fields, key -> length of the key.
pub(in crate::ledger) const INDEX_ROWS: TableDefinition<'_, &[u8], u32> = TableDefinition::new("index_rows");
/// The space -> its definitions, as JSON.
pub(super) const INDEXES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("indexes");
/// In [`CHANNEL`]: the height of the state that the rows follow from.
pub(super) const INDEXED_HEIGHT: &str = "indexed_height";

/// The indexes of each chaincode and collection.
pub(in crate::ledger) type Definitions = Arc<BTreeMap<IndexedSpace, Vec<Index>>>;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct StoredIndexes {
    pub next_id: u32,
    pub indexes: Vec<StoredIndex>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredIndex {
    pub id: u32,
    pub file: String,
    pub definition: String,
}

impl StoredIndexes {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        let damaged = |error| LedgerError::Corrupted(format!("definitions of indexes do not decode: {error}"));
        serde_json::from_slice(bytes).map_err(damaged)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, LedgerError> {
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
    /// The table that the definitions were read from.
    stored: Arc<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Of the state that the rows follow from; 0 while there never was an index.
    height: u64,
    /// None while there is no index.
    rows: Option<ReadOnlyTable<&'static [u8], u32>>,
}

impl IndexSnapshot {
    /// What is the same as in an earlier snapshot is not read anew: this is done with each block, and a definition may
    /// have regular expressions to compile.
    pub(in crate::ledger) fn open(read: &ReadTransaction, earlier: Option<&Self>) -> Result<Self, LedgerError> {
        let mut stored = Vec::new();
        if let Some(table) = if_exists(read.open_table(INDEXES))? {
            for entry in table.iter()? {
                let (space, indexes) = entry?;
                stored.push((space.value().to_vec(), indexes.value().to_vec()));
            }
        }
        let (definitions, stored) = match earlier.filter(|earlier| *earlier.stored == stored) {
            Some(earlier) => (Arc::clone(&earlier.definitions), Arc::clone(&earlier.stored)),
            None => {
                let read = |(space, indexes): &(Vec<u8>, Vec<u8>)| {
                    Ok((IndexedSpace::decode(space)?, StoredIndexes::decode(indexes)?.parse()?))
                };
                let definitions = stored.iter().map(read).collect::<Result<BTreeMap<_, _>, LedgerError>>()?;
                (Arc::new(definitions), Arc::new(stored))
            }
        };
        let height = read.open_table(CHANNEL)?.get(INDEXED_HEIGHT)?.map_or(0, |height| height.value());
        Ok(Self { definitions, stored, height, rows: if_exists(read.open_table(INDEX_ROWS))? })
    }

    pub(in crate::ledger) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    pub(super) fn height(&self) -> u64 {
        self.height
    }

    pub(super) fn rows(&self) -> Option<&ReadOnlyTable<&'static [u8], u32>> {
        self.rows.as_ref()
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
