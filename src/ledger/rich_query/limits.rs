//! What a query may cost. The numbers are far above what chaincode asks for, and below what would hurt the node.
//!
//! They are constants: a limit that differs between endorsers makes them disagree.

use std::time::Duration;

/// Bytes of a query's text.
pub const MAX_QUERY_SIZE: usize = 1 << 20;
/// Objects and arrays within each other in a query.
pub const MAX_QUERY_DEPTH: usize = 64;
/// Conditions and combinations in a selector, and values that its operators list.
pub const MAX_SELECTOR_TERMS: usize = 10_000;
/// Bytes of the program that one regular expression is compiled to.
pub const MAX_REGEX_SIZE: usize = 1 << 20;
/// Regular expressions in a selector: a text of 20 bytes may make a program of that size.
pub const MAX_REGEXES: usize = 32;
/// Rows that are held for a sort which no index has done, or taken from an index which is not in the order asked for.
pub const MAX_SORTED_ROWS: usize = 100_000;
/// Bytes of the keys and sort fields of those rows.
pub const MAX_SORTED_SIZE: usize = 64 << 20;
/// Time that one query may work, over all its batches.
pub const MAX_QUERY_TIME: Duration = Duration::from_secs(20);
/// Objects and arrays within each other in a value. A deeper one is no document: no query finds it, and it is read as
/// it was written.
pub const MAX_VALUE_DEPTH: usize = 200;
/// Indexes of one chaincode or collection.
pub const MAX_INDEXES: usize = 64;
/// Fields of one index, and of one sort.
pub const MAX_INDEX_FIELDS: usize = 32;
