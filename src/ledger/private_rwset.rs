//! The private half of a simulation's results: plain sets for the members, their hashes for everybody (Fabric:
//! `rwsetutil.RWSetBuilder`, `collPvtRwBuilder`, `collHashRwBuilder`).
//!
//! Endorsers' results are compared byte for byte. Invariant: hashes stand in the order of the plain keys, and what the
//! public half calls the hash of a private set is the hash of exactly the bytes that the members get.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::{
    HashedRwSet, KvMetadataEntry, KvMetadataWrite, KvMetadataWriteHash, KvReadHash, KvWrite, KvWriteHash, KvrwSet,
};
use selvedge_proto::rwset::{CollectionHashedReadWriteSet, CollectionPvtReadWriteSet};
use sha2::{Digest, Sha256};

use super::rwset::Metadata;
use super::state::Version;

/// What a transaction does to one collection.
#[derive(Debug, Default)]
pub(super) struct CollectionBuilder {
    reads: BTreeMap<String, Option<Version>>,
    writes: BTreeMap<String, PrivateWrite>,
    metadata_writes: BTreeMap<String, Metadata>,
}

/// The last write of a private key.
#[derive(Debug)]
pub(super) enum PrivateWrite {
    /// An empty value deletes.
    Value(Bytes),
    /// A delete that asks for the past values too.
    Purge,
}

impl CollectionBuilder {
    pub(super) fn read(&mut self, key: &str, version: Option<Version>) {
        // The snapshot is the same for all reads, so the first version is the version.
        if !self.reads.contains_key(key) {
            self.reads.insert(key.to_owned(), version);
        }
    }

    pub(super) fn write(&mut self, key: &str, write: PrivateWrite) {
        self.writes.insert(key.to_owned(), write);
    }

    pub(super) fn write_metadata(&mut self, key: &str, metadata: Metadata) {
        self.metadata_writes.insert(key.to_owned(), metadata);
    }

    /// The hashes, and the set for the members; none of that where nothing was written.
    pub(super) fn build(self, name: String) -> (CollectionHashedReadWriteSet, Option<CollectionPvtReadWriteSet>) {
        let private = (!self.writes.is_empty() || !self.metadata_writes.is_empty()).then(|| self.private());
        let hashed = CollectionHashedReadWriteSet {
            collection_name: name.clone(),
            hashed_rwset: self.hashed().encode_to_vec().into(),
            pvt_rwset_hash: private.as_ref().map(|set| digest(set)).unwrap_or_default(),
        };
        (hashed, private.map(|rwset| CollectionPvtReadWriteSet { collection_name: name, rwset }))
    }

    /// Of metadata only the key: the entries are everybody's, and members have to know which key got another version.
    fn private(&self) -> Bytes {
        let write = |(key, write): (&String, &PrivateWrite)| match write {
            PrivateWrite::Value(value) => {
                KvWrite { key: key.clone(), is_delete: value.is_empty(), value: value.clone() }
            }
            PrivateWrite::Purge => KvWrite { key: key.clone(), is_delete: true, value: Bytes::new() },
        };
        let bare = |key: &String| KvMetadataWrite { key: key.clone(), entries: Vec::new() };
        let set = KvrwSet {
            writes: self.writes.iter().map(write).collect(),
            metadata_writes: self.metadata_writes.keys().map(bare).collect(),
            ..KvrwSet::default()
        };
        set.encode_to_vec().into()
    }

    fn hashed(self) -> HashedRwSet {
        let read = |(key, version): (String, Option<Version>)| KvReadHash {
            key_hash: digest(key.as_bytes()),
            version: version.map(Into::into),
        };
        let write = |(key, write): (String, PrivateWrite)| {
            let key_hash = digest(key.as_bytes());
            match write {
                PrivateWrite::Value(value) if !value.is_empty() => {
                    KvWriteHash { key_hash, value_hash: digest(&value), ..KvWriteHash::default() }
                }
                PrivateWrite::Value(_) => KvWriteHash { key_hash, is_delete: true, ..KvWriteHash::default() },
                PrivateWrite::Purge => {
                    KvWriteHash { key_hash, is_delete: true, is_purge: true, ..KvWriteHash::default() }
                }
            }
        };
        let metadata = |(key, entries): (String, Metadata)| KvMetadataWriteHash {
            key_hash: digest(key.as_bytes()),
            entries: entries.into_iter().map(|(name, value)| KvMetadataEntry { name, value }).collect(),
        };
        HashedRwSet {
            hashed_reads: self.reads.into_iter().map(read).collect(),
            hashed_writes: self.writes.into_iter().map(write).collect(),
            metadata_writes: self.metadata_writes.into_iter().map(metadata).collect(),
        }
    }
}

/// The SHA-256 under which keys, values and sets are known outside a collection.
pub(super) fn digest(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(bytes))
}
