//! What the valid transactions of a block change (Fabric: `privacyenabledstate.UpdateBatch`), and the hash over it.
//!
//! Invariant: a value's metadata survives a write of the value, a metadata write alone keeps the value, and a delete
//! removes both.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use prost::encoding::{self, WireType};
use sha2::{Digest, Sha256};

use super::LedgerError;
use super::key_changes::{Outcome, key_changes};
use super::state::{CommittedState, Space, StateValue, Version};
use super::transaction::NamespaceRwSet;

/// The last change of a key in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Update {
    Put(StateValue),
    Delete(Version),
}

type Keys = BTreeMap<Vec<u8>, Update>;

/// The changes of a block so far: namespace, then collection (the public keys under the empty name), then key.
#[derive(Debug, Default)]
pub(super) struct UpdateBatch {
    namespaces: BTreeMap<String, BTreeMap<String, Keys>>,
}

impl UpdateBatch {
    pub(super) fn get(&self, space: Space<'_>, key: &[u8]) -> Option<&Update> {
        self.keys(space)?.get(key)
    }

    /// The changed public keys of `[from, to)`, deleted ones too; an empty `to` is the namespace's end.
    pub(super) fn range<'a>(
        &'a self,
        namespace: &str,
        from: &'a [u8],
        to: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Update)> {
        let keys = self.keys(Space::public(namespace));
        // The end is looked at row by row: a range whose end precedes its start is empty here, and panics in BTreeMap.
        keys.into_iter()
            .flat_map(move |keys| keys.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)))
            .map(|(key, update)| (key.as_slice(), update))
            .take_while(move |(key, _)| to.is_empty() || *key < to)
    }

    /// Every change with its key of the state table.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &Update)> {
        self.namespaces.iter().flat_map(|(namespace, collections)| {
            collections.iter().flat_map(move |(collection, keys)| {
                let space = Space { namespace, collection };
                keys.iter().map(move |(key, update)| (space.table_key(key), update))
            })
        })
    }

    /// The changes of hashes: chaincode, collection, hash of the key.
    pub(super) fn hashed(&self) -> impl Iterator<Item = (&str, &str, &[u8], &Update)> {
        self.namespaces.iter().flat_map(|(namespace, collections)| {
            collections.iter().filter(|(collection, _)| !collection.is_empty()).flat_map(move |(collection, keys)| {
                keys.iter().map(move |(key, update)| (namespace.as_str(), collection.as_str(), key.as_slice(), update))
            })
        })
    }

    /// Sets a key that no transaction's write set names, as the channel's configuration.
    pub(super) fn put(&mut self, space: Space<'_>, key: &[u8], value: StateValue) {
        self.keys_mut(space).insert(key.to_vec(), Update::Put(value));
    }

    /// Adds the writes of a valid transaction, made at `version`.
    pub(super) fn apply(
        &mut self,
        sets: &[NamespaceRwSet],
        version: Version,
        committed: &impl CommittedState,
    ) -> Result<(), LedgerError> {
        for ((namespace, collection, key), changes) in key_changes(sets) {
            let space = Space { namespace, collection };
            let update = match changes.outcome() {
                Outcome::Delete => Some(Update::Delete(version)),
                Outcome::Put => Some(Update::Put(StateValue {
                    version,
                    metadata: changes.metadata(),
                    value: changes.value.clone(),
                })),
                // As many changes of metadata as make the sum 0.
                Outcome::PutValue if changes.value.is_empty() => None,
                Outcome::PutValue => {
                    let metadata = match self.get(space, key) {
                        Some(Update::Put(latest)) => latest.metadata.clone(),
                        Some(Update::Delete(_)) => Bytes::new(),
                        None => committed.metadata(&space.table_key(key))?,
                    };
                    Some(Update::Put(StateValue { version, metadata, value: changes.value.clone() }))
                }
                Outcome::PutMetadata => {
                    let latest = self.latest(space, key, committed)?;
                    latest.map(|StateValue { value, .. }| {
                        Update::Put(StateValue { version, metadata: changes.metadata(), value })
                    })
                }
            };
            if let Some(update) = update {
                self.keys_mut(space).insert(key.to_vec(), update);
            }
        }
        Ok(())
    }

    fn latest(
        &self,
        space: Space<'_>,
        key: &[u8],
        committed: &impl CommittedState,
    ) -> Result<Option<StateValue>, LedgerError> {
        match self.get(space, key) {
            Some(Update::Put(value)) => Ok(Some(value.clone())),
            Some(Update::Delete(_)) => Ok(None),
            None => committed.get(&space.table_key(key)),
        }
    }

    fn keys(&self, space: Space<'_>) -> Option<&Keys> {
        self.namespaces.get(space.namespace)?.get(space.collection)
    }

    fn keys_mut(&mut self, space: Space<'_>) -> &mut Keys {
        let collections = self.namespaces.entry(space.namespace.to_owned()).or_default();
        collections.entry(space.collection.to_owned()).or_default()
    }

    /// The commit hash of a block: over its filter, these changes and the commit hash before (empty for the first).
    pub(super) fn commit_hash(&self, filter: &[u8], previous: &[u8]) -> [u8; 32] {
        let mut length = Vec::new();
        encoding::encode_varint(filter.len() as u64, &mut length);
        let mut hash = Sha256::new();
        hash.update(length);
        hash.update(filter);
        self.deterministic_bytes(&mut |bytes| hash.update(bytes));
        hash.update(previous);
        hash.finalize().into()
    }

    /// All changes but the channel's configuration, as Fabric marshals them (`KVWritesBatchProto`: each one in field 1, with
    /// namespace, collection, key, is_delete, value and version in its own fields 1 to 6). A name is written for the first
    /// key of its run only.
    fn deterministic_bytes(&self, out: &mut impl FnMut(&[u8])) {
        let (mut entry, mut start) = (Vec::new(), Vec::new());
        for (namespace, collections) in self.namespaces.iter().filter(|(namespace, _)| !namespace.is_empty()) {
            let mut namespace = namespace.as_str();
            for (collection, keys) in collections {
                let mut collection = collection.as_str();
                for (key, update) in keys {
                    entry.clear();
                    field(&mut entry, 1, std::mem::take(&mut namespace).as_bytes());
                    field(&mut entry, 2, std::mem::take(&mut collection).as_bytes());
                    field(&mut entry, 3, key);
                    let version = match update {
                        Update::Put(put) => {
                            field(&mut entry, 5, &put.value);
                            put.version
                        }
                        Update::Delete(version) => {
                            encoding::bool::encode(4, &true, &mut entry);
                            *version
                        }
                    };
                    field(&mut entry, 6, &[ordered(version.block), ordered(version.tx)].concat());
                    start.clear();
                    encoding::encode_key(1, WireType::LengthDelimited, &mut start);
                    encoding::encode_varint(entry.len() as u64, &mut start);
                    out(&start);
                    out(&entry);
                }
            }
        }
    }
}

/// A field of text or bytes, which is not there when it is empty.
fn field(out: &mut Vec<u8>, tag: u32, content: &[u8]) {
    if !content.is_empty() {
        encoding::encode_key(tag, WireType::LengthDelimited, out);
        encoding::encode_varint(content.len() as u64, out);
        out.extend_from_slice(content);
    }
}

/// The number of significant bytes, then these, so that encoded numbers sort as the numbers do.
fn ordered(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let skip = number.leading_zeros() as usize / 8;
    let mut out = vec![(bytes.len() - skip) as u8];
    out.extend_from_slice(&bytes[skip..]);
    out
}
