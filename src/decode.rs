//! Decoding messages from clients, with the error texts of Fabric's decoder.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::DecodeError;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, Payload, SignatureHeader};
use selvedge_proto::protos::{Proposal, SignedProposal};
use thiserror::Error;

/// Bytes that are not the message they ought to be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("error unmarshaling {message}: {cause}")]
pub struct Undecodable {
    /// The message's name.
    pub message: &'static str,
    /// What the decoder met.
    pub cause: String,
}

pub(crate) fn decode<M: DecodeAsGo>(message: &'static str, bytes: &Bytes) -> Result<M, Undecodable> {
    M::decode_as_go(bytes.clone()).map_err(|error| Undecodable { message, cause: cause(&error) })
}

/// Who made an envelope, by its own account.
pub(crate) fn envelope_creator(envelope: &Envelope) -> Result<Bytes, DecodeError> {
    creator(Payload::decode_as_go(envelope.payload.clone())?.header.unwrap_or_default())
}

/// Who made a proposal, by its own account.
pub(crate) fn proposal_creator(signed: &SignedProposal) -> Result<Bytes, DecodeError> {
    creator(Header::decode_as_go(Proposal::decode_as_go(signed.proposal_bytes.clone())?.header)?)
}

/// Whether a request was made within `window` of `now`, by its own account.
pub(crate) fn is_fresh(header: &ChannelHeader, window: Duration, now: SystemTime) -> bool {
    let Some(timestamp) = header.timestamp else { return false };
    let Ok(then) = SystemTime::try_from(timestamp) else { return false };
    let apart = match now.duration_since(then) {
        Ok(apart) => apart,
        Err(ahead) => ahead.duration(),
    };
    apart <= window
}

fn creator(header: Header) -> Result<Bytes, DecodeError> {
    Ok(SignatureHeader::decode_as_go(header.signature_header)?.creator)
}

/// Go's decoder says `unexpected EOF` wherever a length or a varint runs past the end. It also skips fields of an
/// unexpected wire type, which prost refuses; those have no text in Fabric.
fn cause(error: &DecodeError) -> String {
    let text = error.to_string();
    let ran_out = ["buffer underflow", "invalid varint", "delimited length exceeded", "exceeds maximum usize value"];
    if ran_out.iter().any(|ending| text.ends_with(ending)) {
        return "unexpected EOF".into();
    }
    format!("proto: {}", text.trim_start_matches("failed to decode Protobuf message: "))
}
