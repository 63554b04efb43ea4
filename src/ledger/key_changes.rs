//! What one transaction does to each key (Fabric: `validator/internal/tx_ops_preparation.go`).
//!
//! A simulator names a key once among a set's writes and once among its metadata writes. A forged set may name it more
//! often, and what the state is then follows from how Fabric counts: it adds a number for each change and looks at the
//! bits of the sum, so that two writes are a change of metadata. Invariant: every set leaves the state that it leaves on
//! a peer of Fabric.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::{KvMetadataEntry, KvMetadataWrite};
use sha2::{Digest, Sha256};

use super::transaction::NamespaceRwSet;

/// A hashed write of this value is a delete, as a public write of an empty value is.
static EMPTY_HASH: LazyLock<[u8; 32]> = LazyLock::new(|| Sha256::digest(b"").into());

const WRITE: u8 = 1;
const CHANGE_METADATA: u8 = 2;
const DELETE_METADATA: u8 = 4;
const DELETE: u8 = 8;

/// The changes of one key.
#[derive(Debug, Default)]
pub(super) struct KeyChanges<'a> {
    sum: u8,
    pub(super) value: Bytes,
    entries: &'a [KvMetadataEntry],
}

/// What the changes come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Delete,
    /// Value and metadata are new.
    Put,
    /// The value is new, the metadata stay.
    PutValue,
    /// The value stays, if there is one; without one nothing happens.
    PutMetadata,
}

/// Namespace, collection (empty for a public key) and key.
type Place<'a> = (&'a str, &'a str, &'a [u8]);

/// Each key that is changed.
pub(super) fn key_changes(sets: &[NamespaceRwSet]) -> BTreeMap<Place<'_>, KeyChanges<'_>> {
    let mut changes: BTreeMap<Place<'_>, KeyChanges<'_>> = BTreeMap::new();
    for set in sets {
        let namespace = set.namespace.as_str();
        for write in &set.public.writes {
            let deletes = write.is_delete || write.value.is_empty();
            changes.entry((namespace, "", write.key.as_bytes())).or_default().write(deletes, &write.value);
        }
        for write in &set.public.metadata_writes {
            changes.entry((namespace, "", write.key.as_bytes())).or_default().write_metadata(&write.entries);
        }
        for (collection, hashed) in &set.collections {
            for write in &hashed.hashed_writes {
                let empty = write.value_hash.is_empty() || write.value_hash[..] == EMPTY_HASH[..];
                let deletes = write.is_delete || empty;
                changes.entry((namespace, collection, &write.key_hash)).or_default().write(deletes, &write.value_hash);
            }
            for write in &hashed.metadata_writes {
                changes.entry((namespace, collection, &write.key_hash)).or_default().write_metadata(&write.entries);
            }
        }
    }
    changes
}

impl<'a> KeyChanges<'a> {
    fn write(&mut self, deletes: bool, value: &Bytes) {
        if deletes {
            self.add(DELETE);
        } else {
            self.add(WRITE);
            self.value = value.clone();
        }
    }

    fn write_metadata(&mut self, entries: &'a [KvMetadataEntry]) {
        if entries.is_empty() {
            self.add(DELETE_METADATA);
        } else {
            self.add(CHANGE_METADATA);
            self.entries = entries;
        }
    }

    fn add(&mut self, change: u8) {
        self.sum = self.sum.wrapping_add(change);
    }

    /// As Fabric asks for it, in this order.
    pub(super) fn outcome(&self) -> Outcome {
        let has = |bits| self.sum & bits != 0;
        if has(DELETE) {
            Outcome::Delete
        } else if has(WRITE) && has(CHANGE_METADATA | DELETE_METADATA) {
            Outcome::Put
        } else if self.sum | WRITE == WRITE {
            Outcome::PutValue
        } else {
            Outcome::PutMetadata
        }
    }

    /// The new metadata as the state has them.
    pub(super) fn metadata(&self) -> Bytes {
        if self.entries.is_empty() {
            return Bytes::new();
        }
        KvMetadataWrite { key: String::new(), entries: self.entries.to_vec() }.encode_to_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_to_what_they_come_to_in_fabric() {
        use Outcome::{Delete, Put, PutMetadata, PutValue};
        let cases = [
            (&[WRITE][..], PutValue),
            (&[DELETE], Delete),
            (&[CHANGE_METADATA], PutMetadata),
            (&[DELETE_METADATA], PutMetadata),
            (&[WRITE, CHANGE_METADATA], Put),
            (&[WRITE, DELETE_METADATA], Put),
            (&[DELETE, CHANGE_METADATA], Delete),
            (&[WRITE, DELETE], Delete),
            // Forged.
            (&[WRITE, WRITE], PutMetadata),
            (&[WRITE, WRITE, WRITE], Put),
            (&[DELETE, DELETE], PutMetadata),
            (&[DELETE, DELETE, WRITE], PutMetadata),
            (&[CHANGE_METADATA, CHANGE_METADATA], PutMetadata),
            (&[CHANGE_METADATA, CHANGE_METADATA, DELETE_METADATA], Delete),
        ];
        for (changes, outcome) in cases {
            let sum = changes.iter().sum();
            assert_eq!(KeyChanges { sum, ..KeyChanges::default() }.outcome(), outcome, "{changes:?}");
        }
    }
}
