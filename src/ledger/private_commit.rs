//! The private data of a block: gathered before its commit, written with it (Fabric: `gossip/privdata/coordinator.go`,
//! `validateAndPreparePvtBatch`).
//!
//! What this peer endorsed waits in the transient store. What is not there is recorded as missing, and the commit goes on.
//! Collections are those of the state before the block: one that the block changes takes effect with the next.
//!
//! Invariants: no set and no value is written whose hash is not in the block, and none of a collection that this peer's
//! organisation is no member of. The public state does not depend on what is here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{Block, HeaderType};
use selvedge_proto::kvrwset::{HashedRwSet, KvrwSet};
use selvedge_proto::protos::{StaticCollectionConfig, TxValidationCode};
use selvedge_proto::rwset::{TxPvtReadWriteSet, TxReadWriteSet};

use super::collections::{Collections, LSCC, collections_key};
use super::commit::Verdict;
use super::guard::GuardedWrite;
use super::private_expiry::{self, StateTable};
use super::private_rwset::digest;
use super::private_store::{self, MISSING_SETS, PRIVATE_SETS, PRIVATE_STATE, private_key};
use super::rich_query::keep::IndexWriter;
use super::rich_query::space::Part;
use super::state::{CommittedState, Space, StateValue, Version, public_key};
use super::store::Snapshot;
use super::transaction::BlockTransaction;
use super::updates::{Update, UpdateBatch};
use super::{LedgerError, TransientStore};

/// What a commit asks about the node, so that the ledger need not know organisations.
pub trait PrivateDataRules: Send + Sync + 'static {
    /// Whether this peer keeps the collection's data.
    fn is_member(&self, channel: &str, collection: &StaticCollectionConfig) -> bool;

    /// Whether the data of transactions that the validation before the commit refused is kept too.
    fn keeps_data_of_invalid(&self, channel: &str) -> bool;
}

/// What ledgers need to keep private data.
#[derive(Clone)]
pub struct PrivateDataSupport {
    /// Where endorsements leave it.
    pub transient: Arc<TransientStore>,
    /// Whose it is.
    pub rules: Arc<dyn PrivateDataRules>,
    /// Blocks for which what was endorsed and never committed stays in the transient store; not 0.
    pub retention: u64,
}

impl std::fmt::Debug for PrivateDataSupport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PrivateDataSupport").field("retention", &self.retention).finish_non_exhaustive()
    }
}

impl PrivateDataSupport {
    /// Lets go of what a durable block has no more use for. What a failure leaves goes by its height.
    pub(super) fn committed(&self, channel: &str, number: u64, private: &PrivateCommit) {
        let mut purged = Ok(());
        // Who is no member may have endorsed it too.
        if private.has_private_data() {
            purged = self.transient.purge_by_txids(channel, &private.txids);
        }
        if number > self.retention && number.is_multiple_of(self.retention) {
            purged = purged.and(self.transient.purge_by_height(channel, number - self.retention));
        }
        if let Err(error) = purged {
            tracing::error!(channel, number, %error, "the transient store keeps what it should let go");
        }
    }
}

/// The collections of some chaincodes, as they are before a block.
#[derive(Debug, Default)]
pub(super) struct CollectionsBefore(BTreeMap<String, Collections>);

impl CollectionsBefore {
    /// Looks up those of a chaincode, once.
    pub(super) fn look_up(&mut self, chaincode: &str, committed: &impl CommittedState) -> Result<(), LedgerError> {
        if self.0.contains_key(chaincode) {
            return Ok(());
        }
        let package = committed.get(&public_key(LSCC, collections_key(chaincode).as_bytes()))?;
        let collections = package.map(|package| Collections::decode(chaincode, package.value)).transpose();
        let collections = collections.unwrap_or_else(|error| {
            tracing::error!(%error, "its private data is not kept");
            None
        });
        self.0.insert(chaincode.to_owned(), collections.unwrap_or_default());
        Ok(())
    }

    pub(super) fn get(&self, chaincode: &str, collection: &str) -> Option<&StaticCollectionConfig> {
        self.0.get(chaincode)?.get(collection)
    }
}

/// Transaction, chaincode, collection.
type SetName = (u64, String, String);

/// What a block brings and lacks of private data.
#[derive(Debug, Default)]
pub(super) struct PrivateCommit {
    /// By the keys of the private state.
    values: BTreeMap<Vec<u8>, Update>,
    /// From the key of a hash in the state to that of its value.
    plain_keys: BTreeMap<Vec<u8>, Vec<u8>>,
    sets: BTreeMap<SetName, Bytes>,
    missing: BTreeMap<SetName, bool>,
    collections: CollectionsBefore,
    /// Of all transactions of the block, if it has private data.
    txids: BTreeSet<String>,
}

impl PrivateCommit {
    /// Gathers what there is for a block.
    pub(super) fn gather(
        channel: &str,
        support: Option<&PrivateDataSupport>,
        block: &Block,
        Verdict { codes, updates, txids, collections, .. }: &Verdict,
        snapshot: &Snapshot,
    ) -> Result<Self, LedgerError> {
        let number = block.header.as_ref().map_or(0, |header| header.number);
        let keeps_invalid = support.is_some_and(|support| support.rules.keeps_data_of_invalid(channel));
        let mut commit = Self::default();
        let envelopes = block.data.iter().flat_map(|data| &data.data).zip(codes);
        for (tx, (envelope, code)) in (0..).zip(envelopes) {
            if !collections[tx as usize] || !(keeps_invalid || passed_validation(*code)) {
                continue;
            }
            let Some(transaction) = BlockTransaction::decode(envelope) else { continue };
            if transaction.header_type() != Some(HeaderType::EndorserTransaction) {
                continue;
            }
            let written = written_collections(&transaction);
            for written in &written {
                commit.collections.look_up(&written.chaincode, snapshot)?;
            }
            commit.take(channel, support, tx, &transaction.header.tx_id, written)?;
        }
        if commit.has_private_data() {
            commit.txids = txids.iter().filter(|txid| !txid.is_empty()).cloned().collect();
        }
        for (namespace, ..) in updates.hashed() {
            commit.collections.look_up(namespace, snapshot)?;
        }
        commit.apply(number, codes, updates, snapshot)?;
        Ok(commit)
    }

    fn has_private_data(&self) -> bool {
        !self.sets.is_empty() || !self.missing.is_empty()
    }

    /// Takes what a transaction wrote to collections out of the transient store.
    fn take(
        &mut self,
        channel: &str,
        support: Option<&PrivateDataSupport>,
        tx: u64,
        txid: &str,
        written: Vec<Written>,
    ) -> Result<(), LedgerError> {
        let mut wanted = Vec::new();
        for Written { chaincode, collection, hash } in written {
            let Some(config) = self.collections.get(&chaincode, &collection) else {
                tracing::error!(
                    channel,
                    txid,
                    chaincode,
                    collection,
                    "there is no such collection; its data is skipped"
                );
                continue;
            };
            if support.is_some_and(|support| support.rules.is_member(channel, config)) {
                wanted.push(((tx, chaincode, collection), hash));
            } else {
                self.missing.insert((tx, chaincode, collection), false);
            }
        }
        let Some(support) = support.filter(|_| !wanted.is_empty()) else { return Ok(()) };
        let mut endorsements = 0_u64;
        support.transient.visit(channel, txid, |endorsed| {
            endorsements += 1;
            let endorsed = endorsed.pvt_rwset.unwrap_or_default();
            wanted.retain(|(name, hash)| match set_of(&endorsed, &name.1, &name.2) {
                Some(set) if digest(&set) == *hash => {
                    self.sets.insert(name.clone(), set);
                    false
                }
                _ => true,
            });
            if wanted.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for (name, _) in wanted {
            let (chaincode, collection) = (&name.1, &name.2);
            // Where there are endorsements, they came to data of another hash.
            let text = "private data is missing, the block goes on";
            tracing::warn!(channel, txid, chaincode, collection, endorsements, "{text}");
            self.missing.insert(name, true);
        }
        Ok(())
    }

    /// What the sets of valid transactions change in the private state.
    fn apply(
        &mut self,
        number: u64,
        codes: &[TxValidationCode],
        updates: &UpdateBatch,
        snapshot: &Snapshot,
    ) -> Result<(), LedgerError> {
        let mut metadata = BTreeSet::new();
        for ((tx, chaincode, collection), set) in &self.sets {
            if codes.get(*tx as usize) != Some(&TxValidationCode::Valid) {
                continue;
            }
            let Ok(set) = KvrwSet::decode_as_go(set.clone()) else {
                tracing::error!(number, tx, chaincode, collection, "a private write set does not decode");
                continue;
            };
            let version = Version { block: number, tx: *tx };
            let space = Space { namespace: chaincode, collection };
            for write in set.writes {
                let key = private_key(chaincode, collection, &write.key);
                let hash = digest(write.key.as_bytes());
                let update = match write.is_delete || write.value.is_empty() {
                    true => Update::Delete(version),
                    false => Update::Put(StateValue { version, metadata: Bytes::new(), value: write.value }),
                };
                let update = match updates.get(space, &hash) {
                    // A later transaction deletes it, whose own set may not be here. The value would never end.
                    Some(Update::Delete(_)) => Update::Delete(version),
                    Some(Update::Put(hashed)) if hashed.version != version || is_hashed(&update, hashed) => update,
                    _ => {
                        tracing::error!(number, tx, chaincode, collection, "a private value is not what its hash says");
                        continue;
                    }
                };
                self.plain_keys.insert(space.table_key(&hash), key.clone());
                self.values.insert(key, update);
            }
            metadata.extend(
                set.metadata_writes
                    .into_iter()
                    .map(|write| (space, write.key))
                    .map(|(space, key)| (space.namespace, space.collection, key)),
            );
        }
        for (namespace, collection, key) in metadata {
            let plain = private_key(namespace, collection, &key);
            let hash = digest(key.as_bytes());
            let space = Space { namespace, collection };
            let Some(Update::Put(hashed)) = updates.get(space, &hash) else { continue };
            let latest = match self.values.get(&plain) {
                Some(Update::Put(value)) => Some(value.clone()),
                _ => snapshot.private_value(&plain)?,
            };
            // Of a key whose newest value never came there is an old one, which must not get the new version.
            let Some(latest) = latest.filter(|latest| digest(&latest.value) == hashed.value) else { continue };
            self.plain_keys.insert(space.table_key(&hash), plain.clone());
            self.values.insert(plain, Update::Put(StateValue { version: hashed.version, ..latest }));
        }
        Ok(())
    }

    /// Writes it all, and ends what ends with the block. `state` has the block's updates.
    pub(super) fn write(
        &self,
        transaction: &GuardedWrite,
        number: u64,
        updates: &UpdateBatch,
        state: &mut StateTable<'_>,
        indexed: &mut IndexWriter<'_>,
    ) -> Result<(), LedgerError> {
        if number == 0 {
            private_store::create(transaction)?;
        }
        if !self.sets.is_empty() || !self.missing.is_empty() {
            let mut values = transaction.open_table(PRIVATE_STATE)?;
            for (key, update) in &self.values {
                let new = match update {
                    Update::Put(value) => Some(value.encode()),
                    Update::Delete(_) => None,
                };
                let old = match &new {
                    Some(new) => values.insert(key.as_slice(), new.as_slice())?,
                    None => values.remove(key.as_slice())?,
                };
                indexed.update(Part::Private, key, old.as_ref().map(|old| old.value()), new.as_deref())?;
            }
            let mut sets = transaction.open_table(PRIVATE_SETS)?;
            for ((tx, chaincode, collection), set) in &self.sets {
                sets.insert((number, *tx, chaincode.as_str(), collection.as_str()), &set[..])?;
            }
            let mut missing = transaction.open_table(MISSING_SETS)?;
            for ((tx, chaincode, collection), eligible) in &self.missing {
                missing.insert((number, *tx, chaincode.as_str(), collection.as_str()), eligible)?;
            }
            let all = self.sets.keys().chain(self.missing.keys());
            private_expiry::schedule_sets(transaction, number, all, &self.collections)?;
        }
        private_expiry::schedule_keys(transaction, number, updates, &self.collections, &self.plain_keys)?;
        private_expiry::expire(transaction, number, state, indexed)
    }
}

/// Whether a transaction came as far as the ledger's own checks. Fabric gathers private data between these and the others.
fn passed_validation(code: TxValidationCode) -> bool {
    use TxValidationCode as Code;
    matches!(code, Code::Valid | Code::MvccReadConflict | Code::PhantomReadConflict | Code::InvalidWriteset)
}

/// A collection that a transaction wrote to, and the hash of what it wrote.
pub(super) struct Written {
    pub chaincode: String,
    pub collection: String,
    /// Of the marshalled set.
    pub hash: Bytes,
}

/// None where the transaction does not decode: that is for its verdict to say.
pub(super) fn written_collections(transaction: &BlockTransaction) -> Vec<Written> {
    let action = transaction.chaincode_actions().ok().and_then(|actions| actions.into_iter().next());
    let set = action.and_then(|action| TxReadWriteSet::decode_as_go(action.results).ok()).unwrap_or_default();
    let (mut written, mut names) = (Vec::new(), BTreeSet::new());
    for namespace in set.ns_rwset {
        for collection in namespace.collection_hashed_rwset {
            let hashed = HashedRwSet::decode_as_go(collection.hashed_rwset).unwrap_or_default();
            let writes = !hashed.hashed_writes.is_empty() || !hashed.metadata_writes.is_empty();
            // There is one set for each collection: where a forged transaction has two hashes, the first counts.
            if writes && names.insert((namespace.namespace.clone(), collection.collection_name.clone())) {
                written.push(Written {
                    chaincode: namespace.namespace.clone(),
                    collection: collection.collection_name,
                    hash: collection.pvt_rwset_hash,
                });
            }
        }
    }
    written
}

fn set_of(endorsed: &TxPvtReadWriteSet, chaincode: &str, collection: &str) -> Option<Bytes> {
    let namespaces = endorsed.ns_pvt_rwset.iter().filter(|namespace| namespace.namespace == chaincode);
    let mut sets = namespaces.flat_map(|namespace| &namespace.collection_pvt_rwset);
    sets.find(|set| set.collection_name == collection).map(|set| set.rwset.clone())
}

/// Endorsers that work together can make a set whose hash stands in the block and that holds something else than the
/// hashes of its values beside it.
fn is_hashed(update: &Update, hashed: &StateValue) -> bool {
    matches!(update, Update::Put(value) if digest(&value.value) == hashed.value)
}

#[cfg(test)]
mod tests;
