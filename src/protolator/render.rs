//! From the bytes of a message and its definition to JSON (Fabric: `jsonpb.Marshaler` with `EmitDefaults` and `OrigName`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use selvedge_proto::Timestamp;
use serde_json::{Map, Value, json};

use super::descriptors::{Field, Kind, Message, descriptors};
use super::opaque;

/// Messages inside messages, byte fields included. A policy of the deepest kind in Fabric's own limit of 100 fits.
const DEEPEST: usize = 160;
const TIMESTAMP: &str = "google.protobuf.Timestamp";
const CUT: &str = "unexpected EOF";

type Rendered<T> = Result<T, &'static str>;

/// A message as JSON.
pub(super) fn message(message: &Message, bytes: &Bytes) -> Rendered<Value> {
    render(message, bytes.clone(), "", 0)
}

/// The fields of a message as they are on the wire, by their numbers, in order.
#[derive(Debug, Default)]
pub(super) struct Wire(BTreeMap<u32, Vec<Item>>);

#[derive(Clone, Debug)]
enum Item {
    Number(u64),
    Bytes(Bytes),
}

impl Item {
    fn fits(&self, kind: &Kind) -> bool {
        matches!(self, Self::Bytes(_)) == matches!(kind, Kind::Message(_) | Kind::Bytes | Kind::Text)
    }
}

impl Wire {
    fn read(mut bytes: Bytes) -> Rendered<Self> {
        let mut fields: BTreeMap<u32, Vec<Item>> = BTreeMap::new();
        while bytes.has_remaining() {
            let (number, kind) = decode_key(&mut bytes).or(Err("bad key"))?;
            let item = match kind {
                WireType::Varint => Item::Number(varint(&mut bytes)?),
                WireType::LengthDelimited => {
                    let length = usize::try_from(varint(&mut bytes)?).or(Err(CUT))?;
                    Item::Bytes(if length <= bytes.len() { bytes.split_to(length) } else { return Err(CUT) })
                }
                WireType::SixtyFourBit if bytes.len() >= 8 => Item::Number(bytes.get_u64_le()),
                WireType::ThirtyTwoBit if bytes.len() >= 4 => Item::Number(bytes.get_u32_le().into()),
                WireType::SixtyFourBit | WireType::ThirtyTwoBit => return Err(CUT),
                WireType::StartGroup | WireType::EndGroup => return Err("groups are not supported"),
            };
            fields.entry(number).or_default().push(item);
        }
        Ok(Self(fields))
    }

    /// The last number of a field; 0 where there is none.
    pub(super) fn number(&self, field: u32) -> u64 {
        match self.items(field).last() {
            Some(Item::Number(number)) => *number,
            _ => 0,
        }
    }

    /// The last bytes of a field; empty where there are none.
    pub(super) fn bytes(&self, field: u32) -> Bytes {
        match self.items(field).last() {
            Some(Item::Bytes(bytes)) => bytes.clone(),
            _ => Bytes::new(),
        }
    }

    fn items(&self, field: u32) -> &[Item] {
        self.0.get(&field).map_or(&[], Vec::as_slice)
    }
}

fn varint(bytes: &mut Bytes) -> Rendered<u64> {
    decode_varint(bytes).or(Err(CUT))
}

fn render(message: &Message, bytes: Bytes, key: &str, depth: usize) -> Rendered<Value> {
    if depth > DEEPEST {
        return Err("too many messages inside each other");
    }
    if message.name == TIMESTAMP {
        return timestamp(bytes);
    }
    let wire = Wire::read(bytes)?;
    let mut object = Map::new();
    for (number, field) in &message.fields {
        // As in Go's decoder, what is of another wire type is a field that nobody knows.
        let items: Vec<_> = wire.items(*number).iter().filter(|item| item.fits(&field.kind)).cloned().collect();
        let unset = items.is_empty();
        if unset && (field.is_alternative || opaque::is_later(&message.name, &field.name)) {
            continue;
        }
        let inside = opaque::message_in(&message.name, &field.name, &wire, key);
        let value = match (field.is_repeated, descriptors().map_entry(field)) {
            (true, Some(entry)) => map(entry, &items, depth)?,
            (true, None) => {
                let items = items.into_iter().map(|item| single(field, inside, Some(item), "", depth));
                Value::Array(items.collect::<Rendered<_>>()?)
            }
            (false, _) => single(field, inside, merged(field, &items), "", depth)?,
        };
        object.insert(field.name.clone(), value);
    }
    for name in opaque::never_set(&message.name) {
        object.insert((*name).to_owned(), Value::Null);
    }
    Ok(Value::Object(object))
}

/// Of a field that occurs more than once the last counts, or of messages all of them together.
fn merged(field: &Field, items: &[Item]) -> Option<Item> {
    let last = items.last()?.clone();
    if items.len() == 1 || !matches!(field.kind, Kind::Message(_)) {
        return Some(last);
    }
    let parts = items.iter().map(|item| match item {
        Item::Bytes(bytes) => &bytes[..],
        Item::Number(_) => &[],
    });
    Some(Item::Bytes(parts.collect::<Vec<_>>().concat().into()))
}

fn map(entry: &Message, items: &[Item], depth: usize) -> Rendered<Value> {
    let mut object = Map::new();
    for item in items {
        let Item::Bytes(bytes) = item else { return Err("a map's entry is no message") };
        let wire = Wire::read(bytes.clone())?;
        let key = String::from_utf8(wire.bytes(1).to_vec()).or(Err("a map's key is not UTF-8"))?;
        let field = entry.fields.get(&2).ok_or("a map without values")?;
        let item = merged(field, wire.items(2)).or(Some(Item::Bytes(Bytes::new())));
        let value = single(field, None, item, &key, depth)?;
        object.insert(key, value);
    }
    Ok(Value::Object(object))
}

/// One value; `inside` is the type of the message that a byte field holds.
fn single(field: &Field, inside: Option<&str>, item: Option<Item>, key: &str, depth: usize) -> Rendered<Value> {
    let number = match &item {
        Some(Item::Number(number)) => *number,
        _ => 0,
    };
    Ok(match (&field.kind, item) {
        (Kind::Message(_), None) => Value::Null,
        (Kind::Bytes, None) => Value::Null,
        (Kind::Message(name), Some(Item::Bytes(bytes))) => {
            let message = descriptors().message(name).ok_or("an unknown type of message")?;
            render(message, bytes, key, depth + 1)?
        }
        (Kind::Bytes, Some(Item::Bytes(bytes))) => {
            let message = inside.and_then(|name| descriptors().message(name));
            match message {
                Some(_) if bytes.is_empty() => Value::Null,
                Some(message) => render(message, bytes.clone(), "", depth + 1).unwrap_or_else(|_| base64(&bytes)),
                None => base64(&bytes),
            }
        }
        (Kind::Text, Some(Item::Bytes(bytes))) => {
            Value::String(String::from_utf8(bytes.to_vec()).or(Err("a text is not UTF-8"))?)
        }
        (Kind::Text, None) => Value::String(String::new()),
        (_, Some(Item::Bytes(_))) | (Kind::Message(_) | Kind::Bytes | Kind::Text, Some(Item::Number(_))) => {
            return Err("bad wire type");
        }
        (Kind::Bool, _) => Value::Bool(number != 0),
        (Kind::Signed, _) => json!(low(number)),
        (Kind::Unsigned, _) => json!(low(number).cast_unsigned()),
        (Kind::SignedLong, _) => Value::String(number.cast_signed().to_string()),
        (Kind::UnsignedLong, _) => Value::String(number.to_string()),
        (Kind::Enum(name), _) => match descriptors().enum_value(name, low(number)) {
            Some(value) => Value::String(value.to_owned()),
            None => json!(low(number)),
        },
        (Kind::Other, _) => return Err("a kind of field that is not supported"),
    })
}

/// Of a number on the wire the low half counts.
fn low(number: u64) -> i32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn base64(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}

/// As jsonpb: in UTC, with no, three, six or nine digits behind the seconds.
fn timestamp(bytes: Bytes) -> Rendered<Value> {
    let timestamp = Timestamp::decode(bytes).or(Err(CUT))?;
    // Years of more than four digits are no JSON timestamp; neither is a second that does not exist.
    Ok(Value::String(timestamp.to_string()))
}
