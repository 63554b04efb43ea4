//! One verified identity (Fabric: `msp.identity`).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::SerializedIdentity;

use super::MspError;
use super::certificate::Certificate;
use super::ecdsa::VerifyingKey;

/// What an identity is in its MSP. Without node OUs there are two: Fabric's CLIENT, PEER and ORDERER satisfy nobody
/// then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Any valid identity.
    Member,
    /// One whose certificate the MSP lists under `admincerts`.
    Admin,
}

/// Somebody whose certificate an MSP vouches for. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    mspid: String,
    serialized: Bytes,
    certificate: Certificate,
    key: VerifyingKey,
    role: Role,
}

impl Identity {
    /// For an [`super::Msp`] that has verified the certificate's chain.
    pub(super) fn verified(
        mspid: &str,
        serialized: Bytes,
        certificate: Certificate,
        role: Role,
    ) -> Result<Self, MspError> {
        let refuse =
            |cause: &str| MspError::Certificate { subject: certificate.subject_text.clone(), cause: cause.to_owned() };
        let point = certificate.key.p256_point().ok_or_else(|| refuse("its key is not ECDSA on P-256"))?;
        let key = VerifyingKey::new(point).map_err(refuse)?;
        Ok(Self(Arc::new(Inner { mspid: mspid.to_owned(), serialized, certificate, key, role })))
    }

    /// The MSP that vouches for it.
    pub fn mspid(&self) -> &str {
        &self.0.mspid
    }

    /// The `SerializedIdentity` it was read from.
    pub fn serialized(&self) -> &Bytes {
        &self.0.serialized
    }

    /// The certificate's subject, for a reader.
    pub fn subject(&self) -> &str {
        &self.0.certificate.subject_text
    }

    /// When the certificate runs out. Nothing here looks at it: see [`super::Msp::deserialize`].
    pub fn expires_at(&self) -> SystemTime {
        self.0.certificate.not_after
    }

    /// Its role in its own MSP.
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// Whether it is an administrator of its MSP.
    ///
    /// # Errors
    /// [`MspError::NotAdmin`], with Fabric's text.
    pub fn require_admin(&self) -> Result<(), MspError> {
        match self.0.role {
            Role::Admin => Ok(()),
            Role::Member => Err(MspError::NotAdmin),
        }
    }

    /// Checks the identity's DER signature over SHA-256 of `message`.
    ///
    /// # Errors
    /// [`MspError::Signature`] when it does not fit, is not DER, or has a high S.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), MspError> {
        self.0.key.verify(message, signature)
    }

    /// What the certificate's issuer signed: the same bytes for the same certificate, whatever form its signature has.
    pub(crate) fn signed_part(&self) -> &[u8] {
        &self.0.certificate.signed_part
    }

    /// Whether two identities carry the same certificate of the same MSP, whatever form their bytes have.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.0.mspid == other.0.mspid && self.0.certificate.signed_part == other.0.certificate.signed_part
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}: {})", self.mspid(), self.subject())
    }
}

/// When the certificate in a `SerializedIdentity` runs out, of whatever MSP it is; none if it cannot be read.
pub(crate) fn expires_at(serialized: &[u8]) -> Option<SystemTime> {
    let identity = SerializedIdentity::decode(serialized).ok()?;
    Some(Certificate::from_pem(&identity.id_bytes).ok()?.not_after)
}
