//! What queries give: rows, one after the other, fetched in the peer's batches.

use std::fmt;
use std::iter::FusedIterator;
use std::vec;

use crate::{Error, Timestamp};

/// A key of the state and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key; one that starts with U+0000 is composite.
    pub key: String,
    /// Its value, never empty.
    pub value: Vec<u8>,
}

/// One committed change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyModification {
    /// The transaction that made it.
    pub txid: String,
    /// What it wrote; empty for a delete.
    pub value: Vec<u8>,
    /// When the transaction was proposed.
    pub timestamp: Option<Timestamp>,
    /// Whether it deleted the key.
    pub is_delete: bool,
}

/// One page of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows, at most as many as were asked for.
    pub rows: Vec<KeyValue>,
    /// How many they are, in the peer's words.
    pub fetched_records_count: i32,
    /// Where the next page starts; "" after the last.
    pub bookmark: String,
}

/// The rows of a query. Dropping it early closes the query at the peer; after an error it ends.
pub struct Rows<T> {
    batch: vec::IntoIter<T>,
    source: Option<Box<dyn Batches<T>>>,
}

/// Where rows come from: one batch for each call, an empty one at the end.
pub(crate) trait Batches<T> {
    fn next(&mut self) -> Result<Vec<T>, Error>;
}

impl<T> Rows<T> {
    pub(crate) fn new(source: impl Batches<T> + 'static) -> Self {
        Self { batch: Vec::new().into_iter(), source: Some(Box::new(source)) }
    }
}

impl<T> Iterator for Rows<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(row) = self.batch.next() {
            return Some(Ok(row));
        }
        match self.source.as_mut()?.next() {
            Ok(batch) => {
                self.batch = batch.into_iter();
                let row = self.batch.next();
                if row.is_none() {
                    self.source = None;
                }
                row.map(Ok)
            }
            Err(error) => {
                self.source = None;
                Some(Err(error))
            }
        }
    }
}

impl<T> FusedIterator for Rows<T> {}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("fetched", &self.batch.len()).field("open", &self.source.is_some()).finish()
    }
}
