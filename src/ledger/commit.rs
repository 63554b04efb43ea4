//! Committing a block: MVCC, then one durable transaction (Fabric: `kvLedger.CommitLegacy`, `txmgr`).
//!
//! Signatures, duplicates, policies and definitions were judged before; their codes come in. Invariant: a fault of the
//! store is never turned into an invalid code. It halts the channel, because a block judged without the state would fork
//! the node.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Block, BlockMetadataIndex, HeaderType, Metadata};
use selvedge_proto::protos::TxValidationCode;

use super::guard::{GuardedDatabase, GuardedWrite, guarded};
use super::private_commit::PrivateCommit;
use super::replaced::{ReplacedChaincode, replaced};
use super::rich_query::couchdb_rules::check_write;
use super::rich_query::space::Part;
use super::state::{CommittedState, NoState, Space, StateValue, Version};
use super::state_database::Indexing;
use super::store::{self, Snapshot, Tip};
use super::transaction::{BlockTransaction, NamespaceRwSet, endorsed_rwset};
use super::updates::{Update, UpdateBatch};
use super::{Ledger, LedgerError, StateDatabase, block, mvcc};

/// Where the channel's configuration stands, in the namespace without a name.
pub(super) const CHANNEL_CONFIG_KEY: &str = "resourcesconfigtx.CHANNEL_CONFIG_KEY";

/// A block that is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct CommittedBlock {
    /// The block with filter and commit hash filled in.
    pub block: Block,
    /// The verdict over each of its transactions.
    pub codes: Vec<TxValidationCode>,
    /// The versions of chaincode that it put out of use; none for a block that was committed before.
    pub replaced: Vec<ReplacedChaincode>,
    /// What it took; nothing for a block that was committed before.
    pub times: CommitTimes,
}

/// How long the steps of a commit took (Fabric: the times in the line of `kvLedger.CommitLegacy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitTimes {
    /// Hashes, MVCC and phantoms, and what there is of private data.
    pub state_validation: Duration,
    /// Block, indexes, state and history into the tables, in memory.
    pub write: Duration,
    /// Until the disk had them.
    pub sync: Duration,
}

impl CommittedBlock {
    fn new(block: Block, replaced: Vec<ReplacedChaincode>, times: CommitTimes) -> Self {
        Self { codes: block::validation_codes(&block), block, replaced, times }
    }
}

impl Ledger {
    /// Appends `block`, durably. `validation` is the verdict of the checks outside, one code for each transaction
    /// (`NOT_VALIDATED` counts as invalid), as [`crate::validation`] comes to it; MVCC and phantoms are judged here.
    ///
    /// A block that was committed before is not committed again: the same one succeeds, another is refused.
    ///
    /// Blocks the thread until the disk has it.
    ///
    /// # Errors
    /// When the block does not follow the newest one or is malformed; when the store fails, which halts the channel; when
    /// the channel is halted.
    pub fn commit(&self, block: Block, validation: &[TxValidationCode]) -> Result<CommittedBlock, LedgerError> {
        self.commit_with(block, validation, |_| ())
    }

    /// The same. `durable` runs once the disk has the block, with the final codes, and before anybody can see it here: what
    /// the block changes elsewhere has changed for whoever has seen the block. It does not run for a block that was
    /// committed before.
    ///
    /// # Errors
    /// As for [`Ledger::commit`].
    pub fn commit_with(
        &self,
        block: Block,
        validation: &[TxValidationCode],
        durable: impl FnOnce(&[TxValidationCode]),
    ) -> Result<CommittedBlock, LedgerError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = self.halted() {
            return Err(LedgerError::Halted { channel: self.channel.clone(), reason: reason.to_owned() });
        }
        let result = guarded(|| self.append(block, validation, durable));
        if let Err(fault) = &result
            && fault.is_fault()
        {
            self.halt(fault.to_string());
        }
        result
    }

    fn append(
        &self,
        block: Block,
        validation: &[TxValidationCode],
        durable: impl FnOnce(&[TxValidationCode]),
    ) -> Result<CommittedBlock, LedgerError> {
        let started = Instant::now();
        let snapshot = self.snapshot();
        let number = check_block(&self.channel, &block, &snapshot.tip)?;
        if number < snapshot.tip.height {
            return self.committed_before(&snapshot, &block, number);
        }
        let transactions = block.data.as_ref().map_or(0, |data| data.data.len());
        if validation.len() != transactions {
            let reason = format!("it has {transactions} transactions, but {} validation codes came", validation.len());
            return Err(bad_block(&self.channel, number, reason));
        }
        let verdict = judge(&block, number, validation, &*snapshot, self.state_database())?;
        let replaced = replaced(&verdict.updates, &*snapshot)?;
        let block = finish(block, &verdict, &snapshot.tip);
        let support = self.private.get().map(|support| &**support);
        let private = PrivateCommit::gather(&self.channel, support, &block, &verdict, &snapshot)?;
        let judged = Instant::now();
        let indexing = self.indexing(&snapshot);
        let transaction = write(&self.database, &block, number, &verdict, &private, &indexing)?;
        let written = Instant::now();
        transaction.commit()?;
        let times =
            CommitTimes { state_validation: judged - started, write: written - judged, sync: written.elapsed() };
        durable(&verdict.codes);

        let last_config = if verdict.has_config { number } else { snapshot.tip.last_config };
        self.set_snapshot(Snapshot::after(&self.database, Tip::after(&block, last_config), &snapshot)?);
        self.height.send_replace(number + 1);
        // Last: it may wait for the disk that an endorsement is written to.
        if let Some(support) = support {
            support.committed(&self.channel, number, &private);
        }
        Ok(CommittedBlock::new(block, replaced, times))
    }

    fn committed_before(&self, snapshot: &Snapshot, block: &Block, number: u64) -> Result<CommittedBlock, LedgerError> {
        let committed = snapshot.indexed_block(number)?;
        if committed.header == block.header {
            return Ok(CommittedBlock::new(committed, Vec::new(), CommitTimes::default()));
        }
        Err(bad_block(&self.channel, number, "another block of this number is committed already".into()))
    }
}

/// Writes block 0 into a new database.
pub(super) fn write_genesis(database: &GuardedDatabase, channel: &str, genesis: &Block) -> Result<(), LedgerError> {
    let tip = Tip::default();
    let number = check_block(channel, genesis, &tip)?;
    let valid = vec![TxValidationCode::Valid; genesis.data.as_ref().map_or(0, |data| data.data.len())];
    let verdict = judge(genesis, number, &valid, &NoState, StateDatabase::GoLevelDb)?;
    let block = finish(genesis.clone(), &verdict, &tip);
    write(database, &block, number, &verdict, &PrivateCommit::default(), &Indexing::default())?.commit()?;
    Ok(())
}

fn bad_block(channel: &str, number: u64, reason: String) -> LedgerError {
    LedgerError::BadBlock { channel: channel.to_owned(), number, reason }
}

/// Whether the block is one and can follow `tip`; returns its number.
fn check_block(channel: &str, block: &Block, tip: &Tip) -> Result<u64, LedgerError> {
    let Some(header) = &block.header else { return Err(bad_block(channel, 0, "it has no header".into())) };
    let refuse = |reason| Err(bad_block(channel, header.number, reason));
    let data_hash = block::data_hash(block.data.as_ref().unwrap_or(&Default::default()));
    if header.data_hash[..] != data_hash {
        return refuse(format!("its data hash is {}, its data hashes to {}", hex(&header.data_hash), hex(&data_hash)));
    }
    if header.number > tip.height {
        return refuse(format!("the next block is number {}", tip.height));
    }
    if header.number == tip.height && header.previous_hash != tip.hash {
        let (named, newest) = (hex(&header.previous_hash), hex(&tip.hash));
        return refuse(format!("it follows block {named}, the newest block is {newest}"));
    }
    Ok(header.number)
}

fn hex(bytes: &[u8]) -> String {
    ::hex::encode(bytes)
}

/// What a block comes to.
pub(super) struct Verdict {
    pub(super) codes: Vec<TxValidationCode>,
    pub(super) updates: UpdateBatch,
    /// Namespace, key and transaction of each public write.
    history: Vec<(String, String, u64)>,
    /// Each transaction's id as [`BlockTransaction::indexed_id`] has it.
    pub(super) txids: Vec<String>,
    /// Whether each transaction may have written to collections. The read-write sets of those that were refused before were
    /// not looked at.
    pub(super) collections: Vec<bool>,
    has_config: bool,
    database: StateDatabase,
}

fn judge(
    block: &Block,
    number: u64,
    validation: &[TxValidationCode],
    committed: &impl CommittedState,
    database: StateDatabase,
) -> Result<Verdict, LedgerError> {
    let data = block.data.as_ref().map_or(&[][..], |data| &data.data);
    let mut verdict = Verdict {
        codes: Vec::with_capacity(data.len()),
        updates: UpdateBatch::default(),
        history: Vec::new(),
        txids: Vec::with_capacity(data.len()),
        collections: vec![true; data.len()],
        has_config: false,
        database,
    };
    for (index, (envelope, outside)) in data.iter().zip(validation).enumerate() {
        let version = Version { block: number, tx: index as u64 };
        let transaction = BlockTransaction::decode(envelope);
        let code = match &transaction {
            // The checks outside let no such envelope pass; if one did, its verdict must not depend on us.
            None if *outside == TxValidationCode::Valid => TxValidationCode::InvalidOtherReason,
            None => *outside,
            Some(transaction) => verdict.judge_one(transaction, *outside, version, committed)?,
        };
        verdict.codes.push(code);
        verdict.txids.push(transaction.map(|transaction| transaction.indexed_id()).unwrap_or_default());
    }
    Ok(verdict)
}

impl Verdict {
    fn judge_one(
        &mut self,
        transaction: &BlockTransaction,
        outside: TxValidationCode,
        version: Version,
        committed: &impl CommittedState,
    ) -> Result<TxValidationCode, LedgerError> {
        match transaction.header_type() {
            _ if outside != TxValidationCode::Valid => return Ok(outside),
            Some(HeaderType::EndorserTransaction) => {}
            Some(HeaderType::Config) => return Ok(self.apply_config(transaction, version)),
            _ => return Ok(TxValidationCode::UnsupportedTxPayload),
        }
        let sets = match endorsed_rwset(transaction) {
            Ok(sets) => sets,
            Err(code) => return Ok(code),
        };
        self.collections[version.tx as usize] = sets.iter().any(|set| !set.collections.is_empty());
        if self.database == StateDatabase::CouchDb && !sets.iter().all(couchdb_takes) {
            return Ok(TxValidationCode::InvalidWriteset);
        }
        let code = mvcc::check(&sets, committed, &self.updates)?;
        if code == TxValidationCode::Valid {
            self.updates.apply(&sets, version, committed)?;
            self.remember(sets, version.tx);
        }
        Ok(code)
    }

    fn apply_config(&mut self, transaction: &BlockTransaction, version: Version) -> TxValidationCode {
        let config = match transaction.config() {
            Ok(envelope) => envelope.config.unwrap_or_default(),
            Err(code) => return code,
        };
        let value = StateValue { version, metadata: Bytes::new(), value: config.encode_to_vec().into() };
        self.updates.put(Space::public(""), CHANNEL_CONFIG_KEY.as_bytes(), value);
        self.has_config = true;
        TxValidationCode::Valid
    }

    /// Each id with its first place in the block and the verdict there. Sorted, because neighbours share pages.
    fn first_occurrences(&self) -> Vec<(&str, u32, u8)> {
        let places = (0..).zip(self.txids.iter().zip(&self.codes));
        let places = places.map(|(index, (txid, code))| (txid.as_str(), index, *code as i32 as u8));
        let mut ids: Vec<_> = places.filter(|(txid, ..)| !txid.is_empty()).collect();
        ids.sort_unstable();
        ids.dedup_by_key(|(txid, ..)| *txid);
        ids
    }

    /// The history in the order of its table.
    fn sorted_history(&self) -> Vec<&(String, String, u64)> {
        let mut history: Vec<_> = self.history.iter().collect();
        history.sort_unstable();
        history
    }

    fn remember(&mut self, sets: Vec<NamespaceRwSet>, tx: u64) {
        for set in sets {
            self.history.extend(set.public.writes.into_iter().map(|write| (set.namespace.clone(), write.key, tx)));
        }
    }
}

/// Whether a peer with CouchDB could write what the set says.
fn couchdb_takes(set: &NamespaceRwSet) -> bool {
    set.public.writes.iter().all(|write| check_write(&write.key, &write.value).is_ok())
}

/// Fills in what the committer adds to a block's metadata.
fn finish(mut block: Block, verdict: &Verdict, tip: &Tip) -> Block {
    let filter: Vec<u8> = verdict.codes.iter().map(|code| *code as i32 as u8).collect();
    if tip.height == 1 || !tip.commit_hash.is_empty() {
        let hash = verdict.updates.commit_hash(&filter, &tip.commit_hash);
        let metadata = Metadata { value: Bytes::copy_from_slice(&hash), signatures: Vec::new() };
        block::set_metadata(&mut block, BlockMetadataIndex::CommitHash, metadata.encode_to_vec().into());
    }
    block::set_metadata(&mut block, BlockMetadataIndex::TransactionsFilter, filter.into());
    block
}

/// Block, indexes, state, history and private data in one transaction, which is durable once it is committed.
fn write(
    database: &GuardedDatabase,
    block: &Block,
    number: u64,
    verdict: &Verdict,
    private: &PrivateCommit,
    indexing: &Indexing<'_>,
) -> Result<GuardedWrite, LedgerError> {
    let mut transaction = GuardedWrite::begin(database)?;
    // Reopening after a crash must not walk the whole database.
    transaction.set_quick_repair(true);
    let mut indexed = indexing.open(&transaction)?;
    {
        let header = block.header.clone().unwrap_or_default();
        let mut blocks = transaction.open_table(store::BLOCKS)?;
        store::insert_block(&mut blocks, number, block)?;
        let mut by_hash = transaction.open_table(store::BLOCK_BY_HASH)?;
        by_hash.insert(block::header_hash(&header).as_slice(), number)?;

        let mut transactions = transaction.open_table(store::TRANSACTIONS)?;
        for (txid, index, code) in verdict.first_occurrences() {
            // On the ledger, too, the id stays with its first occurrence.
            let before = transactions.insert(txid, (number, index, code))?.map(|place| place.value());
            if let Some(before) = before {
                transactions.insert(txid, before)?;
            }
        }
        let mut state = transaction.open_table(store::STATE)?;
        for (key, update) in verdict.updates.iter() {
            let new = match update {
                Update::Put(value) => Some(value.encode()),
                Update::Delete(_) => None,
            };
            let old = match &new {
                Some(new) => state.insert(key.as_slice(), new.as_slice())?,
                None => state.remove(key.as_slice())?,
            };
            indexed.update(Part::Public, &key, old.as_ref().map(|old| old.value()), new.as_deref())?;
        }
        private.write(&transaction, number, &verdict.updates, &mut state, &mut indexed)?;
        let mut history = transaction.open_table(store::HISTORY)?;
        for (namespace, key, tx) in verdict.sorted_history() {
            history.insert((namespace.as_str(), key.as_str(), number, *tx), ())?;
        }
        let mut channel = transaction.open_table(store::CHANNEL)?;
        if verdict.has_config {
            channel.insert(store::LAST_CONFIG, number)?;
        }
    }
    indexed.finish(&transaction, number + 1)?;
    indexing.define_deployed(&transaction, &verdict.updates, number + 1)?;
    Ok(transaction)
}

#[cfg(test)]
mod tests;
