//! A channel in memory that runs programs one after the other.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use selvedge_proto::kvrwset::{KvMetadataEntry, KvMetadataWrite};
use sha2::{Digest, Sha256};

use super::program::{Place, Program, Step, space};
use crate::ledger::state::{Space, StateValue, Version};

/// The name under which programs keep metadata.
pub(super) const METADATA: &str = "owner";

/// Block and transaction.
type Position = (u64, u64);

/// A key in its place. Places sort as they stand in a read-write set: by namespace, the public keys first.
type Key = ((&'static str, &'static str), String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    written: Position,
    value: &'static str,
    metadata: Option<&'static str>,
}

/// Namespace and public key to the ids of the transactions that wrote it, and whether they deleted it.
type Histories = BTreeMap<(&'static str, String), Vec<(String, bool)>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Valid,
    ReadConflict,
    PhantomConflict,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    rows: BTreeMap<Key, Row>,
    histories: Histories,
    commit_hash: Vec<u8>,
    /// What the open block changed, and where.
    changed: BTreeMap<Key, Position>,
}

/// Where a read-write set tells a read: namespace and collection, keys before ranges.
type Told<'a> = ((&'a str, &'a str), bool);

impl Model {
    /// When a key was written.
    pub(super) fn written(&self, place: Place, key: &str) -> Option<Position> {
        self.rows.get(&(space(place), key.to_owned())).map(|row| row.written)
    }

    /// What a program sees of a range: its rows, as many as it asks for, and whether it saw that there are no more.
    fn range(&self, place: Place, from: &str, to: &str, limit: usize) -> (Vec<(&str, Position)>, bool) {
        let inside = |key: &str| key >= from && (to.is_empty() || key < to);
        let mut rows = self.rows.iter().filter(|((at, key), _)| *at == space(place) && inside(key));
        let seen: Vec<_> = rows.by_ref().take(limit).map(|((_, key), row)| (key.as_str(), row.written)).collect();
        let ended = seen.len() < limit;
        (seen, ended)
    }

    /// Runs a program that was simulated on `simulated`, if it sees the same here.
    pub(super) fn run(&mut self, program: &Program, simulated: &Self, position: Position, txid: &str) -> Verdict {
        if let Some((_, verdict)) = self.conflicts(program, simulated).first() {
            return *verdict;
        }
        self.apply(program, position, txid);
        Verdict::Valid
    }

    /// All that is not as it was, in the order in which a read-write set tells it.
    fn conflicts(&self, program: &Program, simulated: &Self) -> BTreeSet<(Told<'_>, Verdict)> {
        let conflict = |step: &Step| match step {
            Step::Read(place, key) => {
                // A key that was deleted in this block is touched, even if there was none before.
                let touched = self.changed.contains_key(&(space(*place), key.clone()));
                let differs = self.written(*place, key) != simulated.written(*place, key);
                (touched || differs).then(|| ((space(*place), false), Verdict::ReadConflict))
            }
            Step::Range(place, from, to, rows) => {
                let differs = self.range(*place, from, to, *rows) != simulated.range(*place, from, to, *rows);
                differs.then(|| ((space(*place), true), Verdict::PhantomConflict))
            }
            Step::Write(..) | Step::Metadata(..) => None,
        };
        program.iter().filter_map(conflict).collect()
    }

    /// What it writes: values first, then metadata, the last of each key.
    fn apply(&mut self, program: &Program, written: Position, txid: &str) {
        let (mut values, mut metadata) = (BTreeMap::new(), BTreeMap::new());
        for step in program {
            match step {
                Step::Write(place, key, value) => {
                    values.insert((space(*place), key.clone()), value.filter(|value| !value.is_empty()));
                }
                Step::Metadata(place, key, value) => drop(metadata.insert((space(*place), key.clone()), *value)),
                Step::Read(..) | Step::Range(..) => {}
            }
        }
        for (key, value) in values {
            self.changed.insert(key.clone(), written);
            let ((namespace, collection), name) = &key;
            if collection.is_empty() {
                let history = self.histories.entry((*namespace, name.clone())).or_default();
                history.push((txid.to_owned(), value.is_none()));
            }
            match value {
                Some(value) => {
                    let metadata = self.rows.get(&key).and_then(|row| row.metadata);
                    self.rows.insert(key, Row { written, value, metadata });
                }
                None => drop(self.rows.remove(&key)),
            }
        }
        for (key, metadata) in metadata {
            if let Some(row) = self.rows.get_mut(&key) {
                (row.metadata, row.written) = (metadata, written);
                self.changed.insert(key, written);
            }
        }
    }

    /// Ends the block, whose verdicts are `filter`; returns its commit hash.
    pub(super) fn end_block(&mut self, filter: &[u8]) -> &[u8] {
        // Fewer than 128 transactions, so their number is one byte.
        let mut hashed = vec![filter.len() as u8];
        hashed.extend(filter);
        let (mut last_namespace, mut last_space) = ("", ("", ""));
        // By namespace, collection and key, where a collection's keys are hashes.
        let changed = std::mem::take(&mut self.changed);
        let mut changed: Vec<_> = changed.into_iter().map(|(key, at)| (key.0, table_part(&key), key, at)).collect();
        changed.sort();
        for ((namespace, collection), part, key, (block, tx)) in changed {
            let row = self.rows.get(&key).map(|row| stored(collection, row.value));
            let mut entry = Vec::new();
            if namespace != last_namespace {
                field(&mut entry, 1, namespace.as_bytes());
            }
            if !collection.is_empty() && (namespace, collection) != last_space {
                field(&mut entry, 2, collection.as_bytes());
            }
            field(&mut entry, 3, &part);
            match &row {
                Some(value) => field(&mut entry, 5, value),
                None => entry.extend([4 << 3, 1]),
            }
            field(&mut entry, 6, &[ordered(block), ordered(tx)].concat());
            field(&mut hashed, 1, &entry);
            (last_namespace, last_space) = (namespace, (namespace, collection));
        }
        hashed.extend(&self.commit_hash);
        self.commit_hash = Sha256::digest(hashed).to_vec();
        &self.commit_hash
    }

    pub(super) fn commit_hash(&self) -> &[u8] {
        &self.commit_hash
    }

    pub(super) fn histories(&self) -> &Histories {
        &self.histories
    }

    /// The table of the state as it has to be.
    pub(super) fn rows(&self) -> BTreeMap<Vec<u8>, StateValue> {
        let row = |(key, row): (&Key, &Row)| {
            let (namespace, collection) = key.0;
            let entry = |value: &str| KvMetadataEntry { name: METADATA.into(), value: value.to_owned().into() };
            let metadata = |value| KvMetadataWrite { key: String::new(), entries: vec![entry(value)] }.encode_to_vec();
            let value = StateValue {
                version: Version { block: row.written.0, tx: row.written.1 },
                metadata: row.metadata.map(metadata).unwrap_or_default().into(),
                value: stored(collection, row.value).into(),
            };
            (Space { namespace, collection }.table_key(&table_part(key)), value)
        };
        self.rows.iter().map(row).collect()
    }
}

/// A key as it is kept: of a collection, its hash.
fn table_part(((_, collection), key): &Key) -> Vec<u8> {
    stored(collection, key)
}

/// A key or a value as it is kept: of a collection, its hash.
fn stored(collection: &str, plain: &str) -> Vec<u8> {
    if collection.is_empty() { plain.into() } else { Sha256::digest(plain).to_vec() }
}

/// A length-delimited field of a message.
fn field(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = content.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(content);
}

/// How many bytes a number has, then these.
fn ordered(number: u64) -> Vec<u8> {
    let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [vec![bytes.len() as u8], bytes].concat()
}
