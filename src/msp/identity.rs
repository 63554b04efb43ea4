//! One verified identity (Fabric: `msp.identity`).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::SerializedIdentity;

use super::certificate::Certificate;
use super::ecdsa::VerifyingKey;
use super::roles::{Rules, Units};
use super::{MspError, Role};

/// Somebody whose certificate an MSP vouches for. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    serialized: Bytes,
    certificate: Certificate,
    key: VerifyingKey,
    units: Units,
    listed_admin: bool,
    rules: Arc<Rules>,
}

impl Identity {
    /// For an [`super::Msp`] that has verified the certificate's chain and units.
    pub(super) fn verified(
        serialized: Bytes,
        certificate: Certificate,
        units: Units,
        listed_admin: bool,
        rules: Arc<Rules>,
    ) -> Result<Self, MspError> {
        let key = verifying_key(&certificate)?;
        Ok(Self(Arc::new(Inner { serialized, certificate, key, units, listed_admin, rules })))
    }

    /// The MSP that vouches for it.
    pub fn mspid(&self) -> &str {
        self.0.rules.mspid()
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

    /// The organisational units of the certificate's subject.
    pub fn organizational_units(&self) -> &[String] {
        &self.0.units.names
    }

    /// The hash of the chain from the certificate's issuer to the root, which Fabric calls the certifiers identifier.
    pub fn certifiers_identifier(&self) -> &[u8] {
        &self.0.units.certifiers
    }

    /// The role in its own MSP that says most of it: ADMIN if it is one, else that of its node OU, else MEMBER. A
    /// listed administrator is a client or peer all the same: [`Identity::check_role`].
    pub fn role(&self) -> Role {
        let roles = [Role::Admin, Role::Client, Role::Peer, Role::Orderer];
        roles.into_iter().find(|role| self.check_role(*role).is_ok()).unwrap_or(Role::Member)
    }

    /// All its roles, MEMBER among them.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        let roles = [Role::Member, Role::Admin, Role::Client, Role::Peer, Role::Orderer];
        roles.into_iter().filter(|role| self.check_role(*role).is_ok())
    }

    /// Whether it has a role in its MSP.
    ///
    /// # Errors
    /// [`MspError::NotAdmin`] or [`MspError::Principal`], with Fabric's text.
    pub fn check_role(&self, role: Role) -> Result<(), MspError> {
        self.0.rules.check_role(&self.0.units, self.0.listed_admin, role)
    }

    /// Whether it is an administrator of its MSP.
    ///
    /// # Errors
    /// As for [`Identity::check_role`].
    pub fn require_admin(&self) -> Result<(), MspError> {
        self.check_role(Role::Admin)
    }

    /// Checks the identity's DER signature over SHA-256 of `message`.
    ///
    /// # Errors
    /// [`MspError::Signature`] when it does not fit, is not DER, or has a high S.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), MspError> {
        self.0.key.verify(message, signature)
    }

    /// The certificate in DER with its signature in Fabric's form: the same bytes for the same certificate.
    pub(crate) fn certificate_der(&self) -> &[u8] {
        &self.0.certificate.der
    }

    /// Whether two identities carry the same certificate of the same MSP, whatever form their bytes have.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.mspid() == other.mspid() && self.0.certificate.der == other.0.certificate.der
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}: {})", self.mspid(), self.subject())
    }
}

/// The key of somebody's certificate.
pub(super) fn verifying_key(certificate: &Certificate) -> Result<VerifyingKey, MspError> {
    let refuse = |cause: &str| Certificate::refuse(&certificate.subject_text, &cause);
    let Some((curve, point)) = certificate.key.point() else {
        let kind = certificate.key.description();
        return Err(refuse(&format!("its key is {kind}; an identity's is ECDSA on P-256, P-384 or P-521")));
    };
    VerifyingKey::new(curve, point).map_err(refuse)
}

/// When the certificate in a `SerializedIdentity` runs out, of whatever MSP it is; none if it cannot be read.
pub(crate) fn expires_at(serialized: &[u8]) -> Option<SystemTime> {
    let identity = SerializedIdentity::decode_as_go(serialized).ok()?;
    Some(Certificate::from_pem(&identity.id_bytes).ok()?.not_after)
}
