//! The transactions of one peer that run, or wait for a place.
//!
//! Invariants: an execution is known by channel and transaction id, of which there is one at a time, so an answer can go
//! astray nowhere; and what one transaction nests is as deep as `chaincode.wasm.limits.callDepth` allows, because all of it
//! is on one place in the pool of instances.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;

use super::stream::shown;
use crate::chaincode::SendingError;
use crate::container::Budget;

/// Bytes of a transaction id, and of the name of a channel. Fabric's have 64, and at most 249.
const ID: usize = 1024;

/// Executions of one peer at a time, waiting ones included. It has fewer transactions, so nobody honest meets it.
const EXECUTIONS: usize = 16_384;
/// Bytes of the messages that began them.
const BYTES: usize = 512 << 20;

/// Those of one stream. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    transactions: HashMap<String, Transaction>,
    executions: usize,
    bytes: usize,
    /// Executions that there have been.
    begun: u64,
}

/// What runs under one transaction id: an execution, and what it called that came back here, on other channels.
struct Transaction {
    budget: Budget,
    entries: Vec<Entry>,
}

struct Entry {
    channel: String,
    number: u64,
    kind: Type,
}

impl Running {
    /// Takes in an INIT or TRANSACTION; `budget` makes the allowance of one that is new.
    ///
    /// # Errors
    /// The text with which it is refused.
    pub(super) fn begin(
        &self,
        message: &ChaincodeMessage,
        call_depth: u32,
        budget: impl FnOnce() -> Budget,
    ) -> Result<Execution, String> {
        let (txid, channel, bytes) = (&message.txid, &message.channel_id, size(message));
        if txid.len() > ID || channel.len() > ID {
            return Err(format!("a transaction id, and the name of a channel, may have {ID} bytes"));
        }
        let mut guard = self.state();
        let state = &mut *guard;
        if state.executions >= EXECUTIONS || state.bytes.saturating_add(bytes) > BYTES {
            return Err(format!(
                "{} transactions of this peer with {} bytes are here already; {EXECUTIONS} with {BYTES} bytes may be",
                state.executions, state.bytes
            ));
        }
        let number = state.begun;
        let entry = Entry { channel: channel.clone(), number, kind: message.r#type() };
        let budget = match state.transactions.get_mut(txid) {
            Some(transaction) => transaction.nest(txid, entry, call_depth)?,
            None => {
                let (budget, entries) = (budget(), vec![entry]);
                state.transactions.insert(txid.clone(), Transaction { budget: budget.clone(), entries });
                budget
            }
        };
        state.begun += 1;
        state.executions += 1;
        state.bytes += bytes;
        Ok(Execution { running: self.clone(), txid: txid.clone(), number, bytes, budget })
    }

    /// Notes that this answer is on its way to the peer, which may follow on it at once; returns what it is the answer to.
    pub(super) fn answered(&self, answer: &ChaincodeMessage) -> Option<Type> {
        self.state().take(&answer.txid, |entry| entry.channel == answer.channel_id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, txid: &str, is: impl Fn(&Entry) -> bool) -> Option<Type> {
        let entries = &mut self.transactions.get_mut(txid)?.entries;
        let entry = entries.iter().position(is).map(|place| entries.remove(place));
        if entries.is_empty() {
            self.transactions.remove(txid);
        }
        Some(entry?.kind)
    }
}

impl Transaction {
    fn nest(&mut self, txid: &str, entry: Entry, limit: u32) -> Result<Budget, String> {
        if self.entries.iter().any(|other| other.channel == entry.channel) {
            // As a peer says it of its own.
            return Err(format!("txid: {}({}) exists", shown(txid), shown(&entry.channel)));
        }
        let depth = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        if depth > limit {
            return Err(SendingError::CallDepth { depth, limit }.to_string());
        }
        self.entries.push(entry);
        Ok((0..depth).fold(self.budget.clone(), |budget, _| budget.nested()))
    }
}

/// An execution among those that run; dropping it ends that.
pub(super) struct Execution {
    running: Running,
    txid: String,
    number: u64,
    bytes: usize,
    /// What it may spend.
    pub(super) budget: Budget,
}

impl Drop for Execution {
    fn drop(&mut self) {
        let mut state = self.running.state();
        state.executions -= 1;
        state.bytes -= self.bytes;
        state.take(&self.txid, |entry| entry.number == self.number);
    }
}

fn size(message: &ChaincodeMessage) -> usize {
    let proposal = message.proposal.as_ref().map_or(0, |signed| signed.proposal_bytes.len() + signed.signature.len());
    message.payload.len() + message.txid.len() + message.channel_id.len() + proposal
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn begin(running: &Running, txid: &str, channel: &str, payload: usize) -> Result<Execution, String> {
        let (txid, channel_id, payload) = (txid.to_owned(), channel.to_owned(), vec![0; payload].into());
        let message = ChaincodeMessage { txid, channel_id, payload, ..Default::default() };
        running.begin(&message, 2, || Budget::root(Instant::now() + Duration::from_secs(1), None))
    }

    fn refusal(begun: Result<Execution, String>) -> String {
        begun.map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_transaction_runs_once_on_each_channel_and_no_deeper_than_the_limit() {
        let running = Running::default();
        let root = begin(&running, "t", "a", 0).unwrap();
        let nested = [begin(&running, "t", "b", 0).unwrap(), begin(&running, "t", "c", 0).unwrap()];
        assert_eq!((root.budget.depth(), nested[0].budget.depth(), nested[1].budget.depth()), (0, 1, 2));
        assert_eq!(refusal(begin(&running, "t", "b", 0)), "txid: t(b) exists");
        let deep = refusal(begin(&running, "t", "d", 0));
        assert!(
            deep.starts_with("chaincode calls are nested 3 deep, chaincode.wasm.limits.callDepth allows 2"),
            "{deep}"
        );
        assert_eq!(begin(&running, "u", "d", 0).unwrap().budget.depth(), 0);

        drop(nested);
        assert_eq!(begin(&running, "t", "d", 0).unwrap().budget.depth(), 1);
        drop(root);
        let state = running.state();
        assert!(state.transactions.is_empty(), "nothing is left behind");
        assert_eq!((state.executions, state.bytes), (0, 0));
    }

    #[test]
    fn what_has_its_answer_may_be_called_again_before_its_end() {
        let running = Running::default();
        let first = begin(&running, "t", "a", 0).unwrap();
        let answer = ChaincodeMessage { txid: "t".into(), channel_id: "a".into(), ..Default::default() };
        assert_eq!(running.answered(&answer), Some(Type::Undefined));
        let second = begin(&running, "t", "a", 0).unwrap();
        drop(first);
        assert_eq!(
            refusal(begin(&running, "t", "a", 0)),
            "txid: t(a) exists",
            "the end of the first is not the second's"
        );
        drop(second);
        assert_eq!(running.answered(&answer), None);
    }

    #[test]
    fn there_is_an_end_to_what_one_peer_may_leave_here() {
        let running = Running::default();
        let large: Vec<_> = (0..5).map(|n| begin(&running, &n.to_string(), "a", 100 << 20).unwrap()).collect();
        let said = refusal(begin(&running, "t", "a", 100 << 20));
        assert!(said.starts_with("5 transactions of this peer with "), "{said}");
        drop(large);
        let many: Vec<_> = (0..EXECUTIONS).map(|n| begin(&running, &n.to_string(), "a", 0).unwrap()).collect();
        assert!(refusal(begin(&running, "t", "a", 0)).contains("16384 with"));
        drop(many);
        begin(&running, "t", "a", 0).unwrap();
    }
    #[test]
    fn no_id_is_longer_than_fabrics_could_be() {
        let running = Running::default();
        let (longest, longer) = ("x".repeat(ID), "x".repeat(ID + 1));
        for (txid, channel) in [(&*longer, "a"), ("t", &*longer)] {
            let said = refusal(begin(&running, txid, channel, 0));
            assert_eq!(said, "a transaction id, and the name of a channel, may have 1024 bytes");
        }
        assert!(running.state().transactions.is_empty(), "nothing of it is kept");
        begin(&running, &longest, &longest, 0).unwrap();
    }
}
