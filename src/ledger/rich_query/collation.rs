//! CouchDB's order of JSON values: null, false, true, numbers, strings, arrays, objects.
//!
//! One thing differs: CouchDB sorts strings by ICU's root collation (`a` before `B`), this by code point (`B` before `a`),
//! which needs no tables, never changes with a library's version, and makes an index a plain range of bytes. Numbers are
//! compared as doubles. Invariant: the bytes of [`encode`] sort as [`compare`] does, and the encoding of one value is never
//! the beginning of another's.

use std::cmp::Ordering;

use super::json::{Object, Value};

/// The first byte of an encoded value is its type's place in the order. Zero ends arrays and objects.
const END: u8 = 0;
const NULL: u8 = 0x10;
const FALSE: u8 = 0x20;
const TRUE: u8 = 0x21;
const NUMBER: u8 = 0x30;
const STRING: u8 = 0x40;
const ARRAY: u8 = 0x50;
const OBJECT: u8 = 0x60;

pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let first = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            first.unwrap_or(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_objects(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_objects(a: &Object, b: &Object) -> Ordering {
    let pairs = a.iter().zip(b);
    let mut orders = pairs.map(|((a, x), (b, y))| a.cmp(b).then_with(|| compare(x, y)));
    orders.find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Number(_) => NUMBER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// Appends bytes that sort as the value does.
pub(super) fn encode(value: &Value, out: &mut Vec<u8>) {
    out.push(rank(value));
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            // As integers, doubles of one sign sort by size; negative ones the other way round.
            let bits = number.to_bits();
            let bits = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
            out.extend_from_slice(&bits.to_be_bytes());
        }
        Value::String(text) => encode_string(text, out),
        Value::Array(items) => {
            items.iter().for_each(|item| encode(item, out));
            out.push(END);
        }
        Value::Object(members) => {
            for (name, value) in members {
                out.push(STRING);
                encode_string(name, out);
                encode(value, out);
            }
            out.push(END);
        }
    }
}

/// What the encoded form of every string begins with that begins with `prefix`.
pub(super) fn encode_prefix(prefix: &str) -> Vec<u8> {
    let mut out = vec![STRING];
    encode_string(prefix, &mut out);
    out.truncate(out.len() - 2);
    out
}

/// The least bytes above all that begin with `prefix`; none where there are none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

/// A NUL in the text is `00 FF`, the end `00 01`: an end sorts before everything that goes on.
fn encode_string(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 1]);
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values that meet often.
    pub(in super::super) fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![Just("a"), Just("b"), Just("B"), Just("ab"), Just(""), Just("a\0"), Just("é")];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-3i32..4).prop_map(|n| Value::Number(f64::from(n) / 2.0)),
            any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(|n| Value::Number(n + 0.0)),
            text.prop_map(|text| Value::String(text.into())),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[ab]{1,2}", inner, 0..3).prop_map(Value::Object),
            ]
        })
    }

    fn encoded(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn the_order_is_couchdbs() {
        let ascending = [
            "null",
            "false",
            "true",
            "-1e300",
            "-2",
            "-1.5",
            "0",
            "1e-300",
            "1",
            "2",
            "10",
            "\"\"",
            "\"A\"",
            "\"a\"",
            "\"aa\"",
            "\"b\"",
            "\"é\"",
            "[]",
            "[null]",
            "[1]",
            "[1,2]",
            "[2]",
            "[\"a\"]",
            "{}",
            "{\"a\":1}",
            "{\"a\":1,\"b\":0}",
            "{\"a\":2}",
            "{\"b\":1}",
        ];
        let ascending = ascending.map(|text| super::super::json::parse(text.as_bytes()).unwrap().value);
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
                assert_eq!(encoded(a).cmp(&encoded(b)), i.cmp(&j), "{a} {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn encoded_values_sort_as_values_and_none_begins_another(a in values(), b in values()) {
            let (x, y) = (encoded(&a), encoded(&b));
            prop_assert_eq!(x.cmp(&y), compare(&a, &b));
            prop_assert_eq!(x.starts_with(&y), x == y);
        }
    }
}
