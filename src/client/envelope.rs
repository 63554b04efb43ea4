//! Signed envelopes without a transaction id (Fabric: `utils.CreateSignedEnvelope`, `CreateSignedEnvelopeWithTLSBinding`).

use std::time::SystemTime;

use aws_lc_rs::rand;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader};
use selvedge_proto::{EncodeAsGo, Timestamp};

use super::ClientError;
use crate::msp::Signer;

const NONCE_LENGTH: usize = 24;

/// An envelope of the type with this data, made now.
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn create_signed_envelope(
    kind: HeaderType,
    channel: &str,
    data: &impl EncodeAsGo,
    signer: &dyn Signer,
) -> Result<Envelope, ClientError> {
    create_bound_envelope(kind, channel, data, signer, Bytes::new())
}

/// [`create_signed_envelope`] for a connection on which the client shows the certificate of that hash; empty where it shows
/// none.
pub(super) fn create_bound_envelope(
    kind: HeaderType,
    channel: &str,
    data: &impl EncodeAsGo,
    signer: &dyn Signer,
    tls_cert_hash: Bytes,
) -> Result<Envelope, ClientError> {
    let channel_header = ChannelHeader {
        r#type: kind as i32,
        timestamp: Some(Timestamp::from(SystemTime::now())),
        channel_id: channel.to_owned(),
        tls_cert_hash,
        ..ChannelHeader::default()
    };
    let payload = Payload {
        header: Some(Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: signature_header(signer)?.encode_to_vec().into(),
        }),
        data: data.encode_as_go().into(),
    };
    let payload = Bytes::from(payload.encode_to_vec());
    Ok(Envelope { signature: signer.sign(&payload)?, payload })
}

/// The signer with a fresh nonce.
pub(super) fn signature_header(signer: &dyn Signer) -> Result<SignatureHeader, ClientError> {
    Ok(SignatureHeader { creator: signer.serialize(), nonce: nonce()?.to_vec().into() })
}

/// Random bytes, as many as Fabric's clients take.
pub(super) fn nonce() -> Result<[u8; NONCE_LENGTH], ClientError> {
    let mut nonce = [0; NONCE_LENGTH];
    rand::fill(&mut nonce).map_err(|_| ClientError::Random)?;
    Ok(nonce)
}
