//! Asking for blocks (Fabric: `peer/common.DeliverClient`).

use bytes::Bytes;
use selvedge_proto::common::{Envelope, HeaderType};
use selvedge_proto::orderer::seek_info::{SeekBehavior, SeekErrorResponse};
use selvedge_proto::orderer::seek_position::Type as Position;
use selvedge_proto::orderer::{SeekInfo, SeekNewest, SeekOldest, SeekPosition, SeekSpecified};

use super::ClientError;
use super::envelope::create_bound_envelope;
use crate::msp::Signer;

/// One block of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPosition {
    /// Block 0, or the first one that the service has.
    Oldest,
    /// The last one.
    Newest,
    /// The one of that number.
    Number(u64),
}

/// The envelope that asks a Deliver service for the channel's newest block and every one after it. `tls_cert_hash` is SHA-256
/// of the certificate that the client shows on that connection; empty where it shows none.
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn create_seek_envelope(channel: &str, signer: &dyn Signer, tls_cert_hash: Bytes) -> Result<Envelope, ClientError> {
    let seek = SeekInfo {
        start: Some(BlockPosition::Newest.into()),
        stop: Some(BlockPosition::Number(u64::MAX).into()),
        behavior: SeekBehavior::BlockUntilReady as i32,
        ..SeekInfo::default()
    };
    create_bound_envelope(HeaderType::DeliverSeekInfo, channel, &seek, signer, tls_cert_hash)
}

/// The envelope that asks a Deliver service for one block; where that is the next one, the service waits for it.
/// `errors` says whether an orderer whose consensus fails may still answer. `tls_cert_hash` as for
/// [`create_seek_envelope`].
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn create_fetch_envelope(
    channel: &str,
    block: BlockPosition,
    errors: SeekErrorResponse,
    signer: &dyn Signer,
    tls_cert_hash: Bytes,
) -> Result<Envelope, ClientError> {
    let seek = SeekInfo {
        start: Some(block.into()),
        stop: Some(block.into()),
        behavior: SeekBehavior::BlockUntilReady as i32,
        error_response: errors as i32,
    };
    create_bound_envelope(HeaderType::DeliverSeekInfo, channel, &seek, signer, tls_cert_hash)
}

impl From<BlockPosition> for SeekPosition {
    fn from(position: BlockPosition) -> Self {
        let position = match position {
            BlockPosition::Oldest => Position::Oldest(SeekOldest {}),
            BlockPosition::Newest => Position::Newest(SeekNewest {}),
            BlockPosition::Number(number) => Position::Specified(SeekSpecified { number }),
        };
        Self { r#type: Some(position) }
    }
}
