//! An authority that lives as long as the process (Fabric: `common/crypto/tlsgen`).
//!
//! Invariant: its key, and the keys of its servers, never leave memory; those of its clients leave it only through
//! [`ClientPair`].

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::{CertHash, Identity, Roots, TlsError};

/// For clocks that are behind.
const BEFORE: Duration = Duration::days(1);
/// Of a client's certificate. A connection that stands does not end with it.
const CLIENT_LIFE: Duration = Duration::days(1);
/// Of the authority's certificate and its servers': longer than any process.
const SERVER_LIFE: Duration = Duration::days(3652);

/// An authority that signs itself, ECDSA on P-256.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    roots: Roots,
}

/// A client's certificate and its key, in PEM.
pub struct ClientPair {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: String,
    /// The certificate's hash.
    pub hash: CertHash,
}

impl Ca {
    /// A new authority of this name.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(name: &str) -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(name, SERVER_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let roots = Roots::in_memory(certificate.der().clone())?;
        Ok(Self { issuer: Issuer::new(params, key), pem: certificate.pem(), roots })
    }

    /// Its certificate, in PEM.
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// Itself, as who is to be believed.
    pub fn roots(&self) -> Roots {
        self.roots.clone()
    }

    /// A server at `host`, a name or an IP address.
    ///
    /// # Errors
    /// When the host can be in no certificate.
    pub fn server(&self, host: &str) -> Result<Identity, TlsError> {
        let mut params = params(host, SERVER_LIFE);
        params.subject_alt_names = CertificateParams::new([host.to_owned()])?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let validity = [params.not_before.into(), params.not_after.into()];
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = super::provider().key_provider.load_private_key(der)?;
        let certified = CertifiedKey::new(vec![certificate.der().clone()], signing);
        Ok(Identity::in_memory(certified, Sha256::digest(certificate.der()).into(), validity))
    }

    /// A client, whose certificate says no more than that it is one.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn client(&self) -> Result<ClientPair, TlsError> {
        let mut params = params("chaincode", CLIENT_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ClientPair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            hash: Sha256::digest(certificate.der()).into(),
        })
    }
}

fn params(name: &str, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - BEFORE, now + life);
    params
}

/// Shows no key.
impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("certificate", &self.pem).finish_non_exhaustive()
    }
}

/// Shows no key.
impl fmt::Debug for ClientPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPair").field("hash", &hex::encode(self.hash)).finish_non_exhaustive()
    }
}
