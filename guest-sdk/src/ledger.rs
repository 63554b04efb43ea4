//! The capability `ledger`: read access to a channel's blocks, outside any simulator.
//!
//! The host checks the caller's rights itself, against the transaction's signed proposal. Everything comes as a
//! [`Blob`], so a block of any size can be a response's payload.

use crate::Blob;
#[cfg(target_family = "wasm")]
use crate::peer::Peer;

/// Why the ledger did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// This peer has not joined such a channel.
    #[error("no such channel")]
    UnknownChannel,
    /// The creator of the proposal may not read it; the text names policy and reason.
    #[error("{0}")]
    AccessDenied(String),
    /// Nothing under that number, hash or id, or the store failed; the text is Fabric's.
    #[error("{0}")]
    Ledger(String),
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerQuery<'a> {
    /// A marshalled `common.BlockchainInfo`.
    ChainInfo,
    /// A marshalled `common.Block`; [`u64::MAX`] is the newest.
    BlockByNumber(u64),
    /// A marshalled `common.Block` by the hash of its header.
    BlockByHash(&'a [u8]),
    /// The marshalled `common.Block` that holds a transaction.
    BlockByTxid(&'a str),
    /// A marshalled `protos.ProcessedTransaction`.
    TransactionById(&'a str),
}

/// The ledger of one channel.
#[derive(Debug)]
pub struct Ledger<'a> {
    stub: &'a crate::Stub,
    channel: &'a str,
}

impl crate::Stub {
    /// A channel's ledger. Needs the capability `ledger` in the chaincode's entry in core.yaml.
    pub fn ledger<'a>(&'a self, channel: &'a str) -> Ledger<'a> {
        Ledger { stub: self, channel }
    }
}

impl Ledger<'_> {
    /// A marshalled `common.BlockchainInfo`: height and hashes.
    pub fn chain_info(&self) -> Result<Blob, LedgerError> {
        self.ask(LedgerQuery::ChainInfo)
    }

    /// A marshalled `common.Block`; [`u64::MAX`] is the newest.
    pub fn block_by_number(&self, number: u64) -> Result<Blob, LedgerError> {
        self.ask(LedgerQuery::BlockByNumber(number))
    }

    /// A marshalled `common.Block` by the hash of its header.
    pub fn block_by_hash(&self, hash: &[u8]) -> Result<Blob, LedgerError> {
        self.ask(LedgerQuery::BlockByHash(hash))
    }

    /// The marshalled `common.Block` that holds a transaction.
    pub fn block_by_txid(&self, txid: &str) -> Result<Blob, LedgerError> {
        self.ask(LedgerQuery::BlockByTxid(txid))
    }

    /// A marshalled `protos.ProcessedTransaction`: the envelope and its validation code.
    pub fn transaction_by_id(&self, txid: &str) -> Result<Blob, LedgerError> {
        self.ask(LedgerQuery::TransactionById(txid))
    }

    fn ask(&self, query: LedgerQuery<'_>) -> Result<Blob, LedgerError> {
        self.stub.peer.ledger(self.channel, query)
    }
}
