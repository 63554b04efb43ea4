//! Answers a query, row by row (CouchDB: `mango_cursor_view`; Fabric: `statecouchdb.queryScanner`).
//!
//! Without an order, rows come in that of their keys, whether an index is used or not. In an order, they come by the
//! fields and then by the key, both in the direction asked for; a document that lacks one of the fields is left out, as
//! it is left out of the index that CouchDB would need. Invariant: what is held in memory and for how long it works is
//! bounded, and only keys are held.

use bytes::Bytes;

use super::RichQueryError;
use super::bookmark::Place;
use super::collation::after_prefix;
use super::effort::{Effort, Stop};
use super::format;
use super::index::encode_fields;
use super::json::{self, Object, Value};
use super::limits::{MAX_SORTED_ROWS, MAX_SORTED_SIZE};
use super::plan::{Bounds, Choice, choose, named_partial};
use super::query::Query;
use super::rows::{IndexIterator, RowIterator, Rows};
use super::selector::Selector;
use crate::ledger::LedgerError;
use crate::ledger::state::{StateValue, Version};

/// A row of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Answer {
    pub key: String,
    pub version: Version,
    pub value: Bytes,
}

/// A query that is being answered.
pub(in crate::ledger) struct RichRows {
    rows: Box<dyn Rows>,
    query: Query,
    source: Source,
    skip: u64,
    /// The last row that was given out; before the first, where the query began.
    at: Option<Place>,
    effort: Effort,
}

/// Where documents come from.
enum Source {
    Scan(RowIterator),
    /// Keys that an index named, in their order.
    Keys(std::vec::IntoIter<String>),
    /// Rows of an index that stand in the order asked for. Their first bytes are no sort fields.
    Ordered(IndexIterator, usize),
    /// Documents that match, in the order asked for.
    Sorted(std::vec::IntoIter<Place>),
}

impl RichRows {
    /// Begins a query. `bookmark`, where there is one, goes before the one in the query's text. Once `stop` says so, it
    /// ends with an error.
    ///
    /// # Errors
    /// When the text is no query, a limit is exceeded or the database fails.
    pub(in crate::ledger) fn new(
        rows: Box<dyn Rows>,
        text: &str,
        bookmark: &str,
        stop: Option<Stop>,
    ) -> Result<Self, LedgerError> {
        let mut query = Query::parse(text)?;
        let at = Place::from_bookmark(if bookmark.is_empty() { &query.bookmark } else { bookmark })?;
        let bounds = Bounds::of(&query);
        if let Some(partial) = named_partial(&query, &bounds, rows.indexes()) {
            let whole = std::mem::replace(&mut query.selector, Selector::All(Vec::new()));
            query.selector = Selector::All(vec![whole, partial.selector.clone()]);
        }
        // What was skipped is behind the bookmark.
        let skip = if at.is_some() { 0 } else { query.skip };
        let source = Source::Keys(Vec::new().into_iter());
        let mut begun = Self { rows, query, source, skip, at, effort: Effort::new(stop) };
        begun.effort.resume();
        begun.source = begun.open(&bounds)?;
        begun.effort.pause();
        Ok(begun)
    }

    fn open(&self, bounds: &Bounds) -> Result<Source, LedgerError> {
        let choice = choose(&self.query, bounds, self.rows.indexes());
        if let Some(Choice { ordered_after: Some(skip), index, prefix, low, high }) = &choice {
            let mut from = low.clone();
            let mut to = after_prefix(high);
            if let Some(at) = &self.at {
                let row = [&prefix[..*skip], &at.fields, at.key.as_bytes()].concat();
                match self.query.sort.descending {
                    true => to = Some(to.map_or(row.clone(), |to| to.min(row))),
                    // The next bytes after a row's are these and a zero.
                    false => from = from.max([row.as_slice(), &[0]].concat()),
                }
            }
            let rows = self.rows.index(index, &from, to.as_deref())?;
            let rows = if self.query.sort.descending { Box::new(rows.rev()) as IndexIterator } else { rows };
            return Ok(Source::Ordered(rows, *skip));
        }
        let keys = match choice {
            Some(choice) => {
                tracing::debug!("the rich query uses index {}", choice.index.name);
                let rows = self.rows.index(choice.index, &choice.low, after_prefix(&choice.high).as_deref())?;
                self.keys(rows)?
            }
            None => None,
        };
        match (self.query.sort.fields.is_empty(), keys) {
            (true, Some(keys)) => Ok(Source::Keys(keys.into_iter())),
            (true, None) => {
                let after = self.at.as_ref().map(|at| at.key.as_str());
                Ok(Source::Scan(self.rows.scan(after)?))
            }
            (false, Some(keys)) => self.sorted(Source::Keys(keys.into_iter())),
            (false, None) => {
                let scan = self.rows.scan(None)?;
                self.sorted(Source::Scan(scan))
            }
        }
    }

    /// The keys that an index names, sorted; none where there are too many of them, and a scan is as good.
    fn keys(&self, rows: IndexIterator) -> Result<Option<Vec<String>>, LedgerError> {
        let in_key_order = self.query.sort.fields.is_empty();
        let (mut keys, mut size) = (Vec::new(), 0);
        for row in rows {
            let (_, key) = row?;
            self.effort.look()?;
            if in_key_order && self.at.as_ref().is_some_and(|at| key <= at.key) {
                continue;
            }
            size += key.len();
            if keys.len() == MAX_SORTED_ROWS || size > MAX_SORTED_SIZE {
                return Ok(None);
            }
            keys.push(key);
        }
        keys.sort_unstable();
        Ok(Some(keys))
    }

    /// Sorts what matches.
    fn sorted(&self, mut source: Source) -> Result<Source, LedgerError> {
        let (mut places, mut size) = (Vec::new(), 0);
        while let Some((key, row, _)) = self.candidate(&mut source)? {
            let Some(document) = self.matching(&key, &row)? else { continue };
            let Some(fields) = encode_fields(&self.query.sort.fields, &document) else { continue };
            let place = Place { fields, key };
            let is_behind = |at: &Place| if self.query.sort.descending { place >= *at } else { place <= *at };
            if self.at.as_ref().is_some_and(is_behind) {
                continue;
            }
            size += place.fields.len() + place.key.len();
            let advice = "define an index with the fields of the sort, or ask for less";
            if places.len() == MAX_SORTED_ROWS {
                let (needed, limit) = (places.len() + 1, MAX_SORTED_ROWS);
                let (what, name) = ("a sort of rows", "MAX_SORTED_ROWS");
                return Err(RichQueryError::Limit { what, needed, name, limit, advice }.into());
            }
            if size > MAX_SORTED_SIZE {
                let (what, name, limit) = ("a sort of bytes", "MAX_SORTED_SIZE", MAX_SORTED_SIZE);
                return Err(RichQueryError::Limit { what, needed: size, name, limit, advice }.into());
            }
            places.push(place);
        }
        places.sort_unstable();
        if self.query.sort.descending {
            places.reverse();
        }
        Ok(Source::Sorted(places.into_iter()))
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// When a limit is exceeded or the database fails.
    pub(in crate::ledger) fn next(&mut self) -> Result<Option<Answer>, LedgerError> {
        self.effort.resume();
        let answer = self.next_match();
        self.effort.pause();
        answer
    }

    fn next_match(&mut self) -> Result<Option<Answer>, LedgerError> {
        // Taken out for the time, because looking at a row needs the rest.
        let mut source = std::mem::replace(&mut self.source, Source::Keys(Vec::new().into_iter()));
        let found = loop {
            let Some((key, row, place)) = self.candidate(&mut source)? else { break None };
            let Some(document) = self.matching(&key, &row)? else { continue };
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.at = Some(place);
            let Value::Object(document) = document else { continue };
            let value = format::object_to_json(&self.query.project(document)).into();
            break Some(Answer { key, version: row.version, value });
        };
        self.source = source;
        Ok(found)
    }

    /// Where the next page begins. Like CouchDB's, it is not empty at the end, and "nil" where nothing was ever found.
    pub(in crate::ledger) fn bookmark(&self) -> String {
        self.at.as_ref().map_or_else(|| "nil".to_owned(), Place::to_bookmark)
    }

    /// The next document that may match.
    fn candidate(&self, source: &mut Source) -> Result<Option<(String, StateValue, Place)>, LedgerError> {
        let (key, place) = match source {
            Source::Scan(rows) => {
                let Some((key, row)) = rows.next().transpose()? else { return Ok(None) };
                let place = Place { fields: Vec::new(), key: key.clone() };
                return Ok(Some((key, row, place)));
            }
            Source::Keys(keys) => {
                let Some(key) = keys.next() else { return Ok(None) };
                (key.clone(), Place { fields: Vec::new(), key })
            }
            Source::Ordered(rows, skip) => {
                let Some((mut fields, key)) = rows.next().transpose()? else { return Ok(None) };
                if fields.len() < *skip {
                    return Err(LedgerError::Corrupted("a row of an index lacks fields".into()));
                }
                fields.drain(..*skip);
                (key.clone(), Place { fields, key })
            }
            Source::Sorted(places) => {
                let Some(place) = places.next() else { return Ok(None) };
                (place.key.clone(), place)
            }
        };
        let missing = || LedgerError::Corrupted(format!("key {key:?} is missing, though an index names it"));
        let row = self.rows.get(&key)?.ok_or_else(missing)?;
        Ok(Some((key, row, place)))
    }

    /// The document, if there is one and the selector matches it.
    fn matching(&self, key: &str, row: &StateValue) -> Result<Option<Value>, RichQueryError> {
        self.effort.look()?;
        let Some(document) = document(key, &row.value) else { return Ok(None) };
        let is_match = self.query.selector.matches(&document, &self.effort);
        self.effort.look()?;
        Ok(is_match.then_some(document))
    }
}

/// A value as selectors see it: with its key as `_id`. None for what is no JSON object.
pub(super) fn document(key: &str, value: &[u8]) -> Option<Value> {
    let (mut members, whole): (Object, bool) = json::document(value)?;
    if !whole {
        return None;
    }
    members.insert("_id".to_owned(), Value::String(key.to_owned()));
    Some(Value::Object(members))
}

impl std::fmt::Debug for RichRows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RichRows").field("query", &self.query).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
