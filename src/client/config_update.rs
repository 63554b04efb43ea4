//! Asking for another channel configuration (Fabric: `peer channel signconfigtx`, `peer channel update`).

use bytes::Bytes;
use prost::Message;
use selvedge_proto::EncodeAsGo;
use selvedge_proto::common::{
    ChannelHeader, ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, Envelope, HeaderType, Payload,
};

use super::envelope::signature_header;
use super::{ClientError, create_signed_envelope};
use crate::msp::Signer;

/// The envelope of type CONFIG_UPDATE with `update`, signed by each of `signers` for its content and by `sender` as
/// what is sent. The sender's signature does not count for the content.
///
/// # Errors
/// When there is no randomness, or a key fails.
pub fn create_config_update(
    update: &ConfigUpdate,
    signers: &[&dyn Signer],
    sender: &dyn Signer,
) -> Result<Envelope, ClientError> {
    let config_update = Bytes::from(update.encode_as_go());
    let signatures = signers.iter().map(|signer| sign_config_update(&config_update, *signer));
    let envelope = ConfigUpdateEnvelope { signatures: signatures.collect::<Result<_, _>>()?, config_update };
    create_signed_envelope(HeaderType::ConfigUpdate, &update.channel_id, &envelope, sender)
}

/// A signature over a marshalled `ConfigUpdate`.
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn sign_config_update(config_update: &[u8], signer: &dyn Signer) -> Result<ConfigSignature, ClientError> {
    let signature_header = Bytes::from(signature_header(signer)?.encode_to_vec());
    let signature = signer.sign(&[&signature_header[..], config_update].concat())?;
    Ok(ConfigSignature { signature_header, signature })
}

/// `envelope` of type CONFIG_UPDATE with one signature more for its content, and sent by the signer (Fabric:
/// `peer/channel.sanityCheckAndSignConfigTx`). Signatures that it has already stay. An empty `channel` means whatever
/// channel the update is for.
///
/// # Errors
/// When the envelope holds no configuration update, or one for another channel; when there is no randomness, or the key
/// fails.
pub fn add_config_signature(envelope: &Envelope, channel: &str, signer: &dyn Signer) -> Result<Envelope, ClientError> {
    let invalid = |reason: &str| ClientError::ConfigUpdate(reason.to_owned());
    let payload = Payload::decode(envelope.payload.clone()).map_err(|_| invalid("bad payload"))?;
    let header = payload.header.filter(|header| !header.channel_header.is_empty()).ok_or(invalid("bad header"))?;
    let header =
        ChannelHeader::decode(header.channel_header).map_err(|_| invalid("could not unmarshall channel header"))?;
    if header.r#type != HeaderType::ConfigUpdate as i32 {
        return Err(invalid("bad type"));
    }
    if header.channel_id.is_empty() {
        return Err(invalid("empty channel id"));
    }
    if !channel.is_empty() && channel != header.channel_id {
        return Err(ClientError::ConfigUpdate(format!("mismatched channel ID {} != {channel}", header.channel_id)));
    }
    let mut update = ConfigUpdateEnvelope::decode(payload.data).map_err(|_| invalid("Bad config update env"))?;
    update.signatures.push(sign_config_update(&update.config_update, signer)?);
    create_signed_envelope(HeaderType::ConfigUpdate, &header.channel_id, &update, signer)
}
