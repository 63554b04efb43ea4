//! Identities that sign (Fabric: `msp.signingidentity`).

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::SerializedIdentity;

use super::certificate::{Certificate, timestamp};
use super::ecdsa::PrivateKey;
use super::identity::verifying_key;
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
    /// When there is no certificate, it has run out, or no key in `keystore` belongs to it.
    pub fn load(dir: &Path, mspid: &str) -> Result<Self, MspError> {
        let (path, text) = folder::signing_certificate(dir)?;
        let certificate = Certificate::from_pem(&text)?;
        if certificate.not_after < SystemTime::now() {
            let cause = format!("signing identity expired at {}; enroll it again", timestamp(certificate.not_after));
            return Err(MspError::Folder { path, cause });
        }
        let (_, key) = find_key(dir, &path, &certificate)?;
        let id_bytes = pem::encode_certificate(&certificate.der)?.into();
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

/// The file in `keystore` with the private key of `certificate`, and the key.
pub(super) fn find_key(
    dir: &Path,
    certificate_path: &Path,
    certificate: &Certificate,
) -> Result<(PathBuf, PrivateKey), MspError> {
    verifying_key(certificate)?;
    let mut others = Vec::new();
    for (path, text) in folder::keys(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match pem::private_key(&text).and_then(|der| PrivateKey::from_der(der.as_bytes())) {
            Ok(key) if certificate.key.point() == Some((key.curve(), key.public_point())) => return Ok((path, key)),
            Ok(_) => others.push(format!("{name}: another key")),
            Err(error) => others.push(format!("{name}: {error}")),
        }
    }
    let found = if others.is_empty() { "it holds no file".to_owned() } else { others.join("; ") };
    Err(MspError::Folder {
        path: dir.join("keystore"),
        cause: format!("no private key in it belongs to {} ({found})", certificate_path.display()),
    })
}
