//! Asking for blocks (Fabric: `peer/common.DeliverClient`).

use std::time::SystemTime;

use aws_lc_rs::rand;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::Timestamp;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader};
use selvedge_proto::orderer::{SeekInfo, SeekNewest, SeekPosition, SeekSpecified, seek_info, seek_position};

use super::ClientError;
use crate::msp::Signer;

const NONCE_LENGTH: usize = 24;

/// The envelope that asks a Deliver service for the channel's newest block and every one after it. `tls_cert_hash` is SHA-256
/// of the certificate that the client shows on that connection; empty where it shows none.
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn create_seek_envelope(channel: &str, signer: &dyn Signer, tls_cert_hash: Bytes) -> Result<Envelope, ClientError> {
    let position = |position| Some(SeekPosition { r#type: Some(position) });
    let seek = SeekInfo {
        start: position(seek_position::Type::Newest(SeekNewest {})),
        stop: position(seek_position::Type::Specified(SeekSpecified { number: u64::MAX })),
        behavior: seek_info::SeekBehavior::BlockUntilReady as i32,
        ..SeekInfo::default()
    };
    let mut nonce = [0; NONCE_LENGTH];
    rand::fill(&mut nonce).map_err(|_| ClientError::Random)?;
    let channel_header = ChannelHeader {
        r#type: HeaderType::DeliverSeekInfo as i32,
        timestamp: Some(Timestamp::from(SystemTime::now())),
        channel_id: channel.to_owned(),
        tls_cert_hash,
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { creator: signer.serialize(), nonce: nonce.to_vec().into() };
    let payload = Payload {
        header: Some(Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: signature_header.encode_to_vec().into(),
        }),
        data: seek.encode_to_vec().into(),
    };
    let payload = Bytes::from(payload.encode_to_vec());
    Ok(Envelope { signature: signer.sign(&payload)?, payload })
}
