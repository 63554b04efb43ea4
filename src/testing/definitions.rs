//! Definitions of chaincode on a ledger that no peer serves, as if lscc had written them.

use bytes::Bytes;

use super::commit_unendorsed;
use crate::ledger::Ledger;

/// Commits a block whose one transaction puts these entries into lscc's state.
///
/// # Errors
/// When the ledger fails, or does not find the transaction valid.
pub fn define<'a>(ledger: &Ledger, entries: impl IntoIterator<Item = (&'a str, Bytes)>) -> anyhow::Result<()> {
    let info = ledger.chain_info()?;
    let txid = format!("define in block {}", info.height);
    let mut simulator = ledger.new_tx_simulator(&txid)?;
    for (key, entry) in entries {
        simulator.set_state("lscc", key, entry)?;
    }
    commit_unendorsed(ledger, &txid, simulator.results()?.public)
}
