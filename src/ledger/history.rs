//! The history of a key (Fabric: `history/historydb`).
//!
//! The index holds places only; the values are read from the blocks. Invariant: only committed, valid, public writes are
//! in it, oldest first as in Fabric 1.4.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::common::Block;
use selvedge_proto::queryresult::KeyModification;

use super::LedgerError;
use super::store::{HistoryKey, Snapshot};
use super::transaction::{BlockTransaction, endorsed_rwset};

/// Reads histories as of the block that was the newest when it was made.
pub struct HistoryQueryExecutor {
    snapshot: Arc<Snapshot>,
}

/// The modifications of one key, oldest first.
pub struct HistoryIterator {
    snapshot: Arc<Snapshot>,
    namespace: String,
    key: String,
    places: redb::Range<'static, HistoryKey, ()>,
    /// The block of the last modification; a key is often written several times in a block.
    block: Option<(u64, Block)>,
}

impl HistoryQueryExecutor {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }

    /// The history of a key; empty for one that was never written.
    ///
    /// # Errors
    /// When the database fails.
    pub fn get_history_for_key(&self, namespace: &str, key: &str) -> Result<HistoryIterator, LedgerError> {
        let places = self.snapshot.history.range((namespace, key, 0, 0)..=(namespace, key, u64::MAX, u64::MAX))?;
        Ok(HistoryIterator {
            snapshot: Arc::clone(&self.snapshot),
            namespace: namespace.to_owned(),
            key: key.to_owned(),
            places,
            block: None,
        })
    }

    /// The last modification of a key in the blocks before `block`.
    pub(super) fn last_before(
        &self,
        namespace: &str,
        key: &str,
        block: u64,
    ) -> Result<Option<KeyModification>, LedgerError> {
        let mut before = self.snapshot.history.range((namespace, key, 0, 0)..(namespace, key, block, 0))?;
        let Some((place, _)) = before.next_back().transpose()? else { return Ok(None) };
        let (.., number, tx) = place.value();
        let mut history = self.get_history_for_key(namespace, key)?;
        history.places = self.snapshot.history.range((namespace, key, number, tx)..=(namespace, key, number, tx))?;
        history.next()
    }
}

impl HistoryIterator {
    /// The next modification.
    ///
    /// # Errors
    /// When the database fails, or a block does not hold what the index says.
    #[expect(clippy::should_implement_trait, reason = "the same shape as the simulator's queries")]
    pub fn next(&mut self) -> Result<Option<KeyModification>, LedgerError> {
        let Some((place, _)) = self.places.next().transpose()? else { return Ok(None) };
        let (_, _, number, tx) = place.value();
        if self.block.as_ref().is_none_or(|(read, _)| *read != number) {
            self.block = Some((number, self.snapshot.indexed_block(number)?));
        }
        let envelope = self.block.as_ref().and_then(|(_, block)| block.data.as_ref()?.data.get(tx as usize));
        let modification = envelope.and_then(|envelope| self.modification(envelope));
        let missing =
            || LedgerError::Corrupted(format!("transaction {tx} of block {number} does not write {:?}", self.key));
        modification.ok_or_else(missing).map(Some)
    }

    fn modification(&self, envelope: &Bytes) -> Option<KeyModification> {
        let transaction = BlockTransaction::decode(envelope)?;
        let sets = endorsed_rwset(&transaction).ok()?;
        let mut writes =
            sets.into_iter().filter(|set| set.namespace == self.namespace).flat_map(|set| set.public.writes);
        let write = writes.find(|write| write.key == self.key)?;
        Some(KeyModification {
            tx_id: transaction.header.tx_id,
            timestamp: transaction.header.timestamp,
            is_delete: write.is_delete || write.value.is_empty(),
            value: write.value,
        })
    }
}

impl std::fmt::Debug for HistoryQueryExecutor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HistoryQueryExecutor").finish_non_exhaustive()
    }
}
