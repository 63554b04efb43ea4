//! Whether the rows of the indexes are those that the state gives; for `ledger verify`.
//!
//! Invariant: nothing is held but the definitions, however many rows there are.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use redb::{ReadOnlyTable, ReadableTable, ReadableTableMetadata};

use super::execute::document;
use super::index::Index;
use super::space::{IndexedSpace, Part};
use crate::ledger::LedgerError;
use crate::ledger::state::StateRow;
use crate::ledger::store::Snapshot;

type IndexRows = ReadOnlyTable<&'static [u8], u32>;

/// Tells `differs` of each row that the state does not give, and of each that it gives and that is not there. Of indexes
/// that the state has left behind nothing is told: they are made anew before anybody reads them.
pub(in crate::ledger) fn compare_rows(snapshot: &Snapshot, mut differs: impl FnMut(String)) -> Result<(), LedgerError> {
    let indexes = &snapshot.indexes;
    let Some(rows) = indexes.rows() else {
        if !indexes.definitions().is_empty() {
            differs("there are indexes, and no rows of them".into());
        }
        return Ok(());
    };
    if !indexes.definitions().is_empty() && indexes.height() != snapshot.tip.height {
        return Ok(());
    }
    let mut given = 0;
    for (space, indexes) in &**indexes.definitions() {
        given += missing_rows(snapshot, rows, space, indexes, &mut differs)?;
    }
    // Where there are as many as the state gives, and all of those are there, there are no others.
    match rows.len()? == given {
        true => Ok(()),
        false => other_rows(snapshot, rows, &mut differs),
    }
}

/// Returns how many of the rows that the state gives are there.
fn missing_rows(
    snapshot: &Snapshot,
    rows: &IndexRows,
    space: &IndexedSpace,
    indexes: &[Index],
    differs: &mut impl FnMut(String),
) -> Result<u64, LedgerError> {
    let mut there = 0;
    let end = super::collation::after_prefix(&space.begin).unwrap_or_default();
    for entry in table(snapshot, space.part).range::<&[u8]>(space.begin.as_slice()..end.as_slice())? {
        let (table_key, value) = entry?;
        let Some((_, key)) = IndexedSpace::of(space.part, table_key.value()) else { continue };
        // A value that is none was told of before.
        let Ok(row) = StateRow::decode(value.value()) else { continue };
        let Some(document) = document(key, row.value) else { continue };
        for index in indexes {
            let Some(fields) = index.row(&document) else { continue };
            let row = [space.rows_of(index.id).as_slice(), fields.as_slice(), key.as_bytes()].concat();
            match rows.get(row.as_slice())?.is_some_and(|length| length.value() as usize == key.len()) {
                true => there += 1,
                false => differs(format!("the index {space}/{} lacks the row of key {key:?}", index.full_name())),
            }
        }
    }
    Ok(there)
}

fn other_rows(snapshot: &Snapshot, rows: &IndexRows, differs: &mut impl FnMut(String)) -> Result<(), LedgerError> {
    let mut known = BTreeMap::new();
    for (space, indexes) in &**snapshot.indexes.definitions() {
        known.extend(indexes.iter().map(|index| (space.rows_of(index.id), (space, index))));
    }
    for entry in rows.iter()? {
        let (row, length) = entry?;
        let (row, length) = (row.value(), length.value() as usize);
        let index =
            known.range::<[u8], _>((Unbounded, Included(row))).next_back().filter(|(begin, _)| row.starts_with(begin));
        let Some((begin, (space, index))) = index else {
            differs(format!("a row of {} bytes is of no index", row.len()));
            continue;
        };
        let end = row.len().checked_sub(length).filter(|end| *end >= begin.len());
        let parts = end.and_then(|end| Some((&row[begin.len()..end], std::str::from_utf8(&row[end..]).ok()?)));
        let given = match parts {
            Some((fields, key)) => row_of(snapshot, space, index, key)?.is_some_and(|given| given == fields),
            None => false,
        };
        if !given {
            let (name, key) = (index.full_name(), parts.map_or("?", |(_, key)| key));
            differs(format!("the index {space}/{name} has a row of key {key:?} that the state does not give"));
        }
    }
    Ok(())
}

/// The fields of a key's row, as the state gives them.
fn row_of(snapshot: &Snapshot, space: &IndexedSpace, index: &Index, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
    let table_key = [space.begin.as_slice(), key.as_bytes()].concat();
    let Some(value) = table(snapshot, space.part).get(table_key.as_slice())? else { return Ok(None) };
    let Ok(row) = StateRow::decode(value.value()) else { return Ok(None) };
    Ok(document(key, row.value).and_then(|document| index.row(&document)))
}

fn table(snapshot: &Snapshot, part: Part) -> &ReadOnlyTable<&'static [u8], &'static [u8]> {
    match part {
        Part::Public => &snapshot.state,
        Part::Private => &snapshot.private_state,
    }
}
