//! The check against a serial model: each transaction of a block runs again on the state that the valid ones before it
//! left, and is good if it reads there what it read when it was simulated.

use std::collections::BTreeMap;

use proptest::prelude::*;
use selvedge_proto::kvrwset::{KvWrite, KvrwSet};

use super::*;
use crate::ledger::state::{StateValue, VersionedKey};

/// A state in memory.
#[derive(Clone, Debug, Default)]
struct MemoryState(BTreeMap<Vec<u8>, StateValue>);

impl CommittedState for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<StateValue>, LedgerError> {
        Ok(self.0.get(key).cloned())
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, LedgerError> {
        Ok(self.0.get(key).map(|value| value.version))
    }

    fn range(
        &self,
        from: &[u8],
        to: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<VersionedKey, LedgerError>>, LedgerError> {
        let from = from.to_vec();
        let end = to.map(<[u8]>::to_vec);
        let inside = move |key: &Vec<u8>| match &end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        let rows = self.0.iter().filter(move |(key, _)| **key >= from && inside(key));
        Ok(rows.map(|(key, value)| Ok((key.clone(), value.version))))
    }
}

/// What a chaincode does, over the keys 00 to 39.
#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Put(u8),
    Delete(u8),
    /// From, to, and how many rows it takes.
    Range(u8, u8, usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0u8..40).prop_map(Op::Get),
        (0u8..40).prop_map(Op::Put),
        (0u8..40).prop_map(Op::Delete),
        (0u8..40, 0u8..40, 0usize..12).prop_map(|(from, to, rows)| Op::Range(from, to, rows)),
    ]
}

fn key(number: u8) -> String {
    format!("{number:02}")
}

type Model = BTreeMap<String, Version>;

/// One read of the model: a key's version, or the rows of a range as far as they were taken.
fn observe(op: &Op, model: &Model) -> Option<Vec<(String, Option<Version>)>> {
    match op {
        Op::Get(number) => Some(vec![(key(*number), model.get(&key(*number)).copied())]),
        Op::Range(from, to, take) => Some(rows(*from, *to, model).take(*take + 1).collect()),
        _ => None,
    }
}

fn rows(from: u8, to: u8, model: &Model) -> impl Iterator<Item = (String, Option<Version>)> {
    let (from, to) = (key(from), key(to));
    model.iter().filter(move |(key, _)| **key >= from && **key < to).map(|(key, version)| (key.clone(), Some(*version)))
}

/// The read-write set that the simulator would leave; small degree, so that summaries occur.
fn simulate(ops: &[Op], model: &Model) -> NamespaceRwSet {
    let mut set = KvrwSet::default();
    let mut writes = BTreeMap::new();
    for op in ops {
        match op {
            Op::Get(number) => {
                let version = model.get(&key(*number)).map(|version| (*version).into());
                set.reads.push(KvRead { key: key(*number), version });
            }
            Op::Put(number) => drop(writes.insert(key(*number), "v")),
            Op::Delete(number) => drop(writes.insert(key(*number), "")),
            Op::Range(from, to, take) => {
                let mut reads = RangeQueryReads::new(2);
                let mut info = RangeQueryInfo { start_key: key(*from), ..Default::default() };
                let mut rows = rows(*from, *to, model);
                for _ in 0..=*take {
                    if let Some((row, version)) = rows.next() {
                        reads.add(KvRead { key: row.clone(), version: version.map(Into::into) });
                        info.end_key = row;
                    } else {
                        (info.end_key, info.itr_exhausted) = (key(*to), true);
                        break;
                    }
                }
                info.reads_info = reads.finish();
                set.range_queries_info.push(info);
            }
        }
    }
    set.writes = writes
        .into_iter()
        .map(|(key, value)| KvWrite { key, is_delete: value.is_empty(), value: value.into() })
        .collect();
    NamespaceRwSet { namespace: "cc".into(), public: set, collections: vec![] }
}

proptest! {
    #[test]
    fn a_transaction_is_valid_exactly_when_it_would_read_the_same_in_its_place(
        initial in proptest::collection::btree_set(0u8..40, 0..30),
        transactions in proptest::collection::vec(proptest::collection::vec(op(), 1..5), 1..8),
    ) {
        let zero = Version { block: 0, tx: 0 };
        let simulated: Model = initial.iter().map(|number| (key(*number), zero)).collect();
        let committed = MemoryState(
            simulated
                .iter()
                .map(|(key, version)| {
                    let value = StateValue { version: *version, metadata: Default::default(), value: "v".into() };
                    (public_key("cc", key.as_bytes()), value)
                })
                .collect(),
        );
        let mut serial = simulated.clone();
        let mut updates = UpdateBatch::default();
        let mut touched = std::collections::BTreeSet::new();
        for (index, ops) in transactions.iter().enumerate() {
            let version = Version { block: 1, tx: index as u64 };
            let sets = [simulate(ops, &simulated)];
            let code = check(&sets, &committed, &updates).unwrap();

            let reads_touched = ops.iter().any(|op| matches!(op, Op::Get(number) if touched.contains(number)));
            let same = ops.iter().all(|op| observe(op, &simulated) == observe(op, &serial));
            // A blind delete of an absent key changes nothing, but Fabric counts a key that was written at all.
            prop_assert_eq!(code == TxValidationCode::Valid, same && !reads_touched, "{:?} after {:?}", ops, touched);
            if code == TxValidationCode::Valid {
                updates.apply(&sets, version, &committed).unwrap();
                for op in ops {
                    match op {
                        Op::Put(number) => drop(serial.insert(key(*number), version)),
                        Op::Delete(number) => drop(serial.remove(&key(*number))),
                        _ => continue,
                    }
                    if let Op::Put(number) | Op::Delete(number) = op {
                        touched.insert(*number);
                    }
                }
            }
        }
        let mut after = committed.0.clone();
        for (key, update) in updates.iter() {
            match update {
                Update::Put(value) => drop(after.insert(key, value.clone())),
                Update::Delete(_) => drop(after.remove(&key)),
            }
        }
        let expected: Vec<_> = serial.iter().map(|(key, version)| (public_key("cc", key.as_bytes()), *version)).collect();
        prop_assert_eq!(after.into_iter().map(|(key, value)| (key, value.version)).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_forged_set_cannot_write_the_configuration_or_another_chaincodes_keys() {
    let write = KvWrite { key: "k".into(), is_delete: false, value: "v".into() };
    for namespace in ["", "lscc\0k"] {
        let public = KvrwSet { writes: vec![write.clone()], ..Default::default() };
        let set = NamespaceRwSet { namespace: namespace.into(), public, collections: vec![] };
        let code = check(&[set], &MemoryState::default(), &UpdateBatch::default()).unwrap();
        assert_eq!(code, TxValidationCode::IllegalWriteset, "{namespace:?}");
    }
    let set = NamespaceRwSet { namespace: "cc".into(), collections: vec![Default::default()], ..Default::default() };
    let code = check(&[set], &MemoryState::default(), &UpdateBatch::default()).unwrap();
    assert_eq!(code, TxValidationCode::IllegalWriteset);
}

#[test]
fn a_summary_of_a_degree_that_no_tree_has_is_a_conflict_and_not_an_endless_loop() {
    let committed = MemoryState(BTreeMap::from([(
        public_key("cc", b"k"),
        StateValue { version: Version { block: 0, tx: 0 }, metadata: Default::default(), value: "v".into() },
    )]));
    let summary = kvrwset::QueryReadsMerkleSummary { max_degree: 0, max_level: 1, max_level_hashes: vec![] };
    let query = RangeQueryInfo { reads_info: Some(ReadsInfo::ReadsMerkleHashes(summary)), ..Default::default() };
    let public = KvrwSet { range_queries_info: vec![query], ..Default::default() };
    let set = NamespaceRwSet { namespace: "cc".into(), public, collections: vec![] };
    let code = check(&[set], &committed, &UpdateBatch::default()).unwrap();
    assert_eq!(code, TxValidationCode::PhantomReadConflict);
}

/// As in Fabric, which looks the end up after all other rows.
#[test]
fn the_end_of_a_query_that_stopped_early_counts_even_before_its_start() {
    let version = Version { block: 0, tx: 0 };
    let value = StateValue { version, metadata: Default::default(), value: "v".into() };
    let committed = MemoryState(BTreeMap::from([(public_key("cc", b"a"), value)]));
    let read = KvRead { key: "a".into(), version: Some(version.into()) };
    let code = |itr_exhausted, kv_reads, updates: &UpdateBatch| {
        let reads = ReadsInfo::RawReads(kvrwset::QueryReads { kv_reads });
        let query =
            RangeQueryInfo { start_key: "z".into(), end_key: "a".into(), itr_exhausted, reads_info: Some(reads) };
        let public = KvrwSet { range_queries_info: vec![query], ..Default::default() };
        let set = NamespaceRwSet { namespace: "cc".into(), public, collections: vec![] };
        check(&[set], &committed, updates).unwrap()
    };
    let nothing = UpdateBatch::default();
    assert_eq!(code(false, vec![read.clone()], &nothing), TxValidationCode::Valid);
    assert_eq!(code(false, vec![], &nothing), TxValidationCode::PhantomReadConflict);
    assert_eq!(code(true, vec![], &nothing), TxValidationCode::Valid);
    let mut deleted = UpdateBatch::default();
    let writes = vec![KvWrite { key: "a".into(), is_delete: true, value: Default::default() }];
    let public = KvrwSet { writes, ..Default::default() };
    let set = NamespaceRwSet { namespace: "cc".into(), public, collections: vec![] };
    deleted.apply(&[set], Version { block: 1, tx: 0 }, &committed).unwrap();
    assert_eq!(code(false, vec![read], &deleted), TxValidationCode::PhantomReadConflict);
    assert_eq!(code(false, vec![], &deleted), TxValidationCode::Valid);
}

/// Two writes of a key are a change of its metadata for Fabric, and so the value stays.
#[test]
fn a_key_that_a_forged_set_writes_twice_keeps_its_value() {
    let version = Version { block: 0, tx: 0 };
    let value = StateValue { version, metadata: "m".into(), value: "old".into() };
    let committed = MemoryState(BTreeMap::from([(public_key("cc", b"k"), value)]));
    let write = |key: &str, value: &'static str| KvWrite { key: key.into(), is_delete: false, value: value.into() };
    let writes = vec![write("k", "new"), write("k", "newer"), write("none", "new"), write("none", "newer")];
    let public = KvrwSet { writes, ..Default::default() };
    let set = NamespaceRwSet { namespace: "cc".into(), public, collections: vec![] };
    let mut updates = UpdateBatch::default();
    let version = Version { block: 1, tx: 0 };
    updates.apply(&[set], version, &committed).unwrap();
    let kept = Update::Put(StateValue { version, metadata: Default::default(), value: "old".into() });
    assert_eq!(updates.iter().collect::<Vec<_>>(), [(public_key("cc", b"k"), &kept)]);
}
