//! Decoding as Fabric's decoder does (Go: `github.com/golang/protobuf` 1.3, `table_unmarshal.go`).
//!
//! A field that is known but comes with another wire type is an error for prost. For Go it is a field that it does not
//! know. Peers that disagree about it would disagree about a transaction, and whoever makes one can make it so.
//!
//! Invariant: what prost decodes is decoded by prost alone; the second look costs nothing otherwise.

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};
use prost::{DecodeError, Message};

/// Decoding that skips known fields of an unexpected wire type, in messages within the message too.
pub trait DecodeAsGo: Message + Default {
    /// Decodes a message.
    ///
    /// # Errors
    /// Where Go's decoder has one: truncated input, a length or number that is none, text that is not UTF-8.
    fn decode_as_go(bytes: impl Buf + AsRef<[u8]> + Clone) -> Result<Self, DecodeError> {
        match Self::decode(bytes.clone()) {
            Err(error) if depth_of_wire_type(&error).is_some() => {
                Self::decode(without_misfits::<Self>(bytes.as_ref(), &mut Vec::new()).as_slice())
            }
            decoded => decoded,
        }
    }
}

impl<M: Message + Default> DecodeAsGo for M {}

/// Whether a message holds field `tag`, of bytes or text, if only an empty one. Go tells that from a missing one, prost does
/// not. Bytes that are no message hold nothing after the place where they end to be one.
pub fn holds_field(message: &[u8], tag: u32) -> bool {
    let mut rest = message;
    while let Some(found) = field(&mut rest) {
        if found == (tag, WireType::LengthDelimited) {
            return true;
        }
    }
    false
}

/// How many messages deep the field of an unexpected wire type is, counted from 1; none for an error of another kind.
/// prost tells by its text only: `Payload.header: Header.channel_header: invalid wire type: ...`.
fn depth_of_wire_type(error: &DecodeError) -> Option<usize> {
    let text = error.to_string();
    let (place, _) = text.split_once("invalid wire type: ")?;
    let place = place.strip_prefix("failed to decode Protobuf message: ").unwrap_or(place);
    Some(place.matches(": ").count())
}

/// The fields of a message that stands within `M` at `path`, but for those whose wire type `M` does not expect there.
fn without_misfits<M: Message + Default>(message: &[u8], path: &mut Vec<u32>) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = message;
    while rest.has_remaining() {
        let start = rest;
        let Some((tag, wire_type)) = field(&mut rest) else {
            // Not even a field: whoever decodes the whole says what is wrong.
            kept.extend_from_slice(start);
            break;
        };
        let fragment = &start[..start.len() - rest.len()];
        let depth = M::decode(within(fragment, path).as_slice()).err().as_ref().and_then(depth_of_wire_type);
        match depth {
            None => kept.extend_from_slice(fragment),
            Some(depth) if depth > path.len() + 1 && wire_type == WireType::LengthDelimited => {
                path.push(tag);
                let inner = without_misfits::<M>(content(fragment), path);
                path.pop();
                kept.extend(within(&inner, &[tag]));
            }
            Some(_) => {}
        }
    }
    kept
}

/// Takes the next field off `rest`.
fn field(rest: &mut &[u8]) -> Option<(u32, WireType)> {
    let (tag, wire_type) = decode_key(rest).ok()?;
    let key = (tag, wire_type);
    skip_field(wire_type, tag, rest, Default::default()).ok()?;
    Some(key)
}

/// What follows key and length of a field that has a length.
fn content(fragment: &[u8]) -> &[u8] {
    let mut rest = fragment;
    let header = decode_key(&mut rest).and_then(|_| decode_varint(&mut rest));
    if header.is_ok() { rest } else { &[] }
}

/// A message whose only field is a message whose only field ... holds these bytes.
fn within(bytes: &[u8], path: &[u32]) -> Vec<u8> {
    path.iter().rev().fold(bytes.to_vec(), |inner, tag| {
        let mut outer = Vec::with_capacity(inner.len() + 16);
        encode_key(*tag, WireType::LengthDelimited, &mut outer);
        encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{ChannelHeader, Envelope, Header, Payload};
    use crate::protos::{Transaction, TransactionAction};

    /// Field 1 as a varint, where every message below has bytes or a message.
    const MISFIT: [u8; 2] = [0x08, 0x00];

    #[test]
    fn a_field_of_another_wire_type_is_unknown() {
        let envelope = Envelope { payload: "p".into(), signature: "s".into() };
        let bytes = [&MISFIT[..], &envelope.encode_to_vec(), &[0x10, 0x05]].concat();
        assert!(Envelope::decode(bytes.as_slice()).is_err(), "prost has it in its own way");
        assert_eq!(Envelope::decode_as_go(bytes.as_slice()).expect("as Go"), envelope);
        // The type of a channel header is a number, and here a text.
        let header = ChannelHeader { channel_id: "c".into(), ..ChannelHeader::default() };
        let bytes = [&[0x0a, 1, b'x'][..], &header.encode_to_vec()].concat();
        assert_eq!(ChannelHeader::decode_as_go(bytes.as_slice()).expect("as Go"), header);
    }

    #[test]
    fn so_it_is_in_messages_within() {
        let header = Header { channel_header: "c".into(), signature_header: "s".into() };
        let inner = [&header.encode_to_vec()[..], &MISFIT, &[0x15, 1, 2, 3, 4]].concat();
        let bytes = [within(&inner, &[1]), vec![0x12, 1, b'd'], MISFIT.to_vec()].concat();
        let payload = Payload::decode_as_go(bytes.as_slice()).expect("as Go");
        assert_eq!(payload, Payload { header: Some(header), data: "d".into() });

        let action = TransactionAction { header: "h".into(), payload: "p".into() };
        let odd = [&MISFIT[..], &action.encode_to_vec()].concat();
        let bytes = [within(&odd, &[1]), within(&action.encode_to_vec(), &[1])].concat();
        assert_eq!(Transaction::decode_as_go(bytes.as_slice()).expect("as Go").actions, [action.clone(), action]);
    }

    #[test]
    fn an_empty_field_is_there_and_a_missing_one_is_not() {
        assert!(holds_field(&[0x12, 0], 2) && holds_field(&[0x0a, 1, b'x', 0x12, 0], 2));
        assert!(!holds_field(&[], 2) && !holds_field(&[0x0a, 2, 0x12, 0], 2), "within another field it is none");
        assert!(!holds_field(&[0x10, 0], 2), "a number is another field for Go");
        assert!(!holds_field(&[0xff, 0x12, 0], 2));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for bytes in [&[0x0a, 5][..], &[0x08, 0x00, 0x0a, 5], &[0x08, 0xff], &[0xff], &[0x08, 0x00, 0x0c]] {
            assert!(Envelope::decode_as_go(bytes).is_err(), "{bytes:?}");
        }
        let no_text = [&MISFIT[..], &[0x22, 1, 0xff], &[0x0a, 0]].concat();
        assert!(ChannelHeader::decode_as_go(no_text.as_slice()).is_err());
    }
}
