//! Collects what a simulation reads and writes, and marshals it (Fabric: `rwsetutil.RWSetBuilder`).
//!
//! Endorsers' results are compared byte for byte. Invariant: everything is sorted by the bytes of its name, range queries
//! stand in the order of their creation, and a namespace that was touched has an entry even if nothing is in it. Private
//! data is in `private_rwset.rs`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::{KvMetadataEntry, KvMetadataWrite, KvRead, KvWrite, KvrwSet, RangeQueryInfo};
use selvedge_proto::rwset::{NsPvtReadWriteSet, NsReadWriteSet, TxPvtReadWriteSet, TxReadWriteSet};

use super::private_rwset::CollectionBuilder;
use super::state::Version;

/// Named values beside a key's value.
pub(super) type Metadata = BTreeMap<String, Bytes>;

#[derive(Debug, Default)]
pub(super) struct RwSetBuilder {
    namespaces: BTreeMap<String, NamespaceBuilder>,
}

#[derive(Debug, Default)]
struct NamespaceBuilder {
    reads: BTreeMap<String, Option<Version>>,
    range_queries: Vec<RangeQueryInfo>,
    writes: BTreeMap<String, Bytes>,
    metadata_writes: BTreeMap<String, Metadata>,
    collections: BTreeMap<String, CollectionBuilder>,
}

impl RwSetBuilder {
    pub(super) fn read(&mut self, namespace: &str, key: &str, version: Option<Version>) {
        let reads = &mut self.namespace(namespace).reads;
        // The snapshot is the same for all reads, so the first version is the version.
        if !reads.contains_key(key) {
            reads.insert(key.to_owned(), version);
        }
    }

    /// An empty value deletes.
    pub(super) fn write(&mut self, namespace: &str, key: &str, value: Bytes) {
        self.namespace(namespace).writes.insert(key.to_owned(), value);
    }

    pub(super) fn write_metadata(&mut self, namespace: &str, key: &str, metadata: Metadata) {
        self.namespace(namespace).metadata_writes.insert(key.to_owned(), metadata);
    }

    pub(super) fn range_query(&mut self, namespace: &str, query: RangeQueryInfo) {
        self.namespace(namespace).range_queries.push(query);
    }

    /// What is done to a collection. Touching it is touching its namespace.
    pub(super) fn collection(&mut self, namespace: &str, collection: &str) -> &mut CollectionBuilder {
        self.namespace(namespace).collections.entry(collection.to_owned()).or_default()
    }

    /// The marshalled public set, and the private one where a collection was written to.
    pub(super) fn marshal(self) -> (Bytes, Option<TxPvtReadWriteSet>) {
        let mut ns_pvt_rwset = Vec::new();
        let mut ns_rwset = Vec::with_capacity(self.namespaces.len());
        for (namespace, mut builder) in self.namespaces {
            let collections = std::mem::take(&mut builder.collections).into_iter();
            let (hashed, private): (Vec<_>, Vec<_>) =
                collections.map(|(name, collection)| collection.build(name)).unzip();
            let collection_pvt_rwset: Vec<_> = private.into_iter().flatten().collect();
            if !collection_pvt_rwset.is_empty() {
                ns_pvt_rwset.push(NsPvtReadWriteSet { namespace: namespace.clone(), collection_pvt_rwset });
            }
            ns_rwset.push(NsReadWriteSet {
                namespace,
                rwset: builder.build().encode_to_vec().into(),
                collection_hashed_rwset: hashed,
            });
        }
        // The data model KV is 0, which is not written.
        let private = (!ns_pvt_rwset.is_empty()).then_some(TxPvtReadWriteSet { data_model: 0, ns_pvt_rwset });
        (TxReadWriteSet { data_model: 0, ns_rwset }.encode_to_vec().into(), private)
    }

    fn namespace(&mut self, namespace: &str) -> &mut NamespaceBuilder {
        if !self.namespaces.contains_key(namespace) {
            self.namespaces.insert(namespace.to_owned(), NamespaceBuilder::default());
        }
        self.namespaces.get_mut(namespace).expect("it was inserted above")
    }
}

impl NamespaceBuilder {
    fn build(self) -> KvrwSet {
        let mut queries = BTreeSet::new();
        let first = |query: &RangeQueryInfo| {
            queries.insert((query.start_key.clone(), query.end_key.clone(), query.itr_exhausted))
        };
        let entry = |(name, value)| KvMetadataEntry { name, value };
        KvrwSet {
            reads: self.reads.into_iter().map(|(key, version)| read(key, version)).collect(),
            range_queries_info: self.range_queries.into_iter().filter(first).collect(),
            writes: self
                .writes
                .into_iter()
                .map(|(key, value)| KvWrite { key, is_delete: value.is_empty(), value })
                .collect(),
            metadata_writes: self
                .metadata_writes
                .into_iter()
                .map(|(key, entries)| KvMetadataWrite { key, entries: entries.into_iter().map(entry).collect() })
                .collect(),
        }
    }
}

/// A read as the set holds it: the version is absent for a key that does not exist.
pub(super) fn read(key: String, version: Option<Version>) -> KvRead {
    KvRead { key, version: version.map(Into::into) }
}
