//! Committing a block: duplicates, MVCC, then one durable transaction (Fabric: `kvLedger.CommitLegacy`, `txmgr`).
//!
//! Signatures, policies and definitions were judged before; their codes come in. Invariant: a fault of the store is never
//! turned into an invalid code. It halts the channel, because a block judged without the state would fork the node.

use std::collections::HashSet;
use std::sync::PoisonError;

use bytes::Bytes;
use prost::Message;
use redb::{Database, ReadableTable};
use selvedge_proto::common::{Block, BlockMetadataIndex, HeaderType, Metadata};
use selvedge_proto::protos::TxValidationCode;

use super::private_commit::PrivateCommit;
use super::rich_query::couchdb_rules::check_write;
use super::rich_query::store::Part;
use super::state::{CommittedState, NoState, Space, StateValue, Version};
use super::state_database::Indexing;
use super::store::{self, Snapshot, Tip};
use super::transaction::{BlockTransaction, NamespaceRwSet, endorsed_rwset};
use super::updates::{Update, UpdateBatch};
use super::{Ledger, LedgerError, StateDatabase, block, mvcc};

/// Where the channel's configuration stands, in the namespace without a name.
const CHANNEL_CONFIG_KEY: &str = "resourcesconfigtx.CHANNEL_CONFIG_KEY";

/// What the one who commits keeps to itself.
#[derive(Debug, Default)]
pub(super) struct Writer {
    halted: Option<String>,
}

/// A block that is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct CommittedBlock {
    /// The block with filter and commit hash filled in.
    pub block: Block,
    /// The verdict over each of its transactions.
    pub codes: Vec<TxValidationCode>,
}

impl CommittedBlock {
    fn new(block: Block) -> Self {
        Self { codes: block::validation_codes(&block), block }
    }
}

impl Ledger {
    /// Appends `block`, durably. `validation` is the verdict of the checks outside, one code for each transaction
    /// (`NOT_VALIDATED` counts as invalid); duplicates, MVCC and phantoms are judged here. Where a duplicate fails a check
    /// that Fabric makes after the look-up of the id, it gets Fabric's code, `DUPLICATE_TXID`.
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
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &writer.halted {
            return Err(LedgerError::Halted { channel: self.channel.clone(), reason: reason.clone() });
        }
        let result = self.append(block, validation, durable);
        if let Err(fault) = &result
            && fault.is_fault()
        {
            tracing::error!(channel = self.channel, error = %fault, "the channel is halted");
            writer.halted = Some(fault.to_string());
        }
        result
    }

    fn append(
        &self,
        block: Block,
        validation: &[TxValidationCode],
        durable: impl FnOnce(&[TxValidationCode]),
    ) -> Result<CommittedBlock, LedgerError> {
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
        let known = |txid: &str| Ok(snapshot.transaction(txid)?.is_some());
        let verdict = judge(&block, number, validation, &*snapshot, known, self.state_database())?;
        let block = finish(block, &verdict, &snapshot.tip);
        let support = self.private.get().map(|support| &**support);
        let private =
            PrivateCommit::gather(&self.channel, support, &block, &verdict.codes, &verdict.updates, &snapshot)?;
        write(&self.database, &block, number, &verdict, &private, &self.indexing(&snapshot))?;
        durable(&verdict.codes);
        if let Some(support) = support {
            support.committed(&self.channel, number, &private);
        }

        let snapshot = Snapshot::open(&self.database)?;
        let height = snapshot.tip.height;
        self.set_snapshot(snapshot);
        self.height.send_replace(height);
        Ok(CommittedBlock::new(block))
    }

    fn committed_before(&self, snapshot: &Snapshot, block: &Block, number: u64) -> Result<CommittedBlock, LedgerError> {
        let committed = snapshot.indexed_block(number)?;
        if committed.header == block.header {
            return Ok(CommittedBlock::new(committed));
        }
        Err(bad_block(&self.channel, number, "another block of this number is committed already".into()))
    }
}

/// Writes block 0 into a new database.
pub(super) fn write_genesis(database: &Database, channel: &str, genesis: &Block) -> Result<(), LedgerError> {
    let tip = Tip::default();
    let number = check_block(channel, genesis, &tip)?;
    let valid = vec![TxValidationCode::Valid; genesis.data.as_ref().map_or(0, |data| data.data.len())];
    let verdict = judge(genesis, number, &valid, &NoState, |_| Ok(false), StateDatabase::GoLevelDb)?;
    let block = finish(genesis.clone(), &verdict, &tip);
    write(database, &block, number, &verdict, &PrivateCommit::default(), &Indexing::default())
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
struct Verdict {
    codes: Vec<TxValidationCode>,
    updates: UpdateBatch,
    /// Namespace, key and transaction of each public write.
    history: Vec<(String, String, u64)>,
    /// Each transaction's id, empty where it has none.
    txids: Vec<String>,
    has_config: bool,
    database: StateDatabase,
}

fn judge(
    block: &Block,
    number: u64,
    validation: &[TxValidationCode],
    committed: &impl CommittedState,
    known: impl Fn(&str) -> Result<bool, LedgerError>,
    database: StateDatabase,
) -> Result<Verdict, LedgerError> {
    let data = block.data.as_ref().map_or(&[][..], |data| &data.data);
    let mut verdict = Verdict {
        codes: Vec::with_capacity(data.len()),
        updates: UpdateBatch::default(),
        history: Vec::new(),
        txids: Vec::with_capacity(data.len()),
        has_config: false,
        database,
    };
    let mut seen = HashSet::new();
    for (index, (envelope, outside)) in data.iter().zip(validation).enumerate() {
        let version = Version { block: number, tx: index as u64 };
        let transaction = BlockTransaction::decode(envelope);
        let code = match &transaction {
            // The checks outside let no such envelope pass; if one did, its verdict must not depend on us.
            None if *outside == TxValidationCode::Valid => TxValidationCode::InvalidOtherReason,
            None => *outside,
            Some(transaction) => verdict.judge_one(transaction, *outside, version, committed, &known, &mut seen)?,
        };
        verdict.codes.push(code);
        verdict.txids.push(transaction.map(|transaction| transaction.header.tx_id).unwrap_or_default());
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
        known: impl Fn(&str) -> Result<bool, LedgerError>,
        seen: &mut HashSet<String>,
    ) -> Result<TxValidationCode, LedgerError> {
        match transaction.header_type() {
            Some(HeaderType::EndorserTransaction) => {}
            _ if outside != TxValidationCode::Valid => return Ok(outside),
            Some(HeaderType::Config) => return Ok(self.apply_config(transaction, version)),
            _ => return Ok(TxValidationCode::UnsupportedTxPayload),
        }
        let txid = &transaction.header.tx_id;
        if after_id_lookup(outside) && known(txid)? {
            return Ok(TxValidationCode::DuplicateTxid);
        }
        if outside != TxValidationCode::Valid {
            return Ok(outside);
        }
        // A transaction that the checks outside let pass takes the id, even if MVCC turns it down.
        if !seen.insert(txid.clone()) {
            return Ok(TxValidationCode::DuplicateTxid);
        }
        let sets = match endorsed_rwset(transaction) {
            Ok(sets) => sets,
            Err(code) => return Ok(code),
        };
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

/// Whether the check that gave this code comes after the look-up of the transaction id in Fabric.
fn after_id_lookup(code: TxValidationCode) -> bool {
    use TxValidationCode as Code;
    !matches!(
        code,
        Code::NilEnvelope
            | Code::BadPayload
            | Code::BadCommonHeader
            | Code::BadCreatorSignature
            | Code::InvalidEndorserTransaction
            | Code::UnsupportedTxPayload
            | Code::BadProposalTxid
            | Code::UnknownTxType
            | Code::TargetChainNotFound
            | Code::NotValidated
    )
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

/// Block, indexes, state, history and private data in one transaction, durable on return.
fn write(
    database: &Database,
    block: &Block,
    number: u64,
    verdict: &Verdict,
    private: &PrivateCommit,
    indexing: &Indexing<'_>,
) -> Result<(), LedgerError> {
    let mut transaction = database.begin_write()?;
    // Reopening after a crash must not walk the whole database.
    transaction.set_quick_repair(true);
    let mut indexed = indexing.open(&transaction)?;
    {
        let header = block.header.clone().unwrap_or_default();
        let mut blocks = transaction.open_table(store::BLOCKS)?;
        blocks.insert(number, block.encode_to_vec().as_slice())?;
        let mut by_hash = transaction.open_table(store::BLOCK_BY_HASH)?;
        by_hash.insert(block::header_hash(&header).as_slice(), number)?;

        let mut transactions = transaction.open_table(store::TRANSACTIONS)?;
        for (index, (txid, code)) in verdict.txids.iter().zip(&verdict.codes).enumerate() {
            // The id stays with its first occurrence.
            if !txid.is_empty() && transactions.get(txid.as_str())?.is_none() {
                transactions.insert(txid.as_str(), (number, index as u32, *code as i32 as u8))?;
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
        for (namespace, key, tx) in &verdict.history {
            history.insert((namespace.as_str(), key.as_str(), number, *tx), ())?;
        }
        let mut channel = transaction.open_table(store::CHANNEL)?;
        if verdict.has_config {
            channel.insert(store::LAST_CONFIG, number)?;
        }
    }
    indexed.finish(&transaction, number + 1)?;
    indexing.define_deployed(&transaction, &verdict.updates, number + 1)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
