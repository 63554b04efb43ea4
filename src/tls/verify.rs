//! Who is believed (Fabric: Go's `tls.RequestClientCert` and `tls.RequireAndVerifyClientCert`, `x509.Certificate.Verify`).
//!
//! Chains are verified by webpki. One thing of Go's is added: a certificate that is itself among the roots needs no issuer and
//! may carry the CA bit, as the self-signed ones of `openssl req -x509` do. Stricter than Go, where webpki is: a certificate
//! of version 1 is refused, so is a CA's certificate in use by a server or client that is not itself a root, and a name counts
//! in the subject alternative names only. More lenient: a root's own dates and CA bit are not looked at.
//!
//! Invariant: the handshake's signature is verified in every case.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::{Roots, TlsError};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Asks a client for a certificate, lets it in without one, and believes any that it has the key of.
#[derive(Debug)]
pub(super) struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Demands a client certificate of one of the roots.
#[derive(Debug)]
pub(super) struct KnownClient {
    roots: Roots,
    webpki: Arc<dyn ClientCertVerifier>,
}

impl KnownClient {
    pub(super) fn new(roots: Roots, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let webpki = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots.store), provider).build();
        Ok(Self { webpki: webpki.map_err(other)?, roots })
    }
}

impl ClientCertVerifier for KnownClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if is_root(&self.roots, end_entity) {
            check_root_in_use(end_entity, now, CLIENT_AUTH)?;
            return Ok(ClientCertVerified::assertion());
        }
        self.webpki.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Believes a server whose certificate is of one of the roots and for the name that was asked for.
#[derive(Debug)]
pub(super) struct KnownServer {
    roots: Roots,
    webpki: Arc<WebPkiServerVerifier>,
}

impl KnownServer {
    pub(super) fn new(roots: Roots, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.store), provider).build();
        Ok(Self { webpki: webpki.map_err(other)?, roots })
    }
}

impl ServerCertVerifier for KnownServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if is_root(&self.roots, end_entity) {
            check_root_in_use(end_entity, now, SERVER_AUTH)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn is_root(roots: &Roots, certificate: &CertificateDer<'_>) -> bool {
    roots.certificates.iter().any(|root| root == certificate)
}

/// What is left to check of a certificate that is trusted by itself: its dates and its purpose.
fn check_root_in_use(certificate: &CertificateDer<'_>, now: UnixTime, purpose: ObjectIdentifier) -> Result<(), Error> {
    let bad = |_| CertificateError::BadEncoding;
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(bad)?;
    let body = parsed.tbs_certificate();
    let now = std::time::Duration::from_secs(now.as_secs());
    if now > body.validity().not_after.to_unix_duration() {
        return Err(CertificateError::Expired.into());
    }
    if now < body.validity().not_before.to_unix_duration() {
        return Err(CertificateError::NotValidYet.into());
    }
    match body.get_extension::<ExtendedKeyUsage>().map_err(bad)? {
        Some((_, ExtendedKeyUsage(purposes))) if !purposes.contains(&purpose) && !purposes.contains(&ANY_PURPOSE) => {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(OtherError(Arc::new(error)))
}
