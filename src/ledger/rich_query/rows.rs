//! What a query runs over: the rows of one chaincode or collection at one height, and their indexes.

use super::index::Index;
use crate::ledger::LedgerError;
use crate::ledger::state::StateValue;

/// A key with its value.
pub(in crate::ledger) type Row = (String, StateValue);

pub(in crate::ledger) type RowIterator = Box<dyn Iterator<Item = Result<Row, LedgerError>> + Send>;

/// The encoded fields of a row of an index, and its key.
pub(in crate::ledger) type IndexRow = (Vec<u8>, String);

pub(in crate::ledger) type IndexIterator = Box<dyn DoubleEndedIterator<Item = Result<IndexRow, LedgerError>> + Send>;

/// Rows that do not change while they are read.
pub(in crate::ledger) trait Rows: Send {
    fn get(&self, key: &str) -> Result<Option<StateValue>, LedgerError>;

    /// The rows after a key, or all of them, in the order of their keys.
    fn scan(&self, after: Option<&str>) -> Result<RowIterator, LedgerError>;

    fn indexes(&self) -> &[Index];

    /// The rows of an index whose fields and key are in `[from, to)`; without `to`, up to the end.
    fn index(&self, index: &Index, from: &[u8], to: Option<&[u8]>) -> Result<IndexIterator, LedgerError>;
}
