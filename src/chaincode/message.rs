//! The `ChaincodeMessage`s that the peer sends. Every answer carries its request's transaction and channel.

use std::borrow::Cow;

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeMessage;
pub(super) use selvedge_proto::protos::chaincode_message::Type;

/// A message of a type that concerns no transaction.
pub(super) fn bare(kind: Type, payload: Bytes) -> ChaincodeMessage {
    for_transaction(kind, payload, String::new(), String::new())
}

/// A message about a transaction.
pub(super) fn for_transaction(kind: Type, payload: Bytes, txid: String, channel_id: String) -> ChaincodeMessage {
    ChaincodeMessage { r#type: kind.into(), payload, txid, channel_id, ..ChaincodeMessage::default() }
}

/// The name of a type as Fabric prints it: the number where it has none.
pub(super) fn type_name(number: i32) -> Cow<'static, str> {
    match Type::try_from(number) {
        Ok(kind) => kind.as_str_name().into(),
        Err(_) => number.to_string().into(),
    }
}

/// The first eight characters of a transaction id, for logs.
pub(super) fn short(txid: &str) -> &str {
    txid.get(..8).unwrap_or(txid)
}
