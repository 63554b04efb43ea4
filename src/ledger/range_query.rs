//! What a range query leaves in a read-write set: its keys and versions, or a Merkle summary of them
//! (Fabric: `rwsetutil.RangeQueryResultsHelper`).
//!
//! The simulator records with it and the commit re-runs with it. Invariant: the summary depends on the sequence of reads
//! and the degree alone, so that two peers get the same bytes.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::range_query_info::ReadsInfo;
use selvedge_proto::kvrwset::{KvRead, QueryReads, QueryReadsMerkleSummary};
use sha2::{Digest, Sha256};

/// Results up to this number are listed, more are hashed in a tree of this degree. Every peer has to use the same.
pub(super) const MAX_DEGREE: u32 = 50;

/// Collects the rows of one range query.
#[derive(Debug)]
pub(super) struct RangeQueryReads {
    max_degree: usize,
    pending: Vec<KvRead>,
    /// Hashes of each level, leaves first. No level: nothing was hashed.
    levels: Vec<Vec<Bytes>>,
}

impl RangeQueryReads {
    pub(super) fn new(max_degree: u32) -> Self {
        Self { max_degree: max_degree as usize, pending: Vec::new(), levels: Vec::new() }
    }

    pub(super) fn add(&mut self, read: KvRead) {
        self.pending.push(read);
        if self.pending.len() > self.max_degree {
            self.hash_pending();
        }
    }

    /// What goes into the read-write set; none for a query without results.
    pub(super) fn finish(mut self) -> Option<ReadsInfo> {
        if self.levels.is_empty() {
            let kv_reads = self.pending;
            return (!kv_reads.is_empty()).then_some(ReadsInfo::RawReads(QueryReads { kv_reads }));
        }
        if !self.pending.is_empty() {
            self.hash_pending();
        }
        for level in 0..self.levels.len() - 1 {
            let hashes = std::mem::take(&mut self.levels[level]);
            match hashes.len() {
                0 => {}
                1 => self.levels[level + 1].extend(hashes),
                _ => self.levels[level + 1].push(combine(&hashes)),
            }
        }
        let mut top = self.levels.pop().unwrap_or_default();
        let mut max_level = self.levels.len() + 1;
        if top.len() > self.max_degree {
            top = vec![combine(&top)];
            max_level += 1;
        }
        Some(ReadsInfo::ReadsMerkleHashes(QueryReadsMerkleSummary {
            max_degree: self.max_degree as u32,
            max_level: max_level as u32,
            max_level_hashes: top,
        }))
    }

    fn hash_pending(&mut self) {
        let leaf = QueryReads { kv_reads: std::mem::take(&mut self.pending) };
        let mut hash = digest(&leaf.encode_to_vec());
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if self.levels[level].len() <= self.max_degree {
                return;
            }
            hash = combine(&std::mem::take(&mut self.levels[level]));
        }
    }
}

fn combine(hashes: &[Bytes]) -> Bytes {
    digest(&hashes.concat())
}

fn digest(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reads(count: usize) -> Vec<KvRead> {
        let version = |tx_num| Some(selvedge_proto::kvrwset::Version { block_num: 3, tx_num });
        (0..count).map(|i| KvRead { key: format!("k{i:06}"), version: version(i as u64) }).collect()
    }

    fn streamed(reads: &[KvRead], degree: u32) -> Option<ReadsInfo> {
        let mut helper = RangeQueryReads::new(degree);
        reads.iter().cloned().for_each(|read| helper.add(read));
        helper.finish()
    }

    /// The rules of the specification over the whole list at once: each level in groups of degree + 1.
    fn at_once(reads: &[KvRead], degree: usize) -> Option<ReadsInfo> {
        if reads.len() <= degree {
            let kv_reads = reads.to_vec();
            return (!kv_reads.is_empty()).then_some(ReadsInfo::RawReads(QueryReads { kv_reads }));
        }
        let leaf = |group: &[KvRead]| digest(&QueryReads { kv_reads: group.to_vec() }.encode_to_vec());
        // Full groups travel up at once; what is left of each level is folded from below at the end.
        let mut complete: Vec<Bytes> = reads.chunks_exact(degree + 1).map(leaf).collect();
        let rest = reads.chunks_exact(degree + 1).remainder();
        if !rest.is_empty() {
            complete.push(leaf(rest));
        }
        let mut carried: Option<Bytes> = None;
        let mut level = 1;
        loop {
            let groups = complete.chunks_exact(degree + 1);
            let mut left = groups.remainder().to_vec();
            let next: Vec<Bytes> = groups.map(combine).collect();
            left.extend(carried.take());
            if next.is_empty() {
                if left.len() > degree {
                    (left, level) = (vec![combine(&left)], level + 1);
                }
                return Some(ReadsInfo::ReadsMerkleHashes(QueryReadsMerkleSummary {
                    max_degree: degree as u32,
                    max_level: level,
                    max_level_hashes: left,
                }));
            }
            carried = match left.len() {
                0 => None,
                1 => left.pop(),
                _ => Some(combine(&left)),
            };
            (complete, level) = (next, level + 1);
        }
    }

    proptest! {
        #[test]
        fn the_summary_built_row_by_row_is_that_of_the_whole_list(count in 0usize..400, degree in 1u32..7) {
            prop_assert_eq!(streamed(&reads(count), degree), at_once(&reads(count), degree as usize));
        }
    }

    #[test]
    fn fifty_rows_are_listed_and_fifty_one_are_one_hash() {
        assert!(matches!(streamed(&reads(50), MAX_DEGREE), Some(ReadsInfo::RawReads(raw)) if raw.kv_reads.len() == 50));
        let Some(ReadsInfo::ReadsMerkleHashes(summary)) = streamed(&reads(51), MAX_DEGREE) else {
            panic!("fifty-one rows must be hashed")
        };
        assert_eq!((summary.max_degree, summary.max_level, summary.max_level_hashes.len()), (50, 1, 1));
    }
}
