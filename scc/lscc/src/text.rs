//! Messages as text, as Go's protobuf prints them in one line (`proto.CompactTextString`): clients of Fabric see such text
//! in `ChaincodeInfo.input` and in an error.
//!
//! Each field is `name:value` and a blank after it. Strings and bytes are quoted byte by byte.

use crate::message::{ChaincodeData, ChaincodeInput};

/// `ChaincodeInput.String()`; what Go prints where there is none.
pub(crate) fn input(input: Option<&ChaincodeInput>) -> String {
    let Some(input) = input else { return "<nil>".to_owned() };
    let mut text = String::new();
    for arg in &input.args {
        field(&mut text, "args", arg);
    }
    for (key, value) in &input.decorations {
        text.push_str("decorations:<");
        field(&mut text, "key", key.as_bytes());
        field(&mut text, "value", value);
        text.push_str("> ");
    }
    if input.is_init {
        // Fabric 1.4 does not know the field, and shows its number.
        text.push_str("3:1 ");
    }
    text
}

/// `ChaincodeData.String()`.
pub(crate) fn chaincode_data(data: &ChaincodeData) -> String {
    message(&[
        ("name", data.name.as_bytes()),
        ("version", data.version.as_bytes()),
        ("escc", data.escc.as_bytes()),
        ("vscc", data.vscc.as_bytes()),
        ("policy", &data.policy),
        ("data", &data.data),
        ("id", &data.id),
        ("instantiation_policy", &data.instantiation_policy),
    ])
}

/// `ChaincodeID.String()`.
pub(crate) fn chaincode_id(path: &str, name: &str, version: &str) -> String {
    message(&[("path", path.as_bytes()), ("name", name.as_bytes()), ("version", version.as_bytes())])
}

/// Single fields; what is empty is not shown.
fn message(fields: &[(&str, &[u8])]) -> String {
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        field(&mut text, name, value);
    }
    text
}

fn field(text: &mut String, name: &str, value: &[u8]) {
    text.push_str(name);
    text.push_str(":\"");
    for &byte in value {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push_str("\" ");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_printed_as_go_does() {
        let args = vec![b"init".to_vec(), b"\"a\\\n\r\t'~".to_vec(), vec![0, 0x7f, 0xff], "ü".into(), vec![]];
        let decorations = [("k".to_owned(), b"v".to_vec())].into();
        let expected = concat!(
            r#"args:"init" args:"\"a\\\n\r\t'~" args:"\000\177\377" args:"\303\274" args:"" "#,
            r#"decorations:<key:"k" value:"v" > "#
        );
        assert_eq!(input(Some(&ChaincodeInput { args, decorations, is_init: false })), expected);
        assert_eq!(input(Some(&ChaincodeInput { is_init: true, ..ChaincodeInput::default() })), "3:1 ");
        assert_eq!(input(Some(&ChaincodeInput::default())), "");
        assert_eq!(input(None), "<nil>");
    }

    #[test]
    fn empty_fields_are_not_shown() {
        assert_eq!(chaincode_data(&ChaincodeData { name: "kv".into(), ..ChaincodeData::default() }), "name:\"kv\" ");
        assert_eq!(chaincode_id("", "kv", "1"), "name:\"kv\" version:\"1\" ");
    }
}
