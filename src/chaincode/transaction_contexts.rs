//! The executions that are under way on one stream (Fabric: `TransactionContexts`).
//!
//! Invariant: once closed, nothing gets in, so no execution can miss the end of its stream. Unlike Fabric's, the key keeps
//! channel and transaction apart: `a` + `bc` is not `ab` + `c`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::SendingError;
use super::transaction_context::{TransactionContext, lock};

/// The contexts by transaction, and for each the few channels on which it is executed: one, but for calls across channels.
#[derive(Default)]
pub(super) struct TransactionContexts {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    closed: bool,
    by_txid: HashMap<String, Vec<Arc<TransactionContext>>>,
}

impl TransactionContexts {
    /// Enters an execution.
    pub(super) fn create(&self, context: &Arc<TransactionContext>) -> Result<(), SendingError> {
        let mut open = lock(&self.open);
        if open.closed {
            return Err(SendingError::StreamTerminated);
        }
        let on_channels = open.by_txid.entry(context.txid().to_owned()).or_default();
        if on_channels.iter().any(|other| other.channel_id() == context.channel_id()) {
            let (txid, channel) = (context.txid().to_owned(), context.channel_id().to_owned());
            return Err(SendingError::Exists { txid, channel });
        }
        on_channels.push(Arc::clone(context));
        Ok(())
    }

    /// The execution of a transaction on a channel.
    pub(super) fn get(&self, channel: &str, txid: &str) -> Option<Arc<TransactionContext>> {
        let open = lock(&self.open);
        open.by_txid.get(txid)?.iter().find(|context| context.channel_id() == channel).cloned()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.open).by_txid.values().map(Vec::len).sum()
    }

    /// Takes out an execution that is over.
    pub(super) fn delete(&self, context: &Arc<TransactionContext>) {
        let mut open = lock(&self.open);
        if let Some(on_channels) = open.by_txid.get_mut(context.txid()) {
            on_channels.retain(|other| !Arc::ptr_eq(other, context));
            if on_channels.is_empty() {
                open.by_txid.remove(context.txid());
            }
        }
    }

    /// Whether nothing is executed.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.open).by_txid.is_empty()
    }

    /// Whether the stream has ended.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.open).closed
    }

    /// Wakes every execution without an answer, for good.
    pub(super) fn close(&self) {
        let contexts = {
            let mut open = lock(&self.open);
            open.closed = true;
            std::mem::take(&mut open.by_txid)
        };
        contexts.values().flatten().for_each(|context| context.abandon());
    }
}
