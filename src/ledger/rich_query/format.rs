//! Writes JSON as a Fabric peer with CouchDB hands it to chaincode: names sorted, no spaces, Go's escapes.
//!
//! Invariant: equal documents have equal bytes, so that endorsers which wrote a value differently read the same.

use std::fmt::Write;

use super::json::{Object, Value};

/// From here on Go writes a number with an exponent, and CouchDB keeps it as a float.
pub(super) const INTEGER_LIMIT: f64 = 1e21;

pub(super) fn to_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// The text of an object with these members.
pub(super) fn object_to_json(members: &Object) -> String {
    let mut out = String::new();
    write_object(&mut out, members);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(out, *number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(out, members),
    }
}

fn write_object(out: &mut String, members: &Object) {
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

/// The shortest digits that make the number again; the very large and the very small as CouchDB writes them.
fn write_number(out: &mut String, number: f64) {
    let size = number.abs();
    // Writing to a String cannot fail.
    let _ = if size != 0.0 && !(1e-6..INTEGER_LIMIT).contains(&size) {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !digits.contains('.') => write!(out, "{digits}.0e{exponent}"),
            _ => write!(out, "{text}"),
        }
    } else {
        write!(out, "{number}")
    };
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Go makes JSON safe for HTML and for JavaScript.
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::json::document;
    use super::*;

    #[test]
    fn a_document_is_written_as_fabric_reads_it_from_couchdb() {
        let table = [
            (r#"{ "b" : 1.0, "a" : [ true, null ] }"#, r#"{"a":[true,null],"b":1}"#),
            (
                r#"{"n":[-0,1e3,1E21,123456789012345678901,0.000001,1e-7,12345678901234567890]}"#,
                r#"{"n":[0,1000,1.0e21,123456789012345680000,0.000001,1.0e-7,12345678901234567000]}"#,
            ),
            ("{\"s\":\"<&>\\u2028\\u0001\\/é\\t\"}", "{\"s\":\"\\u003c\\u0026\\u003e\\u2028\\u0001/é\\t\"}"),
            ("{}", "{}"),
        ];
        for (given, expected) in table {
            let (members, _) = document(given.as_bytes()).unwrap();
            assert_eq!(object_to_json(&members), expected);
        }
    }
}
