//! Asking for another channel configuration (Fabric: `peer channel signconfigtx`, `peer channel update`).

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, Envelope, HeaderType};

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
    let config_update = Bytes::from(update.encode_to_vec());
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
