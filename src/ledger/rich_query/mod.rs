//! Rich queries: CouchDB's Mango selectors over the channel's own store (Fabric: `statecouchdb`,
//! `core/ledger/util/couchdb`).
//!
//! | here | in CouchDB or Fabric |
//! |---|---|
//! | `query`, `selector`, `operators`, `matching` | `mango_opts`, `mango_selector` |
//! | `collation`, `json`, `format`, `path` | `couch_ejson_compare`, what JSON is and how it is written |
//! | `plan`, `execute`, `effort`, `bookmark` | `mango_idx_view`, `mango_cursor_view`, `statecouchdb.queryScanner` |
//! | `index`, `space`, `store`, `keep`, `check`, `deployed` | `mango_native_proc`, `ccmetadata`, `cceventmgmt` |
//! | [`couchdb_rules`] | `statecouchdb.ValidateKeyValue`, `couchDocToKeyValue` |
//!
//! There is no database beside the ledger: indexes are rows in the channel's own, written in the transaction of the
//! block. `docs/authors.md` tells authors where answers differ from CouchDB's. Invariant: the answer to a query depends
//! on the state, the query and the definitions of partial indexes that it names, and on nothing else: not on the other
//! indexes, and not on when they were made.

mod bookmark;
pub(super) mod check;
mod collation;
pub mod couchdb_rules;
pub(super) mod deployed;
pub(super) mod effort;
mod error;
pub(super) mod execute;
mod format;
mod index;
mod json;
pub(super) mod keep;
pub mod limits;
mod matching;
mod operators;
mod path;
mod plan;
mod query;
pub(super) mod rows;
mod selector;
pub(super) mod space;
pub(super) mod store;

pub use couchdb_rules::CouchDbRule;
pub use deployed::{DeployedIndexes, PackagedIndex};
use error::IndexError;
pub use error::RichQueryError;

/// The file of a package that defines an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name in the package, as in `META-INF/statedb/couchdb/indexes/indexOwner.json`.
    pub file: String,
    /// Its text.
    pub definition: String,
}
