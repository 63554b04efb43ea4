//! Writes indexes: with each block, when they are defined, and anew after a time without them.
//!
//! Everything here is part of somebody's transaction, so an index is never at another height than the state.

use redb::{ReadableTable, WriteTransaction};

use super::IndexFile;
use super::collation;
use super::execute::document;
use super::index::Index;
use super::limits::MAX_INDEXES;
use super::space::{IndexedSpace, Part};
use super::store::{Definitions, INDEX_ROWS, INDEXED_HEIGHT, INDEXES, StoredIndex, StoredIndexes};
use crate::ledger::LedgerError;
use crate::ledger::state::{StateRow, public_key};
use crate::ledger::store::CHANNEL;

/// Keeps the rows of all indexes while a block is written; by default of none.
#[derive(Default)]
pub(in crate::ledger) struct IndexWriter<'a> {
    definitions: Option<&'a Definitions>,
    rows: Option<redb::Table<'a, &'static [u8], u32>>,
}

impl<'a> IndexWriter<'a> {
    /// Opens the tables, where there is an index.
    pub(in crate::ledger) fn open(
        transaction: &'a WriteTransaction,
        definitions: &'a Definitions,
    ) -> Result<Self, LedgerError> {
        let rows = if definitions.is_empty() { None } else { Some(transaction.open_table(INDEX_ROWS)?) };
        Ok(Self { definitions: Some(definitions), rows })
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
        let Some(indexes) = self.definitions.and_then(|definitions| definitions.get(&space)) else { return Ok(()) };
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
