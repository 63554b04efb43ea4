//! The capability `ledger`: a channel's blocks and transactions, read outside any simulator (for qscc).
//!
//! Invariant: nothing is read before the creator of the transaction's own signed proposal was found to satisfy the ACL of
//! the function on that channel. Blocks go to the guest as handles; they never enter its memory unless it asks.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::Message;
use wasmtime::component::{Linker, Resource};

use super::{Store, check, push};
use crate::chaincode::{AccessControl, Ledgers};
use crate::container::wasm::peer_bindings::ledger::Error;
use crate::container::wasm::{Blob, Capability, InstanceState};
use crate::ledger::{Ledger, LedgerError};

const INTERFACE: &str = "selvedge:peer/ledger@0.1.0";

/// Fabric's text for a number, hash or id that the ledger does not have (`blkstorage.ErrNotFoundInIndex`).
const NOT_FOUND: &str = "Entry not found in index";

/// The host side of `selvedge:peer/ledger`.
#[derive(Clone)]
pub struct LedgerCapability {
    ledgers: Arc<dyn Ledgers>,
    access: Arc<dyn AccessControl>,
}

impl LedgerCapability {
    /// Reads from these ledgers, as far as `access` lets the creator of a proposal.
    pub fn new(ledgers: Arc<dyn Ledgers>, access: Arc<dyn AccessControl>) -> Self {
        Self { ledgers, access }
    }

    /// The channel's ledger, if the transaction's creator may use `function` of qscc there. Fabric 1.4 looks for the
    /// channel first.
    fn ledger(&self, state: &InstanceState, channel: &str, function: &str) -> Result<Arc<Ledger>, Error> {
        let ledger = self.ledgers.ledger(channel).ok_or(Error::UnknownChannel)?;
        check(&*self.access, state, &format!("qscc/{function}"), channel).map_err(Error::AccessDenied)?;
        Ok(ledger)
    }

    /// One function of the interface: `read` gets its ledger only after the ACL.
    fn serve<K>(
        &self,
        store: Store<'_>,
        function: &str,
        channel: &str,
        key: &K,
        read: impl FnOnce(&Ledger, &K) -> Result<Option<Bytes>, LedgerError>,
    ) -> wasmtime::Result<(Result<Resource<Blob>, Error>,)> {
        let found = self.ledger(store.data(), channel, function).and_then(|ledger| match read(&ledger, key) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Error::Ledger(NOT_FOUND.to_owned())),
            Err(error) => Err(Error::Ledger(error.to_string())),
        });
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
        interface.func_wrap("chain-info", move |store: Store<'_>, (channel,): (String,)| {
            this.serve(store, "GetChainInfo", &channel, &(), |ledger, ()| Ok(Some(bytes(&ledger.chain_info()?))))
        })?;
        let this = self.clone();
        interface.func_wrap("block-by-number", move |store: Store<'_>, (channel, number): (String, u64)| {
            this.serve(store, "GetBlockByNumber", &channel, &number, |ledger, number| {
                Ok(ledger.block_by_number(*number)?.as_ref().map(bytes))
            })
        })?;
        let this = self.clone();
        interface.func_wrap("block-by-hash", move |store: Store<'_>, (channel, hash): (String, Vec<u8>)| {
            this.serve(store, "GetBlockByHash", &channel, &hash, |ledger, hash| {
                Ok(ledger.block_by_hash(hash)?.as_ref().map(bytes))
            })
        })?;
        let this = self.clone();
        interface.func_wrap("block-by-txid", move |store: Store<'_>, (channel, txid): (String, String)| {
            this.serve(store, "GetBlockByTxID", &channel, &txid, |ledger, txid| {
                Ok(ledger.block_by_txid(txid)?.as_ref().map(bytes))
            })
        })?;
        let this = self.clone();
        interface.func_wrap("transaction-by-id", move |store: Store<'_>, (channel, txid): (String, String)| {
            this.serve(store, "GetTransactionByID", &channel, &txid, |ledger, txid| {
                Ok(ledger.transaction_by_id(txid)?.as_ref().map(bytes))
            })
        })
    }
}

fn bytes(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}
