//! From a program to the results of its simulation: the public half by the simulator, the hashed half by hand.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::{
    HashedRwSet, KvMetadataEntry, KvMetadataWriteHash, KvReadHash, KvWriteHash, Version as ReadVersion,
};
use selvedge_proto::rwset::{CollectionHashedReadWriteSet, NsReadWriteSet, TxReadWriteSet};
use sha2::{Digest, Sha256};

use super::model::{METADATA, Model};
use super::program::{Program, Step, space};
use crate::ledger::TxSimulator;

/// The results of a program on a simulator; `model` is the state that it sees.
pub(super) fn simulate(program: &Program, mut simulator: TxSimulator, model: &Model) -> Bytes {
    let mut hashed: BTreeMap<&str, HashedRwSet> = BTreeMap::new();
    for step in program {
        let (Step::Read(place, _) | Step::Write(place, ..) | Step::Metadata(place, ..) | Step::Range(place, ..)) = step;
        match space(*place) {
            (namespace, "") => public(step, namespace, &mut simulator),
            (namespace, _) => private(step, hashed.entry(namespace).or_default(), model),
        }
    }
    let mut set = TxReadWriteSet::decode(simulator.results().expect("results").public).expect("a read-write set");
    for (namespace, hashed) in hashed {
        let hashed = CollectionHashedReadWriteSet {
            collection_name: super::program::COLLECTION.into(),
            hashed_rwset: hashed.encode_to_vec().into(),
            ..Default::default()
        };
        let place = set.ns_rwset.iter().position(|set| *set.namespace >= *namespace).unwrap_or(set.ns_rwset.len());
        if set.ns_rwset.get(place).is_none_or(|set| set.namespace != namespace) {
            set.ns_rwset.insert(place, NsReadWriteSet { namespace: namespace.into(), ..Default::default() });
        }
        set.ns_rwset[place].collection_hashed_rwset.push(hashed);
    }
    set.encode_to_vec().into()
}

fn public(step: &Step, namespace: &str, simulator: &mut TxSimulator) {
    match step {
        Step::Read(_, key) => drop(simulator.get_state(namespace, key).expect("a read")),
        Step::Write(_, key, Some(value)) => {
            simulator.set_state(namespace, key, Bytes::from_static(value.as_bytes())).expect("a write");
        }
        Step::Write(_, key, None) => simulator.delete_state(namespace, key).expect("a delete"),
        Step::Metadata(_, key, value) => {
            let metadata = value.map(|value| (METADATA.to_owned(), Bytes::from_static(value.as_bytes())));
            simulator.set_state_metadata(namespace, key, metadata.into_iter().collect()).expect("a write");
        }
        Step::Range(_, from, to, limit) => {
            let mut rows = simulator.get_state_range(namespace, from, to).expect("a range");
            let mut read = 0;
            while read < *limit && simulator.next(&mut rows).expect("a row").is_some() {
                read += 1;
            }
        }
    }
}

fn private(step: &Step, set: &mut HashedRwSet, model: &Model) {
    let hash = |plain: &str| Bytes::copy_from_slice(&Sha256::digest(plain));
    match step {
        Step::Read(place, key) => {
            let version = model.written(*place, key).map(|(block_num, tx_num)| ReadVersion { block_num, tx_num });
            set.hashed_reads.push(KvReadHash { key_hash: hash(key), version });
        }
        Step::Write(_, key, value) => {
            set.hashed_writes.retain(|write| write.key_hash != hash(key));
            let write = KvWriteHash {
                key_hash: hash(key),
                is_delete: value.is_none(),
                value_hash: value.map(hash).unwrap_or_default(),
                ..Default::default()
            };
            set.hashed_writes.push(write);
        }
        Step::Metadata(_, key, value) => {
            set.metadata_writes.retain(|write| write.key_hash != hash(key));
            let entry = |value: &str| KvMetadataEntry { name: METADATA.into(), value: value.to_owned().into() };
            set.metadata_writes
                .push(KvMetadataWriteHash { key_hash: hash(key), entries: value.map(entry).into_iter().collect() });
        }
        Step::Range(..) => unreachable!("ranges are public"),
    }
}
