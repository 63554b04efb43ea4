//! A channel for unit tests: made in a temporary directory, filled through real commits.

use std::any::Any;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use selvedge_proto::common::Block;
use selvedge_proto::protos::TxValidationCode;

use super::{CommittedBlock, Ledger, LedgerProvider, block};
pub(crate) use crate::testing::{endorser_transaction, envelope};

pub(crate) struct TestChannel {
    pub(crate) provider: Arc<LedgerProvider>,
    pub(crate) ledger: Arc<Ledger>,
    _dir: tempfile::TempDir,
    transactions: u64,
}

impl TestChannel {
    pub(crate) const NAME: &str = "testchannel";

    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let provider = Arc::new(LedgerProvider::open(dir.path()).unwrap());
        let ledger = provider.create(Self::NAME, &block::new_block(0, Bytes::new(), vec![])).unwrap();
        Self { provider, ledger, _dir: dir, transactions: 0 }
    }

    /// A channel that is there already, in a directory of the caller's. Ids go on with its height.
    pub(crate) fn of(provider: Arc<LedgerProvider>, ledger: Arc<Ledger>) -> Self {
        let transactions = ledger.height().unwrap() * 1_000;
        Self { provider, ledger, _dir: tempfile::tempdir().unwrap(), transactions }
    }

    /// Closes the ledger and opens it again. Whoever keeps the ledger, or a snapshot of it, makes this fail.
    pub(crate) fn restart(self) -> (tempfile::TempDir, LedgerProvider) {
        let Self { provider, ledger, _dir: dir, .. } = self;
        drop((provider, ledger));
        let provider = LedgerProvider::open(dir.path()).unwrap();
        (dir, provider)
    }

    /// The present state; gone when a later one is current and nobody reads this one any more.
    pub(crate) fn snapshot(&self) -> Weak<dyn Any + Send + Sync> {
        let snapshot: Arc<dyn Any + Send + Sync> = self.ledger.snapshot();
        Arc::downgrade(&snapshot)
    }

    /// The block that could follow now.
    pub(crate) fn next_block(&self, envelopes: Vec<Bytes>) -> Block {
        let info = self.ledger.chain_info().unwrap();
        block::new_block(info.height, info.current_block_hash, envelopes)
    }

    /// Commits one transaction for each read-write set; the ids are tx0, tx1, ...
    pub(crate) fn commit_results(&mut self, results: &[Bytes]) -> CommittedBlock {
        let envelopes = results.iter().map(|results| {
            self.transactions += 1;
            endorser_transaction(Self::NAME, &format!("tx{}", self.transactions - 1), results.clone())
        });
        let envelopes = envelopes.collect::<Vec<_>>();
        let block = self.next_block(envelopes);
        self.ledger.commit(block, &vec![TxValidationCode::Valid; results.len()]).unwrap()
    }

    /// Commits a transaction that does nothing but write.
    pub(crate) fn put(&mut self, namespace: &str, rows: &[(&str, &str)]) {
        let mut simulator = self.ledger.new_tx_simulator("put").unwrap();
        for (key, value) in rows {
            simulator.set_state(namespace, key, Bytes::copy_from_slice(value.as_bytes())).unwrap();
        }
        let committed = self.commit_results(&[simulator.results().unwrap().public]);
        assert_eq!(committed.codes, [TxValidationCode::Valid]);
    }
}
