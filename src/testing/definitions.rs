//! Definitions of chaincode on a ledger that no peer serves, as if lscc had written them.

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ProposalResponsePayload, Transaction,
    TransactionAction, TxValidationCode,
};

use crate::ledger::{Ledger, block};

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
    let transaction = transaction(ledger.channel_id(), txid, simulator.results()?.public);
    let block = block::new_block(info.height, info.current_block_hash, vec![transaction]);
    let committed = ledger.commit(block, &[TxValidationCode::Valid])?;
    anyhow::ensure!(committed.codes == [TxValidationCode::Valid], "the definitions are {:?}", committed.codes);
    Ok(())
}

/// A transaction with these results, as a block holds it.
fn transaction(channel: &str, tx_id: String, results: Bytes) -> Bytes {
    let action = ChaincodeAction { results, ..Default::default() }.encode_to_vec().into();
    let response = ProposalResponsePayload { extension: action, ..Default::default() }.encode_to_vec().into();
    let action = Some(ChaincodeEndorsedAction { proposal_response_payload: response, endorsements: Vec::new() });
    let payload = ChaincodeActionPayload { action, ..Default::default() }.encode_to_vec().into();
    let transaction = Transaction { actions: vec![TransactionAction { header: Bytes::new(), payload }] };
    let header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction as i32,
        channel_id: channel.to_owned(),
        tx_id,
        ..Default::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
    let payload = Payload { header: Some(header), data: transaction.encode_to_vec().into() };
    Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::new() }.encode_to_vec().into()
}
