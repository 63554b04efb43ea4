//! Identities that sign (Fabric: `msp.signingidentity`).

use std::path::Path;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::SerializedIdentity;

use super::certificate::Certificate;
use super::ecdsa::PrivateKey;
use super::{MspError, folder, pem};

/// Signs as one identity.
pub trait Signer: Send + Sync {
    /// The signer's `SerializedIdentity`.
    fn serialize(&self) -> Bytes;

    /// Signs SHA-256 of `message` with ECDSA: DER, low S.
    ///
    /// # Errors
    /// When the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Bytes, MspError>;
}

/// A certificate with its private key, which never leaves it.
#[derive(Debug)]
pub struct SigningIdentity {
    serialized: Bytes,
    key: PrivateKey,
}

impl SigningIdentity {
    /// From an MSP folder's `signcerts` and `keystore`. The certificate is not checked against the folder's
    /// authorities: that is [`super::Msp`]'s work.
    ///
    /// # Errors
    /// When there is no certificate, or no key in `keystore` belongs to it.
    pub fn load(dir: &Path, mspid: &str) -> Result<Self, MspError> {
        let (certificate_path, text) = folder::signing_certificate(dir)?;
        let certificate = Certificate::from_pem(&text)?;
        let point = certificate.key.p256_point().ok_or_else(|| MspError::Folder {
            path: certificate_path.clone(),
            cause: "its key is not ECDSA on P-256".into(),
        })?;
        let key = folder::keys(dir)?
            .into_iter()
            .filter_map(|(_, text)| pem::private_key(&text).and_then(|der| PrivateKey::from_der(der.as_bytes())).ok())
            .find(|key| key.public_point() == point)
            .ok_or_else(|| MspError::Folder {
                path: dir.join("keystore"),
                cause: format!("no P-256 private key in it belongs to {}", certificate_path.display()),
            })?;
        let id_bytes = pem::encode_certificate(&pem::certificate(&text)?)?.into();
        let identity = SerializedIdentity { mspid: mspid.to_owned(), id_bytes };
        Ok(Self { serialized: identity.encode_to_vec().into(), key })
    }
}

impl Signer for SigningIdentity {
    fn serialize(&self) -> Bytes {
        self.serialized.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Bytes, MspError> {
        self.key.sign(message)
    }
}
