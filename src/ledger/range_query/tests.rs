//! Summaries against a second implementation, which knows the rules for the tree and the bytes of a row, and nothing of
//! the code here.

use proptest::prelude::*;

use super::*;
use crate::ledger::state::Version;

/// A summary as a reader of the rules sees it: the level, and the hashes there.
#[derive(Debug, PartialEq)]
struct Summary {
    level: u32,
    hashes: Vec<Vec<u8>>,
}

/// The rules: rows are taken in groups of degree + 1, whatever is left makes the last one; a group hashes to a leaf. A
/// level with degree + 1 hashes becomes one hash of the level above. At the end what a level still has goes up, as it is
/// if it is one hash, else as the hash of all; the highest level stays, unless it has more than degree.
fn by_the_rules(rows: &[(String, Version)], degree: usize) -> Option<Summary> {
    if rows.len() <= degree {
        return None;
    }
    let mut tree: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    for group in rows.chunks(degree + 1) {
        tree[0].push(hash(&[group.iter().flat_map(encoded).collect()]));
        let mut level = 0;
        while tree[level].len() == degree + 1 {
            let above = hash(&tree[level]);
            tree[level].clear();
            level += 1;
            if tree.len() == level {
                tree.push(Vec::new());
            }
            tree[level].push(above);
        }
    }
    let mut carried = Vec::new();
    let top = tree.len() - 1;
    for level in &mut tree[..top] {
        level.append(&mut carried);
        if level.len() > 1 {
            carried = vec![hash(level)];
        } else {
            carried.append(level);
        }
    }
    let mut hashes = tree.remove(top);
    hashes.append(&mut carried);
    if hashes.len() > degree {
        return Some(Summary { level: top as u32 + 2, hashes: vec![hash(&hashes)] });
    }
    Some(Summary { level: top as u32 + 1, hashes })
}

fn hash(parts: &[Vec<u8>]) -> Vec<u8> {
    Sha256::digest(parts.concat()).to_vec()
}

/// A row as a field of `QueryReads`: field 1 a `KVRead` with the key as field 1 and the version, always present, as
/// field 2; in that the numbers as fields 1 and 2 unless they are 0.
fn encoded((key, version): &(String, Version)) -> Vec<u8> {
    let mut numbers = Vec::new();
    for (tag, number) in [(0x08, version.block), (0x10, version.tx)] {
        if number != 0 {
            numbers.push(tag);
            numbers.extend(varint(number));
        }
    }
    let read = [element(0x0a, key.as_bytes()), element(0x12, &numbers)].concat();
    element(0x0a, &read)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    [vec![tag], varint(content.len() as u64), content.to_vec()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Rows whose keys and versions are of various lengths.
fn rows(count: usize, seed: u64) -> Vec<(String, Version)> {
    let version = |index: u64| Version { block: (index * seed) % 300, tx: (index * 31 + seed) % 200 };
    (0..count as u64)
        .map(|index| (format!("{index:05}{}", "k".repeat((index % 140) as usize)), version(index)))
        .collect()
}

fn streamed(rows: &[(String, Version)], degree: usize) -> Option<ReadsInfo> {
    let mut reads = RangeQueryReads::new(degree as u32);
    for (key, version) in rows {
        reads.add(KvRead { key: key.clone(), version: Some((*version).into()) });
    }
    reads.finish()
}

fn check(count: usize, degree: usize, seed: u64) -> Result<(), TestCaseError> {
    let rows = rows(count, seed);
    match (streamed(&rows, degree), by_the_rules(&rows, degree)) {
        (None, None) => prop_assert_eq!(count, 0),
        (Some(ReadsInfo::RawReads(raw)), None) => {
            let listed: Vec<u8> = rows.iter().flat_map(encoded).collect();
            prop_assert!(count > 0);
            prop_assert_eq!(raw.encode_to_vec(), listed);
        }
        (Some(ReadsInfo::ReadsMerkleHashes(summary)), Some(expected)) => {
            prop_assert_eq!(summary.max_degree as usize, degree);
            let hashes = summary.max_level_hashes.iter().map(|hash| hash.to_vec()).collect();
            prop_assert_eq!(
                Summary { level: summary.max_level, hashes },
                expected,
                "{} rows, degree {}",
                count,
                degree
            );
        }
        (found, expected) => prop_assert!(false, "{:?} instead of {:?}", found, expected),
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_summary_is_what_the_rules_say(
        count in 0usize..6_000,
        degree in prop_oneof![Just(2usize), Just(3), Just(5), Just(10), Just(50), 2usize..200],
        seed in any::<u32>(),
    ) {
        check(count, degree, u64::from(seed))?;
    }
}

#[test]
fn a_summary_is_what_the_rules_say_where_a_level_is_just_full() {
    for degree in [2, 3, 5, 50] {
        // Whole trees of one, two and more levels, of one level short of full, and a row less or more.
        let full = (1..9).map(|level| (degree + 1usize).pow(level)).take_while(|rows| *rows < 6_000);
        let nearly = full.clone().map(|rows| rows / (degree + 1) * degree);
        for count in full.chain(nearly).flat_map(|rows| rows.saturating_sub(2)..rows + 3).chain(0..3 * degree) {
            check(count, degree, 7).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn fifty_rows_are_listed_and_fifty_one_are_one_hash() {
    let streamed = |count| streamed(&rows(count, 1), MAX_DEGREE as usize);
    assert!(matches!(streamed(50), Some(ReadsInfo::RawReads(raw)) if raw.kv_reads.len() == 50));
    let Some(ReadsInfo::ReadsMerkleHashes(summary)) = streamed(51) else { panic!("fifty-one rows must be hashed") };
    assert_eq!((summary.max_degree, summary.max_level, summary.max_level_hashes.len()), (50, 1, 1));
}
