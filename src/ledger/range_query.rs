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
mod tests;
