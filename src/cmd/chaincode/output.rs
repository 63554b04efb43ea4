//! How results look (Fabric: `peer/chaincode.chaincodeInvokeOrQuery`, and Go's proto text for a response).

use std::fmt::Write;

use anyhow::bail;
use selvedge_proto::protos::Response;

/// How a query's payload is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rendering {
    /// As it is; what is not UTF-8 is replaced.
    Text,
    /// `[1 2 3]`.
    Raw,
    /// `010203`.
    Hex,
}

impl Rendering {
    pub(super) fn of_flags(raw: bool, hex: bool) -> anyhow::Result<Self> {
        match (raw, hex) {
            (true, true) => bail!("options --raw (-r) and --hex (-x) are not compatible"),
            (true, false) => Ok(Self::Raw),
            (false, true) => Ok(Self::Hex),
            (false, false) => Ok(Self::Text),
        }
    }

    pub(super) fn render(self, payload: &[u8]) -> String {
        match self {
            Self::Text => String::from_utf8_lossy(payload).into_owned(),
            Self::Raw => {
                let numbers: Vec<String> = payload.iter().map(u8::to_string).collect();
                format!("[{}]", numbers.join(" "))
            }
            Self::Hex => hex::encode(payload),
        }
    }
}

/// A response as Go prints a message on one line: `status:200 payload:"..." `, fields that are empty left out.
pub(super) fn proto_text(response: &Response) -> String {
    let mut text = String::new();
    if response.status != 0 {
        let _ = write!(text, "status:{} ", response.status);
    }
    for (name, bytes) in [("message", response.message.as_bytes()), ("payload", &response.payload)] {
        if !bytes.is_empty() {
            let _ = write!(text, "{name}:\"{}\" ", quote(bytes));
        }
    }
    text
}

/// Byte by byte, because Go's proto text escapes every byte that is not printable ASCII in octal.
fn quote(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_response_reads_as_in_go() {
        let table: [(i32, &str, &[u8], &str); 5] = [
            (200, "", b"", "status:200 "),
            (200, "", b"OK", "status:200 payload:\"OK\" "),
            (500, "no such \"asset\"", b"", "status:500 message:\"no such \\\"asset\\\"\" "),
            (200, "m", b"p", "status:200 message:\"m\" payload:\"p\" "),
            (0, "", b"", ""),
        ];
        for (status, message, payload, expected) in table {
            let response = Response { status, message: message.to_owned(), payload: Bytes::from_static(payload) };
            assert_eq!(proto_text(&response), expected);
        }
    }

    #[test]
    fn bytes_are_quoted_as_in_gos_proto_text() {
        assert_eq!(quote("a'b\\c\n\r\té\0\u{7f}".as_bytes()), "a'b\\\\c\\n\\r\\t\\303\\251\\000\\177");
        assert_eq!(quote(&[0xff, b'1']), "\\3771");
    }

    #[test]
    fn a_payload_is_shown_as_text_numbers_or_hex() {
        let table: [(bool, bool, &[u8], &str); 5] = [
            (false, false, b"{\"a\":1}", "{\"a\":1}"),
            (true, false, &[1, 20, 255], "[1 20 255]"),
            (true, false, &[], "[]"),
            (false, true, &[1, 20, 255], "0114ff"),
            (false, false, &[0xff], "\u{fffd}"),
        ];
        for (raw, hex, payload, expected) in table {
            assert_eq!(Rendering::of_flags(raw, hex).expect("are compatible").render(payload), expected);
        }
        assert!(Rendering::of_flags(true, true).is_err());
    }
}
