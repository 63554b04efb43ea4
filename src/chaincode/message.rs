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

/// The first eight bytes of a transaction id, for logs; fewer, where these end within a character.
pub(super) fn short(txid: &str) -> &str {
    &txid[..txid.floor_char_boundary(8)]
}

/// Bytes of an id that are shown: four times as many as a transaction's id has.
const SHOWN: usize = 256;

/// An id for logs and for the reason why a stream ends. The chaincode chose it: it may be 100 MiB long, and of many lines.
pub(super) fn shown(id: &str) -> String {
    let cut = &id[..id.floor_char_boundary(SHOWN)];
    let rest = id.len() - cut.len();
    let more = if rest > 0 { format!("... and {rest} bytes more") } else { String::new() };
    format!("{}{more}", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_chaincode_calls_itself_fills_no_log() {
        let txid = "0123456789abcdef".repeat(4);
        assert_eq!((short(&txid), shown(&txid)), ("01234567", txid.clone()));
        assert_eq!(short("0123456ä"), "0123456");
        assert_eq!(shown("name\nERROR forged"), "name\\nERROR forged");
        let long = "ä".repeat(1 << 20);
        assert_eq!(shown(&long), format!("{}... and {} bytes more", "ä".repeat(128), (1 << 21) - 256));
    }
}
