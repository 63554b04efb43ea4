//! Signing updates of a channel's configuration (Fabric: `peer/channel.sanityCheckAndSignConfigTx`).

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    ChannelHeader, ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, Envelope, HeaderType, Payload,
};

use super::ClientError;
use super::envelope::{create_signature_header, create_signed_envelope};
use crate::msp::Signer;

/// The envelope of type CONFIG_UPDATE with `update`, signed by each of `signers` for its content and by `sender` as what
/// is sent. The sender's signature does not count for the content.
///
/// # Errors
/// When there is no randomness, or a key fails.
pub fn create_config_update(
    update: &ConfigUpdate,
    signers: &[&dyn Signer],
    sender: &dyn Signer,
) -> Result<Envelope, ClientError> {
    let config_update = Bytes::from(update.encode_to_vec());
    let signatures = signers.iter().map(|signer| sign(&config_update, *signer)).collect::<Result<_, _>>()?;
    let envelope = ConfigUpdateEnvelope { signatures, config_update };
    create_signed_envelope(HeaderType::ConfigUpdate, &update.channel_id, &envelope, sender, Bytes::new())
}

/// An update with one signature more, in an envelope of the signer's own. Signatures that it has already stay. An empty
/// `channel` means whatever channel the update is for.
///
/// # Errors
/// When the envelope holds no configuration update, or one for another channel; when there is no randomness, or the key
/// fails.
pub fn sign_config_update(update: &Envelope, channel: &str, signer: &dyn Signer) -> Result<Envelope, ClientError> {
    let invalid = |reason: &str| ClientError::ConfigUpdate(reason.to_owned());
    let payload = Payload::decode(update.payload.clone()).map_err(|_| invalid("bad payload"))?;
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
    update.signatures.push(sign(&update.config_update, signer)?);
    create_signed_envelope(HeaderType::ConfigUpdate, &header.channel_id, &update, signer, Bytes::new())
}

/// A signature over a marshalled `ConfigUpdate`.
fn sign(config_update: &[u8], signer: &dyn Signer) -> Result<ConfigSignature, ClientError> {
    let signature_header = Bytes::from(create_signature_header(signer)?.encode_to_vec());
    let signature = signer.sign(&[&signature_header[..], config_update].concat())?;
    Ok(ConfigSignature { signature_header, signature })
}
