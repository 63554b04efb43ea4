//! Reading what is committed, outside any simulation (Fabric: `ledger.QueryExecutor`, as validation uses it).
//!
//! Nothing that is read here is recorded. Invariant: an executor reads the channel as it was after one block, however long
//! somebody keeps it; damage of the database is an error, because validation would otherwise end in a panic.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::KvMetadataWrite;

use super::LedgerError;
use super::guard::guarded;
use super::state::{CommittedState, Space, StateRow, public_key};
use super::store::Snapshot;

/// Reads the state, and which transactions are on the ledger, as of one height.
pub struct QueryExecutor {
    snapshot: Arc<Snapshot>,
}

impl QueryExecutor {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }

    /// The number of blocks whose outcome is read.
    pub fn height(&self) -> u64 {
        self.snapshot.tip.height
    }

    /// Whether a transaction with this id is in some block, valid or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn contains_transaction(&self, txid: &str) -> Result<bool, LedgerError> {
        guarded(|| Ok(self.snapshot.transaction(txid)?.is_some()))
    }

    /// The value of a public key.
    ///
    /// # Errors
    /// When the database fails.
    pub fn get_state(&self, namespace: &str, key: &str) -> Result<Option<Bytes>, LedgerError> {
        guarded(|| Ok(self.snapshot.get(&public_key(namespace, key.as_bytes()))?.map(|found| found.value)))
    }

    /// The metadata of a public key; empty where it has none, or does not exist.
    ///
    /// # Errors
    /// When the database fails.
    pub fn get_state_metadata(&self, namespace: &str, key: &str) -> Result<BTreeMap<String, Bytes>, LedgerError> {
        guarded(|| self.metadata(&public_key(namespace, key.as_bytes())))
    }

    /// The same for the key of a collection with that hash.
    ///
    /// # Errors
    /// When the database fails.
    pub fn get_private_data_metadata_by_hash(
        &self,
        namespace: &str,
        collection: &str,
        key_hash: &[u8],
    ) -> Result<BTreeMap<String, Bytes>, LedgerError> {
        guarded(|| self.metadata(&Space { namespace, collection }.table_key(key_hash)))
    }

    fn metadata(&self, key: &[u8]) -> Result<BTreeMap<String, Bytes>, LedgerError> {
        let Some(row) = self.snapshot.state.get(key)? else { return Ok(BTreeMap::new()) };
        let metadata = StateRow::decode(row.value())?.metadata;
        if metadata.is_empty() {
            return Ok(BTreeMap::new());
        }
        let damaged = |_| LedgerError::Corrupted("the metadata of a key does not decode".into());
        let write = KvMetadataWrite::decode(metadata).map_err(damaged)?;
        Ok(write.entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
    }
}

impl std::fmt::Debug for QueryExecutor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("QueryExecutor").field("height", &self.height()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::TestChannel;

    #[test]
    fn what_is_committed_is_read_as_of_one_height() {
        let mut channel = TestChannel::new();
        channel.put("cc", &[("k", "v")]);
        let before = channel.ledger.new_query_executor();
        let mut simulator = channel.ledger.new_tx_simulator("t").unwrap();
        let entries = BTreeMap::from([("VALIDATION_PARAMETER".to_owned(), Bytes::from_static(b"policy"))]);
        simulator.set_state_metadata("cc", "k", entries.clone()).unwrap();
        channel.commit_results(&[simulator.results().unwrap().public]);
        let after = channel.ledger.new_query_executor();
        assert_eq!((before.height(), after.height()), (2, 3));
        assert_eq!(after.get_state("cc", "k").unwrap().unwrap(), "v");
        assert_eq!(after.get_state("cc", "none").unwrap(), None);
        assert!(before.get_state_metadata("cc", "k").unwrap().is_empty());
        assert_eq!(after.get_state_metadata("cc", "k").unwrap(), entries);
        assert!(after.get_state_metadata("cc", "none").unwrap().is_empty());
        assert!(after.get_private_data_metadata_by_hash("cc", "c", b"k").unwrap().is_empty());
        assert!(after.contains_transaction("tx1").unwrap() && !before.contains_transaction("tx1").unwrap());
    }
}
