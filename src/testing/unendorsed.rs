//! Transactions that nobody proposed: what a test wants to stand on a ledger.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ProposalResponsePayload, Transaction,
    TransactionAction, TxValidationCode,
};

use crate::ledger::{Ledger, block};

/// Commits a block of one transaction with these results, without asking the orderer or the validation. The channel must
/// not be ordered meanwhile.
///
/// # Errors
/// When the ledger fails, or finds a conflict.
pub fn commit_unendorsed(ledger: &Ledger, txid: &str, results: Bytes) -> anyhow::Result<()> {
    let transaction = endorser_transaction(ledger.channel_id(), txid, results);
    let info = ledger.chain_info()?;
    let block = block::new_block(info.height, info.current_block_hash, vec![transaction]);
    let codes = ledger.commit(block, &[TxValidationCode::Valid])?.codes;
    anyhow::ensure!(codes == [TxValidationCode::Valid], "{codes:?}");
    Ok(())
}

/// A marshalled transaction with these results, signed and endorsed by nobody.
pub fn endorser_transaction(channel: &str, txid: &str, results: Bytes) -> Bytes {
    let action = ChaincodeAction { results, ..Default::default() }.encode_to_vec().into();
    let response = ProposalResponsePayload { extension: action, ..Default::default() }.encode_to_vec().into();
    let action = Some(ChaincodeEndorsedAction { proposal_response_payload: response, endorsements: Vec::new() });
    let payload = ChaincodeActionPayload { action, ..Default::default() }.encode_to_vec().into();
    let transaction = Transaction { actions: vec![TransactionAction { header: Bytes::new(), payload }] };
    let data = transaction.encode_to_vec().into();
    envelope(channel, txid, HeaderType::EndorserTransaction, data).encode_to_vec().into()
}

/// An envelope of the type, signed by nobody.
pub(crate) fn envelope(channel: &str, txid: &str, kind: HeaderType, data: Bytes) -> Envelope {
    let header = ChannelHeader {
        r#type: kind as i32,
        channel_id: channel.to_owned(),
        tx_id: txid.to_owned(),
        ..Default::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
    let payload = Payload { header: Some(header), data };
    Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::new() }
}
