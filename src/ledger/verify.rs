//! Whether a channel's ledger is what its blocks make it (Fabric: `ledgerutil verify`, `peer node rebuild-dbs`).
//!
//! The blocks are walked from the first: numbers, hashes, flags, indexes, the chain of commit hashes. What their valid
//! transactions write is written once more, into a scratch database, and each table is compared with that row by row.
//! Signatures and policies are not judged again; MVCC and phantoms are. Of the indexes of rich queries no block says
//! anything: they are compared with what the state gives.
//!
//! Invariant: the ledger is only read, at one height, so that a node may go on committing; and memory holds a block and
//! two page caches, however long the chain is.

mod private;
mod replay;
mod scratch;
mod tables;

use std::path::Path;

use bytes::Bytes;
use prost::Message;
use redb::ReadableTableMetadata;
use selvedge_proto::common::{Block, BlockMetadataIndex, Metadata};

use self::replay::Replay;
use super::guard::{GuardedWrite, guarded};
use super::rich_query::check::compare_rows;
use super::store::Snapshot;
use super::{Ledger, LedgerError, block};

/// Differences that a report has in words. One damaged page may make thousands.
const WORDED: usize = 20;

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyProgress {
    /// So many blocks of the chain were walked and replayed.
    Blocks {
        /// Done.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// So many rows of the tables were compared.
    Rows {
        /// Done.
        done: u64,
        /// Of how many, as the ledger counts them.
        of: u64,
    },
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The height at which the ledger was looked at.
    pub height: u64,
    /// Blocks that were walked. Fewer than the height when one cannot be read; the tables are not compared then.
    pub blocks: u64,
    /// Transactions in these, and those of them that are valid.
    pub transactions: u64,
    /// See `transactions`.
    pub valid: u64,
    /// Rows of the state: public keys, hashes of private ones, the configuration.
    pub keys: u64,
    /// Rows of the history.
    pub modifications: u64,
    /// The number of the newest configuration block.
    pub last_config: u64,
    /// The header hash of the last block that was walked.
    pub tip: Bytes,
    /// The first differences, in words.
    pub differences: Vec<String>,
    /// All differences.
    pub difference_count: u64,
}

impl VerifyReport {
    /// Whether nothing differs.
    pub fn is_good(&self) -> bool {
        self.difference_count == 0
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.difference_count += 1;
        if self.differences.len() < WORDED {
            self.differences.push(what());
        }
    }
}

impl Ledger {
    /// Walks the chain and compares every table with a replay of it. `scratch` is a folder with room for a second copy of
    /// the tables; the file there has no name and is gone afterwards. Runs long: about as long as committing the blocks
    /// without waiting for the disk took.
    ///
    /// # Errors
    /// When a database fails, or is damaged so that its tables cannot be walked. What is found wrong is no error: see
    /// [`VerifyReport::differences`].
    pub fn verify(
        &self,
        scratch: &Path,
        mut progress: impl FnMut(VerifyProgress),
    ) -> Result<VerifyReport, LedgerError> {
        guarded(|| self.compare(scratch, &mut progress))
    }

    fn compare(&self, scratch: &Path, progress: &mut dyn FnMut(VerifyProgress)) -> Result<VerifyReport, LedgerError> {
        let snapshot = self.snapshot();
        let database = scratch::database(scratch)?;
        // Never committed: that would only make the disk work.
        let transaction = GuardedWrite::begin(&database)?;
        let mut replay = Replay::new(&transaction)?;
        let of = snapshot.tip.height;
        let mut report = VerifyReport { height: of, ..VerifyReport::default() };
        let mut tip = ChainTip::default();
        for number in 0..of {
            match snapshot.block(number) {
                Ok(Some(block)) => {
                    tip = verify_block(&snapshot, &block, number, &tip, &mut replay, &mut report)?;
                }
                Ok(None) => report.differs(|| format!("block {number} is missing")),
                Err(LedgerError::Corrupted(damage)) => report.differs(|| damage),
                Err(fault) => return Err(fault),
            }
            if report.blocks != number + 1 {
                return Ok(report);
            }
            progress(VerifyProgress::Blocks { done: number + 1, of });
        }
        report.tip = tip.hash;
        report.last_config = replay.last_config;
        if snapshot.tip.last_config != replay.last_config {
            let (ledger, blocks) = (snapshot.tip.last_config, replay.last_config);
            report.differs(|| format!("the ledger names {ledger} as its newest configuration block, it is {blocks}"));
        }
        let (blocks, hashes) = (snapshot.blocks.len()?, snapshot.block_by_hash.len()?);
        if (blocks, hashes) != (of, of) {
            report
                .differs(|| format!("the height is {of}, but there are {blocks} blocks and {hashes} hashes of blocks"));
        }
        tables::compare(&snapshot, &replay, &mut report, progress)?;
        compare_rows(&snapshot, |what| report.differs(|| what))?;
        private::verify_values(&snapshot, &mut report)?;
        private::verify_schedule(&snapshot, &replay, &mut report)?;
        Ok(report)
    }
}

/// The end of the chain so far, as the blocks have it.
#[derive(Default)]
struct ChainTip {
    hash: Bytes,
    commit_hash: Bytes,
}

fn verify_block(
    snapshot: &Snapshot,
    block: &Block,
    number: u64,
    tip: &ChainTip,
    replay: &mut Replay<'_>,
    report: &mut VerifyReport,
) -> Result<ChainTip, LedgerError> {
    let header = block.header.clone().unwrap_or_default();
    let data = block.data.clone().unwrap_or_default();
    let mut differs = |what: String| report.differs(|| format!("block {number}: {what}"));
    if header.number != number {
        differs(format!("its header says that it is number {}", header.number));
    }
    if header.previous_hash != tip.hash {
        let (named, is) = (hex::encode(&header.previous_hash), hex::encode(&tip.hash));
        differs(format!("it follows a block with the hash {named}, the block before has {is}"));
    }
    let data_hash = block::data_hash(&data);
    if header.data_hash[..] != data_hash {
        let (named, is) = (hex::encode(&header.data_hash), hex::encode(data_hash));
        differs(format!("its data hash is {named}, its data hashes to {is}"));
    }
    let hash = Bytes::copy_from_slice(&block::header_hash(&header));
    match snapshot.number_by_hash(&hash)? {
        Some(found) if found == number => {}
        Some(found) => differs(format!("the index of hashes leads from it to block {found}")),
        None => differs("the index of hashes has it not".into()),
    }
    let filter = block::metadata(block, BlockMetadataIndex::TransactionsFilter);
    if filter.len() != data.data.len() {
        differs(format!("it has {} transactions and flags for {}", data.data.len(), filter.len()));
    }
    let codes = block::validation_codes(block);
    let updates = replay.block(number, &data.data, &codes, &mut differs)?;
    let commit_hash =
        Metadata::decode(block::metadata(block, BlockMetadataIndex::CommitHash)).unwrap_or_default().value;
    // A chain that began without commit hashes goes on without.
    let expected = match number == 1 || !tip.commit_hash.is_empty() {
        true => Bytes::copy_from_slice(&updates.commit_hash(filter, &tip.commit_hash)),
        false => Bytes::new(),
    };
    if commit_hash != expected {
        let (named, is) = (hex::encode(&commit_hash), hex::encode(&expected));
        differs(format!("its commit hash is {named}, its flags and writes give {is}"));
    }
    private::verify_sets(snapshot, number, &data.data, &codes, replay, report)?;
    replay.apply(number, &updates)?;
    report.blocks += 1;
    report.transactions += codes.len() as u64;
    report.valid +=
        codes.iter().filter(|code| **code == selvedge_proto::protos::TxValidationCode::Valid).count() as u64;
    Ok(ChainTip { hash, commit_hash })
}

#[cfg(test)]
mod tests;
