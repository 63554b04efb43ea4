//! What indexes are of: the public state of a chaincode, or the values of a collection.
//!
//! Invariant: the rows of one space's index are no part of another's range.

use redb::TableDefinition;

use crate::ledger::LedgerError;
use crate::ledger::private_store::{PRIVATE_STATE, private_key};
use crate::ledger::state::public_key;
use crate::ledger::store::STATE;

/// The public state, or the values of private data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) enum Part {
    Public,
    Private,
}

impl Part {
    pub(super) fn table(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
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
    pub(super) part: Part,
    /// With what the keys of its table begin.
    pub(super) begin: Vec<u8>,
}

impl IndexedSpace {
    pub(in crate::ledger) fn public(chaincode: &str) -> Self {
        Self { part: Part::Public, begin: public_key(chaincode, b"") }
    }

    pub(in crate::ledger) fn private(chaincode: &str, collection: &str) -> Self {
        Self { part: Part::Private, begin: private_key(chaincode, collection, "") }
    }

    /// The space of a key of one of the two tables, and the key there. A name never holds a NUL.
    pub(super) fn of(part: Part, table_key: &[u8]) -> Option<(Self, &str)> {
        let mut ends = table_key.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
        let (begin, key) = table_key.split_at(ends.nth(part.names() - 1)?);
        Some((Self { part, begin: begin.to_vec() }, std::str::from_utf8(key).ok()?))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&[self.part as u8], self.begin.as_slice()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        match bytes.split_first() {
            Some((0, begin)) => Ok(Self { part: Part::Public, begin: begin.to_vec() }),
            Some((1, begin)) => Ok(Self { part: Part::Private, begin: begin.to_vec() }),
            _ => Err(LedgerError::Corrupted("indexes of an unknown space".into())),
        }
    }

    /// What the rows of an index begin with.
    pub(super) fn rows_of(&self, index: u32) -> Vec<u8> {
        [self.encode().as_slice(), &index.to_be_bytes()].concat()
    }
}

impl std::fmt::Display for IndexedSpace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(String::from_utf8_lossy(&self.begin).trim_end_matches('\0').replace('\0', "/").as_str())
    }
}
