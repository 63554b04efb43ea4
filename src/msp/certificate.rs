//! An X.509 certificate as far as an MSP looks at it (Fabric: `msp/cert.go`, Go's `crypto/x509`).

use std::time::SystemTime;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, UnparsedPublicKey,
    VerificationAlgorithm,
};
use x509_cert::Certificate as X509;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};

use super::MspError;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

/// Critical extensions that are honoured here or say nothing about a chain: subject key identifier, key usage, subject
/// alternative name, basic constraints, certificate policies, authority key identifier, extended key usage.
const KNOWN_EXTENSIONS: [&str; 7] =
    ["2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.32", "2.5.29.35", "2.5.29.37"];

/// A parsed certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// What is signed. Two certificates of one issuer are the same if these bytes are: the signature over them can take
    /// several forms.
    pub(crate) signed_part: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) subject_text: String,
    pub(crate) issuer: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) authority: Option<Authority>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) key: PublicKey,
    signature_algorithm: ObjectIdentifier,
    signature: Vec<u8>,
    unknown_critical: Option<String>,
}

/// What a certificate authority may do.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// How many further authorities may stand below this one.
    pub(crate) path_length: Option<u8>,
    pub(crate) signs_certificates: bool,
    pub(crate) signs_revocation_lists: bool,
}

/// A certificate's public key, not yet checked to be a point.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    algorithm: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
    point: Vec<u8>,
}

impl PublicKey {
    /// The point, if the key is one on P-256.
    pub(crate) fn p256_point(&self) -> Option<&[u8]> {
        (self.algorithm == EC_PUBLIC_KEY && self.curve == Some(P256)).then_some(&self.point)
    }

    /// Checks an authority's signature. High S is accepted here, as in Fabric: authorities do not normalise.
    pub(crate) fn verify(
        &self,
        algorithm: ObjectIdentifier,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), &'static str> {
        let verification: &'static dyn VerificationAlgorithm = match (self.curve, algorithm) {
            (Some(P256), ECDSA_WITH_SHA256) => &ECDSA_P256_SHA256_ASN1,
            (Some(P256), ECDSA_WITH_SHA384) => &ECDSA_P256_SHA384_ASN1,
            (Some(P384), ECDSA_WITH_SHA256) => &ECDSA_P384_SHA256_ASN1,
            (Some(P384), ECDSA_WITH_SHA384) => &ECDSA_P384_SHA384_ASN1,
            _ => return Err("the issuer's key is not ECDSA on P-256 or P-384 with SHA-256 or SHA-384"),
        };
        UnparsedPublicKey::new(verification, &self.point)
            .verify(message, signature)
            .map_err(|_| "the issuer's signature does not fit")
    }
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, MspError> {
        Self::from_der(&super::pem::certificate(text)?)
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, MspError> {
        let x509 = X509::from_der(der).map_err(|error| Self::refuse("unreadable", &error))?;
        let body = x509.tbs_certificate();
        let subject_text = body.subject().to_string();
        let wrong = |error: x509_cert::der::Error| Self::refuse(&subject_text, &error);

        let key_usage = body.get_extension::<KeyUsage>().map_err(wrong)?.map(|(_, usage)| usage);
        let constraints = body.get_extension::<BasicConstraints>().map_err(wrong)?.map(|(_, constraints)| constraints);
        let subject_key_id = body.get_extension::<SubjectKeyIdentifier>().map_err(wrong)?;
        let unknown_critical = body
            .extensions()
            .into_iter()
            .flatten()
            .filter(|extension| extension.critical)
            .map(|extension| extension.extn_id.to_string())
            .find(|oid| !KNOWN_EXTENSIONS.contains(&oid.as_str()));
        let spki = body.subject_public_key_info();
        let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());

        Ok(Self {
            signed_part: signed_part(der).map_err(wrong)?.to_vec(),
            subject: body.subject().to_der().map_err(wrong)?,
            issuer: body.issuer().to_der().map_err(wrong)?,
            serial: body.serial_number().as_bytes().to_vec(),
            not_before: body.validity().not_before.to_system_time(),
            not_after: body.validity().not_after.to_system_time(),
            authority: constraints.filter(|constraints| constraints.ca).map(|constraints| Authority {
                path_length: constraints.path_len_constraint,
                signs_certificates: key_usage.is_none_or(|usage| usage.key_cert_sign()),
                signs_revocation_lists: key_usage.is_none_or(|usage| usage.crl_sign()),
            }),
            subject_key_id: subject_key_id.map(|(_, id)| id.0.as_bytes().to_vec()),
            key: PublicKey {
                algorithm: spki.algorithm.oid,
                curve,
                point: spki.subject_public_key.raw_bytes().to_vec(),
            },
            signature_algorithm: x509.signature_algorithm().oid,
            signature: x509.signature().raw_bytes().to_vec(),
            unknown_critical,
            subject_text,
        })
    }

    /// Checks that `issuer` signed this certificate; says nothing about whether it was allowed to.
    pub(crate) fn verify_signed_by(&self, issuer: &Self) -> Result<(), &'static str> {
        issuer.key.verify(self.signature_algorithm, &self.signed_part, &self.signature)
    }

    /// The certificate must not carry a critical extension that nobody here looks at.
    pub(crate) fn check_extensions(&self) -> Result<(), MspError> {
        match &self.unknown_critical {
            None => Ok(()),
            Some(oid) => Err(Self::refuse(&self.subject_text, &format!("unhandled critical extension {oid}"))),
        }
    }

    pub(crate) fn is_valid_at(&self, time: SystemTime) -> bool {
        self.not_before <= time && time <= self.not_after
    }

    fn refuse(subject: &str, cause: &impl ToString) -> MspError {
        MspError::Certificate { subject: subject.to_owned(), cause: cause.to_string() }
    }
}

/// The bytes that a certificate's or revocation list's signature covers, exactly as they came.
pub(crate) fn signed_part(der: &[u8]) -> x509_cert::der::Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|body| {
        let signed = body.tlv_bytes()?;
        body.drain(body.remaining_len())?;
        Ok(signed)
    })
}

/// The key identifier of an authority key extension.
pub(crate) fn authority_key_id(extension: &[u8]) -> Option<Vec<u8>> {
    Some(AuthorityKeyIdentifier::from_der(extension).ok()?.key_identifier?.as_bytes().to_vec())
}
