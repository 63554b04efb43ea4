//! The capability `ledger`: a channel's blocks and transactions, read outside any simulator (for qscc).
//!
//! Invariant: nothing is read before the creator of the transaction's own signed proposal was found to satisfy the ACL of
//! the function on that channel. Blocks go to the guest as handles; they never enter its memory unless it asks.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::Message;
use wasmtime::component::{Linker, Resource};

use super::blocking::Blocking;
use super::{Store, check, push};
use crate::chaincode::{AccessControl, Ledgers};
use crate::container::wasm::peer_bindings::ledger::Error;
use crate::container::wasm::{Blob, Capability, InstanceState};
use crate::ledger::{Ledger, LedgerError};

const INTERFACE: &str = "selvedge:peer/ledger@0.1.0";

/// Fabric's text for a number, hash or id that the ledger does not have (`blkstorage.ErrNotFoundInIndex`).
const NOT_FOUND: &str = "Entry not found in index";

/// Blocks that are read at a time: each may have 100 MiB, for which no transaction answers before it is there.
const READERS: usize = 8;

/// The host side of `selvedge:peer/ledger`.
#[derive(Clone)]
pub struct LedgerCapability {
    ledgers: Arc<dyn Ledgers>,
    access: Arc<dyn AccessControl>,
    readers: Blocking,
}

impl LedgerCapability {
    /// Reads from these ledgers, as far as `access` lets the creator of a proposal.
    pub fn new(ledgers: Arc<dyn Ledgers>, access: Arc<dyn AccessControl>) -> Self {
        Self { ledgers, access, readers: Blocking::new(READERS) }
    }

    /// The channel's ledger, if the transaction's creator may use `function` of qscc there. Fabric 1.4 looks for the
    /// channel first.
    fn ledger(&self, state: &InstanceState, channel: &str, function: &str) -> Result<Arc<Ledger>, Error> {
        let ledger = self.ledgers.ledger(channel).ok_or(Error::UnknownChannel)?;
        check(&*self.access, state, &format!("qscc/{function}"), channel).map_err(Error::AccessDenied)?;
        Ok(ledger)
    }

    /// One function that reads from the disk: `read` gets its ledger only after the ACL, on a thread that may block.
    async fn serve(
        &self,
        mut store: Store<'_>,
        function: &str,
        channel: &str,
        read: impl FnOnce(&Ledger) -> Found + Send + 'static,
    ) -> wasmtime::Result<(Result<Resource<Blob>, Error>,)> {
        let ledger = match self.ledger(store.data(), channel, function) {
            Ok(ledger) => ledger,
            Err(error) => return Ok((Err(error),)),
        };
        let reading = store.data_mut().wait_for(self.readers.run(move || read(&ledger))).await?;
        let found = match reading {
            Some(Ok(Some(bytes))) => Ok(bytes),
            Some(Ok(None)) => Err(Error::Ledger(NOT_FOUND.to_owned())),
            Some(Err(error)) => Err(Error::Ledger(error.to_string())),
            None => Err(Error::Ledger("reading the ledger panicked".to_owned())),
        };
        push(store, found)
    }
}

impl Capability for LedgerCapability {
    fn name(&self) -> &str {
        "ledger"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let this = self.clone();
        // Height and hashes are in memory: another thread would cost three times the rest of the call.
        interface.func_wrap("chain-info", move |store: Store<'_>, (channel,): (String,)| {
            let found = this.ledger(store.data(), &channel, "GetChainInfo").and_then(|ledger| {
                let info = ledger.chain_info().map_err(|error| Error::Ledger(error.to_string()))?;
                Ok(bytes(&info))
            });
            push(store, found)
        })?;
        let this = self.clone();
        interface.func_wrap_async("block-by-number", move |store, (channel, number): (String, u64)| {
            let this = this.clone();
            let read = move |ledger: &Ledger| Ok(ledger.block_by_number(number)?.as_ref().map(bytes));
            Box::new(async move { this.serve(store, "GetBlockByNumber", &channel, read).await })
        })?;
        let this = self.clone();
        interface.func_wrap_async("block-by-hash", move |store, (channel, hash): (String, Vec<u8>)| {
            let this = this.clone();
            let read = move |ledger: &Ledger| Ok(ledger.block_by_hash(&hash)?.as_ref().map(bytes));
            Box::new(async move { this.serve(store, "GetBlockByHash", &channel, read).await })
        })?;
        let this = self.clone();
        interface.func_wrap_async("block-by-txid", move |store, (channel, txid): (String, String)| {
            let this = this.clone();
            let read = move |ledger: &Ledger| Ok(ledger.block_by_txid(&txid)?.as_ref().map(bytes));
            Box::new(async move { this.serve(store, "GetBlockByTxID", &channel, read).await })
        })?;
        let this = self.clone();
        interface.func_wrap_async("transaction-by-id", move |store, (channel, txid): (String, String)| {
            let this = this.clone();
            let read = move |ledger: &Ledger| Ok(ledger.transaction_by_id(&txid)?.as_ref().map(bytes));
            Box::new(async move { this.serve(store, "GetTransactionByID", &channel, read).await })
        })
    }
}

/// What a ledger holds under a number, hash or id.
type Found = Result<Option<Bytes>, LedgerError>;

fn bytes(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}
