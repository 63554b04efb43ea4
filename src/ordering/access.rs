//! What ordering and delivering ask of the rest of the node. Who may send, the channel's configuration says.
//!
//! Invariant: without an answer from here nothing is committed and nothing is delivered.

use std::collections::BTreeMap;

use selvedge_proto::common::Envelope;
use selvedge_proto::rwset::TxPvtReadWriteSet;

use crate::ledger::{Ledger, LedgerError};

/// Decides who may send and receive.
pub trait DeliverAccess: Send + Sync {
    /// Whether the node serves the channel. One whose configuration it cannot use is on disk and not served.
    fn is_open(&self, channel: &str) -> bool;

    /// Whether the creator of `envelope` may use `resource` (of [`crate::channel::resource`]) on the channel, and signed
    /// the envelope.
    ///
    /// # Errors
    /// Why not. A client sees only the status FORBIDDEN.
    fn check(&self, resource: &str, channel: &str, envelope: &Envelope) -> Result<(), String>;
}

/// Decides about private data that goes along with a block.
pub trait PrivateDataAccess: Send + Sync {
    /// What the block's transactions wrote to collections that the creator of `request` may read, by their places in the
    /// block. The creator may read the block, and signed the request.
    ///
    /// # Errors
    /// When the ledger fails.
    fn readable(
        &self,
        ledger: &Ledger,
        block: u64,
        request: &Envelope,
    ) -> Result<BTreeMap<u64, TxPvtReadWriteSet>, LedgerError>;
}

/// Knows the channels that the node is in, whoever orders them.
pub trait OrdererDirectory: Send + Sync {
    /// Where the channel's ordering service listens, as `host:port`; none if the node is not in the channel, or whoever
    /// signed `envelope` is not to know.
    fn orderer_addresses(&self, channel: &str, envelope: &Envelope) -> Option<Vec<String>>;

    /// Whether the node has the channel on disk and could not open it when it started.
    fn is_unopened(&self, channel: &str) -> bool;
}
