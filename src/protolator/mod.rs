//! Messages as JSON, down to the messages inside their byte fields (Fabric: `common/tools/protolator`, `configtxlator
//! proto_decode`).
//!
//! Messages are read by their definitions ([`selvedge_proto::DESCRIPTORS`]), which field holds a marshalled message says
//! `opaque.rs`. Names and forms are those of Fabric 1.4: original field names, bytes in base64, 64-bit numbers as text,
//! what is absent written out. Differs from Fabric: a byte field that should hold a message and does not decode is shown
//! in base64, where configtxlator gives up on the whole block; blocks may hold whatever a client sent. So is the content of
//! an envelope of type MESSAGE, which may be anything, and which configtxlator takes for a configuration value.
//!
//! Invariant: total over bytes. Whatever a block holds, there is an answer, and it takes no more than a multiple of the
//! block's size.

mod descriptors;
mod opaque;
mod render;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use thiserror::Error;

use self::descriptors::descriptors;

/// Why there is no JSON of a message.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtolatorError {
    /// Nobody defines such a message here.
    #[error("unknown message type {0}; write for instance common.Block, common.Envelope, common.ConfigUpdate")]
    UnknownType(String),
    /// The bytes are no such message.
    #[error("error unmarshaling {name}: {reason}")]
    Undecodable {
        /// The type of the message.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The message of type `name` (`common.Block`) that `bytes` are.
///
/// # Errors
/// [`ProtolatorError`].
pub fn to_json(name: &str, bytes: &Bytes) -> Result<Value, ProtolatorError> {
    let message = descriptors().message(name).ok_or_else(|| ProtolatorError::UnknownType(name.to_owned()))?;
    render::message(message, bytes).map_err(|reason| ProtolatorError::Undecodable { name: name.to_owned(), reason })
}

/// JSON as `configtxlator` prints it: keys sorted, indented by tabs, a line end after it.
pub fn text(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
    // Into memory, and of a value whose keys are texts: there is nothing that can fail.
    let _ = value.serialize(&mut serializer);
    let text = String::from_utf8_lossy(&text);
    // Go's encoder escapes these in texts, so that JSON may stand in HTML; outside of texts JSON has none of them. The control
    // characters that JSON leaves alone are escaped, too, because they would steer a terminal.
    let mut escaped = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}'..='\u{9f}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(letter)))
            }
            other => escaped.push(other),
        }
    }
    escaped.push('\n');
    escaped
}
