//! A block with nothing but transaction ids, codes and event names (Fabric: `core/peer/deliverevents.go`).
//!
//! Invariant: every transaction of the block is listed, whatever is in its envelope; a payload of an event never is.

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{Block, HeaderType};
use selvedge_proto::protos::filtered_transaction::Data;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeEvent, FilteredBlock, FilteredChaincodeAction, FilteredTransaction,
    FilteredTransactionActions,
};

use crate::ledger::block::validation_codes;
use crate::ledger::transaction::BlockTransaction;

/// The filtered form of a committed block. A transaction whose actions do not decode is listed without any (Fabric 1.4 fails
/// the whole stream there).
pub fn filtered_block(channel: &str, block: &Block) -> FilteredBlock {
    let data = block.data.as_ref().map_or(&[][..], |data| &data.data);
    let codes = validation_codes(block);
    FilteredBlock {
        channel_id: channel.to_owned(),
        number: block.header.as_ref().map_or(0, |header| header.number),
        filtered_transactions: data.iter().zip(codes).map(|(tx, code)| filtered(tx, code as i32)).collect(),
    }
}

fn filtered(envelope: &Bytes, tx_validation_code: i32) -> FilteredTransaction {
    let Some(transaction) = BlockTransaction::decode(envelope) else {
        return FilteredTransaction { tx_validation_code, ..Default::default() };
    };
    let actions = (transaction.header_type() == Some(HeaderType::EndorserTransaction)).then(|| {
        let actions = transaction.chaincode_actions().unwrap_or_default();
        Data::TransactionActions(FilteredTransactionActions {
            chaincode_actions: actions.iter().filter_map(event).collect(),
        })
    });
    FilteredTransaction {
        txid: transaction.header.tx_id,
        r#type: transaction.header.r#type,
        tx_validation_code,
        data: actions,
    }
}

fn event(action: &ChaincodeAction) -> Option<FilteredChaincodeAction> {
    let event =
        ChaincodeEvent::decode_as_go(action.events.clone()).ok().filter(|event| !event.chaincode_id.is_empty())?;
    Some(FilteredChaincodeAction { chaincode_event: Some(ChaincodeEvent { payload: Bytes::new(), ..event }) })
}
