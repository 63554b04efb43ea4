//! Asking for blocks (Fabric: `peer/common.DeliverClient`).

use selvedge_proto::common::{Envelope, HeaderType};
use selvedge_proto::orderer::{SeekInfo, SeekNewest, SeekPosition, SeekSpecified, seek_info, seek_position};

use super::{ClientError, create_signed_envelope};
use crate::msp::Signer;

/// The envelope that asks a Deliver service for the channel's newest block and every one after it.
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn create_seek_envelope(channel: &str, signer: &dyn Signer) -> Result<Envelope, ClientError> {
    let position = |position| Some(SeekPosition { r#type: Some(position) });
    let seek = SeekInfo {
        start: position(seek_position::Type::Newest(SeekNewest {})),
        stop: position(seek_position::Type::Specified(SeekSpecified { number: u64::MAX })),
        behavior: seek_info::SeekBehavior::BlockUntilReady as i32,
        ..SeekInfo::default()
    };
    create_signed_envelope(HeaderType::DeliverSeekInfo, channel, &seek, signer)
}
