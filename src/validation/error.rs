//! Why a block cannot be judged (Fabric: `VSCCExecutionFailureError`, `VSCCInfoLookupFailureError`).

use thiserror::Error;

use crate::ledger::LedgerError;

/// Why a block cannot be judged. Nothing here is a verdict: the channel halts.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// The channel is not open on this node, or is one without peers.
    #[error("channel {0} is not open on this node")]
    NotOpen(String),
    /// One of its transactions.
    #[error("transaction {index} of block {number} cannot be judged: {fault}")]
    Transaction {
        /// The block.
        number: u64,
        /// The transaction in it; of several that cannot be judged, the first.
        index: usize,
        /// Why not.
        #[source]
        fault: Fault,
    },
}

/// Why a transaction cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chaincode's definition asks for a validation plugin that this node does not have.
    #[error(
        "plugin with name {plugin} couldn't be used: plugin with name {plugin} wasn't found; chaincode {chaincode} asks \
         for it, this node has vscc: let a peer that has the plugin serve the channel"
    )]
    Plugin {
        /// The chaincode.
        chaincode: String,
        /// What it asks for.
        plugin: String,
    },
    /// What lscc keeps on the ledger is not what lscc writes.
    #[error("the state of lscc at key {key} does not decode: {source}")]
    Definition {
        /// The key.
        key: String,
        /// Why not.
        source: prost::DecodeError,
    },
}
