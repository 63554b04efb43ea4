//! The tables once more, made of the blocks and the flags in them.
//!
//! Another reading of the same rules as the commit's: flags are taken as they stand, and what they say about reads and
//! about ids is checked against what the blocks before have left. Invariant: nothing here reads the ledger's own tables.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use bytes::Bytes;
use prost::Message;
use redb::ReadableTable;
use selvedge_proto::common::HeaderType;
use selvedge_proto::protos::TxValidationCode;

use crate::ledger::commit::CHANNEL_CONFIG_KEY;
use crate::ledger::guard::{GuardedTable, GuardedWrite};
use crate::ledger::private_commit::CollectionsBefore;
use crate::ledger::rich_query::keep::IndexWriter;
use crate::ledger::state::{CommittedState, Space, StateRow, StateValue, Version, VersionedKey};
use crate::ledger::store::{self, HistoryKey};
use crate::ledger::transaction::{BlockTransaction, endorsed_rwset};
use crate::ledger::updates::{Update, UpdateBatch};
use crate::ledger::{LedgerError, mvcc, private_expiry};

/// The tables that the blocks so far come to. A table that a commit fills beside these is filled here too, and compared in
/// `tables.rs`.
pub(super) struct Replay<'t> {
    pub transaction: &'t GuardedWrite,
    pub state: GuardedTable<'t, &'static [u8], &'static [u8]>,
    pub history: GuardedTable<'t, HistoryKey, ()>,
    pub transactions: GuardedTable<'t, &'static str, (u64, u32, u8)>,
    pub last_config: u64,
}

impl<'t> Replay<'t> {
    pub(super) fn new(transaction: &'t GuardedWrite) -> Result<Self, LedgerError> {
        Ok(Self {
            transaction,
            state: transaction.open_table(store::STATE)?,
            history: transaction.open_table(store::HISTORY)?,
            transactions: transaction.open_table(store::TRANSACTIONS)?,
            last_config: 0,
        })
    }

    /// What a block's valid transactions change in the state; ids, history and the newest configuration are taken up.
    /// Flags that the blocks so far do not bear out go to `differs`.
    pub(super) fn block(
        &mut self,
        number: u64,
        envelopes: &[Bytes],
        codes: &[TxValidationCode],
        mut differs: impl FnMut(String),
    ) -> Result<UpdateBatch, LedgerError> {
        let mut updates = UpdateBatch::default();
        let mut ids = HashSet::new();
        for (index, (envelope, code)) in envelopes.iter().zip(codes).enumerate() {
            let version = Version { block: number, tx: index as u64 };
            let Some(transaction) = BlockTransaction::decode(envelope) else {
                if *code == TxValidationCode::Valid {
                    differs(format!("transaction {index} is marked valid and is no envelope"));
                }
                continue;
            };
            let reason = match transaction.header_type() {
                Some(HeaderType::EndorserTransaction) => {
                    self.endorsed(&transaction, version, *code, &ids, &mut updates)?
                }
                _ if *code != TxValidationCode::Valid => None,
                Some(HeaderType::Config) => self.configuration(&transaction, version, &mut updates),
                other => Some(format!("is marked valid and of type {other:?}")),
            };
            let txid = transaction.indexed_id();
            if let Some(reason) = reason {
                differs(format!("transaction {index} ({txid}) {reason}"));
            }
            if !txid.is_empty() && self.transactions.get(txid.as_str())?.is_none() {
                self.transactions.insert(txid.as_str(), (number, index as u32, *code as i32 as u8))?;
            }
            ids.insert(txid);
        }
        Ok(updates)
    }

    /// Writes what a block changes, and ends the hashes of private data that end with it; the next one reads it.
    pub(super) fn apply(&mut self, number: u64, updates: &UpdateBatch) -> Result<(), LedgerError> {
        let mut collections = CollectionsBefore::default();
        for (chaincode, ..) in updates.hashed() {
            collections.look_up(chaincode, self)?;
        }
        for (key, update) in updates.iter() {
            match update {
                Update::Put(value) => self.state.insert(key.as_slice(), value.encode().as_slice())?,
                Update::Delete(_) => self.state.remove(key.as_slice())?,
            };
        }
        private_expiry::schedule_keys(self.transaction, number, updates, &collections, &BTreeMap::new())?;
        private_expiry::expire_keys(self.transaction, number, &mut self.state, &mut IndexWriter::default())
    }

    /// Takes a transaction up if it is valid; returns what is wrong with its code.
    fn endorsed(
        &mut self,
        transaction: &BlockTransaction,
        version: Version,
        code: TxValidationCode,
        ids: &HashSet<String>,
        updates: &mut UpdateBatch,
    ) -> Result<Option<String>, LedgerError> {
        use TxValidationCode as Code;
        let txid = transaction.header.tx_id.as_str();
        let known = self.transactions.get(txid)?.is_some_and(|row| row.value().0 < version.block);
        match code {
            Code::DuplicateTxid if known || ids.contains(txid) => return Ok(None),
            Code::DuplicateTxid => return Ok(Some("is marked a duplicate, and nothing before has its id".into())),
            Code::Valid if known => return Ok(Some("is marked valid, and an earlier block has its id".into())),
            Code::Valid | Code::MvccReadConflict | Code::PhantomReadConflict => {}
            _ => return Ok(None),
        }
        let sets = match endorsed_rwset(transaction) {
            Ok(sets) => sets,
            Err(judged) => return Ok(Some(marked(code, judged))),
        };
        let judged = mvcc::check(&sets, self, updates)?;
        if code == Code::Valid {
            updates.apply(&sets, version, self)?;
            for set in &sets {
                for write in &set.public.writes {
                    let place = (set.namespace.as_str(), write.key.as_str(), version.block, version.tx);
                    self.history.insert(place, ())?;
                }
            }
        }
        Ok((code != judged).then(|| marked(code, judged)))
    }

    fn configuration(
        &mut self,
        transaction: &BlockTransaction,
        version: Version,
        updates: &mut UpdateBatch,
    ) -> Option<String> {
        let Ok(envelope) = transaction.config() else { return Some("is marked valid and is no configuration".into()) };
        let value = envelope.config.unwrap_or_default().encode_to_vec().into();
        let value = StateValue { version, metadata: Bytes::new(), value };
        updates.put(Space::public(""), CHANNEL_CONFIG_KEY.as_bytes(), value);
        self.last_config = version.block;
        None
    }
}

fn marked(code: TxValidationCode, judged: TxValidationCode) -> String {
    format!("is marked {}, the blocks before it make it {}", code.as_str_name(), judged.as_str_name())
}

impl CommittedState for Replay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<StateValue>, LedgerError> {
        self.state.get(key)?.map(|row| Ok(StateRow::decode(row.value())?.to_value())).transpose()
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, LedgerError> {
        self.state.get(key)?.map(|row| Ok(StateRow::decode(row.value())?.version)).transpose()
    }

    fn range(
        &self,
        from: &[u8],
        to: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<VersionedKey, LedgerError>>, LedgerError> {
        let to = match to {
            Bound::Included(end) | Bound::Excluded(end) if end < from => Bound::Excluded(from),
            to => to,
        };
        let rows = self.state.range::<&[u8]>((Bound::Included(from), to))?;
        Ok(rows.map(|row| {
            let (key, value) = row?;
            Ok((key.value().to_vec(), StateRow::decode(value.value())?.version))
        }))
    }
}
