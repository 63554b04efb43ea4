//! Decoding and encoding as Fabric does (Go: `github.com/golang/protobuf` 1.3, `table_unmarshal.go`, `table_marshal.go`).
//!
//! A field that is known but comes with another wire type is an error for prost. For Go it is a field that it does not
//! know. Peers that disagree about it would disagree about a transaction, and whoever makes one can make it so.
//!
//! Invariant: what prost decodes is decoded by prost alone, and the second look costs no more than a multiple of the
//! bytes: a client could make any peer take that look.
//!
//! Of a map, prost leaves out a value that is a default one. What is left out is nil for Go: an orderer of Fabric's that is to
//! create a channel ends with a panic, and configtxlator drops the capabilities that it is shown.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};
use prost::{DecodeError, Message, Name};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::DESCRIPTORS;

/// prost's limit for messages within messages.
const MAX_DEPTH: usize = 100;

/// Decoding that skips known fields of an unexpected wire type, in messages within the message too.
pub trait DecodeAsGo: Message + Name + Default {
    /// Decodes a message.
    ///
    /// # Errors
    /// Where Go's decoder has one: truncated input, a length or number that is none, text that is not UTF-8.
    fn decode_as_go(bytes: impl Buf + AsRef<[u8]> + Clone) -> Result<Self, DecodeError> {
        let decoded = Self::decode(bytes.clone());
        let Err(error) = decoded else { return decoded };
        // prost tells by its text only: `Payload.header: Header.channel_header: invalid wire type: ...`.
        match DEFINITIONS.get(&Self::full_name()) {
            Some(fields) if error.to_string().contains("invalid wire type: ") => {
                Self::decode(without_misfits(fields, bytes.as_ref(), 0).as_slice())
            }
            _ => Err(error),
        }
    }
}

impl<M: Message + Name + Default> DecodeAsGo for M {}

/// Encoding that writes every value of a map.
pub trait EncodeAsGo: Message + Name + Sized {
    /// Encodes the message. For those that hold maps, at whatever depth, and go to others.
    fn encode_as_go(&self) -> Vec<u8> {
        let bytes = self.encode_to_vec();
        match DEFINITIONS.get(&Self::full_name()) {
            Some(fields) => with_map_values(fields, &bytes),
            None => bytes,
        }
    }
}

impl<M: Message + Name> EncodeAsGo for M {}

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

/// What is expected of a field.
struct Expected {
    wire_type: WireType,
    /// Several numbers may stand in one field that has a length.
    packable: bool,
    /// The full name of its message, if it is one.
    message: Option<String>,
    /// It is a map, and that message a key with a value.
    map: bool,
}

/// A message's fields by their tags.
type Fields = HashMap<u32, Expected>;

/// The fields of each message, by its full name.
static DEFINITIONS: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    let mut definitions = HashMap::new();
    for file in FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default().file {
        for message in &file.message_type {
            define(file.package(), message, &mut definitions);
        }
    }
    definitions
});

fn define(scope: &str, message: &DescriptorProto, definitions: &mut HashMap<String, Fields>) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        define(&name, nested, definitions);
    }
    let entries = message.nested_type.iter().filter(|nested| nested.options.as_ref().is_some_and(|it| it.map_entry()));
    let maps: Vec<_> = entries.map(|entry| format!("{name}.{}", entry.name())).collect();
    let fields = message.field.iter().map(|field| {
        let wire_type = match field.r#type() {
            Type::String | Type::Bytes | Type::Message => WireType::LengthDelimited,
            Type::Double | Type::Fixed64 | Type::Sfixed64 => WireType::SixtyFourBit,
            Type::Float | Type::Fixed32 | Type::Sfixed32 => WireType::ThirtyTwoBit,
            Type::Group => WireType::StartGroup,
            _ => WireType::Varint,
        };
        let packable = field.label() == Label::Repeated && wire_type != WireType::LengthDelimited;
        let message = (field.r#type() == Type::Message).then(|| field.type_name().trim_start_matches('.').to_owned());
        let is_map = |message: &String| maps.contains(message);
        let map = message.as_ref().is_some_and(is_map);
        (field.number().unsigned_abs(), Expected { wire_type, packable, message, map })
    });
    let fields = fields.collect();
    definitions.insert(name, fields);
}

/// The fields of a message, but for those whose wire type is not expected there.
fn without_misfits(fields: &Fields, message: &[u8], depth: usize) -> Vec<u8> {
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
        let Some(expected) = fields.get(&tag) else {
            kept.extend_from_slice(fragment);
            continue;
        };
        let packed = expected.packable && wire_type == WireType::LengthDelimited;
        if wire_type != expected.wire_type && !packed {
            continue;
        }
        let within = expected.message.as_ref().and_then(|name| DEFINITIONS.get(name)).filter(|_| depth < MAX_DEPTH);
        match within {
            None => kept.extend_from_slice(fragment),
            Some(within) => {
                let inner = without_misfits(within, content(fragment), depth + 1);
                encode_key(tag, WireType::LengthDelimited, &mut kept);
                encode_varint(inner.len() as u64, &mut kept);
                kept.extend(inner);
            }
        }
    }
    kept
}

/// A message that prost has encoded, with the values of maps that it left out: of messages, text and bytes, which are all that
/// Fabric's maps hold.
fn with_map_values(fields: &Fields, message: &[u8]) -> Vec<u8> {
    const VALUE: u32 = 2;
    let mut whole = Vec::with_capacity(message.len());
    let mut rest = message;
    while rest.has_remaining() {
        let start = rest;
        let Some((tag, _)) = field(&mut rest) else { break };
        let fragment = &start[..start.len() - rest.len()];
        let expected = fields.get(&tag);
        match expected.and_then(|expected| DEFINITIONS.get(expected.message.as_ref()?)) {
            None => whole.extend_from_slice(fragment),
            Some(within) => {
                let mut inner = with_map_values(within, content(fragment));
                if expected.is_some_and(|expected| expected.map) && !holds_field(&inner, VALUE) {
                    encode_key(VALUE, WireType::LengthDelimited, &mut inner);
                    encode_varint(0, &mut inner);
                }
                encode_key(tag, WireType::LengthDelimited, &mut whole);
                encode_varint(inner.len() as u64, &mut whole);
                whole.extend(inner);
            }
        }
    }
    whole
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{
        Capabilities, Capability, ChannelHeader, ConfigGroup, ConfigUpdate, ConfigValue, Envelope, Header, Payload,
        SignaturePolicyEnvelope,
    };
    use crate::protos::{Transaction, TransactionAction};

    /// A message whose only field holds these bytes.
    fn within(bytes: &[u8], tag: u32) -> Vec<u8> {
        let mut outer = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut outer);
        encode_varint(bytes.len() as u64, &mut outer);
        outer.extend(bytes);
        outer
    }

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
        let bytes = [within(&inner, 1), vec![0x12, 1, b'd'], MISFIT.to_vec()].concat();
        let payload = Payload::decode_as_go(bytes.as_slice()).expect("as Go");
        assert_eq!(payload, Payload { header: Some(header), data: "d".into() });

        let action = TransactionAction { header: "h".into(), payload: "p".into() };
        let odd = [&MISFIT[..], &action.encode_to_vec()].concat();
        let bytes = [within(&odd, 1), within(&action.encode_to_vec(), 1)].concat();
        assert_eq!(Transaction::decode_as_go(bytes.as_slice()).expect("as Go").actions, [action.clone(), action]);
    }

    #[test]
    fn every_type_finds_its_definition() {
        for name in [Envelope::full_name(), Header::full_name(), SignaturePolicyEnvelope::full_name()] {
            assert!(DEFINITIONS.contains_key(&name), "{name}");
        }
        let bytes = [&MISFIT[..], &[0x08, 0x01]].concat();
        assert!(without_misfits(&DEFINITIONS[&SignaturePolicyEnvelope::full_name()], &bytes, 0) == bytes, "a number");
    }

    /// Rules within rules, as deep as prost goes, with many misfits in the innermost. Decoding anew for each of them would
    /// take hours.
    #[test]
    fn many_misfits_deep_within_take_no_longer_than_their_bytes() {
        let misfits = [0x0a, 0].repeat(500_000);
        // The index of a signer as bytes; SignaturePolicy.n_out_of, NOutOf.rules.
        let rule = (0..44).fold(misfits, |inner, _| within(&within(&inner, 2), 2));
        let policy = SignaturePolicyEnvelope::decode_as_go(within(&rule, 2).as_slice()).expect("as Go");
        assert!(policy.encoded_len() < 1_000, "the misfits are gone");
    }

    #[test]
    fn an_empty_field_is_there_and_a_missing_one_is_not() {
        assert!(holds_field(&[0x12, 0], 2) && holds_field(&[0x0a, 1, b'x', 0x12, 0], 2));
        assert!(!holds_field(&[], 2) && !holds_field(&[0x0a, 2, 0x12, 0], 2), "within another field it is none");
        assert!(!holds_field(&[0x10, 0], 2), "a number is another field for Go");
        assert!(!holds_field(&[0xff, 0x12, 0], 2));
    }

    #[test]
    fn every_value_of_a_map_is_written() {
        let capabilities = Capabilities { capabilities: [("V1_3".to_owned(), Capability {})].into() };
        // The entry, its key, and a value of no bytes.
        assert_eq!(capabilities.encode_as_go(), [&[0x0a, 8, 0x0a, 4][..], b"V1_3", &[0x12, 0]].concat());
        assert_eq!(
            capabilities.encode_to_vec(),
            [&[0x0a, 6, 0x0a, 4][..], b"V1_3"].concat(),
            "else this is superfluous"
        );

        let members = ConfigGroup {
            groups: [("Org".to_owned(), ConfigGroup::default())].into(),
            values: [("Consortium".to_owned(), ConfigValue { version: 1, ..ConfigValue::default() })].into(),
            ..ConfigGroup::default()
        };
        let root = ConfigGroup { groups: [("App".to_owned(), members)].into(), ..ConfigGroup::default() };
        let update = ConfigUpdate { channel_id: "c".to_owned(), read_set: Some(root), ..ConfigUpdate::default() };
        let org = within(&[&within(b"Org", 1)[..], &[0x12, 0]].concat(), 2);
        let consortium = within(&[&within(b"Consortium", 1)[..], &within(&[0x08, 1], 2)].concat(), 3);
        let app = [within(b"App", 1), within(&[org, consortium].concat(), 2)].concat();
        let expected = [within(b"c", 1), within(&within(&app, 2), 2)].concat();
        assert_eq!(update.encode_as_go(), expected);
        assert_eq!(ConfigUpdate::decode(expected.as_slice()).expect("what it was"), update);
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
