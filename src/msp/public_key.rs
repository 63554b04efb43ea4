//! A certificate's public key (Fabric: `bccsp`'s imported keys; Go's `x509.Certificate.CheckSignature`).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::ecdsa::Curve;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key, not yet checked to be a point.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    kind: Kind,
    bits: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ecdsa(Curve),
    Rsa,
    Other(ObjectIdentifier),
}

impl PublicKey {
    pub(crate) fn new(info: &SubjectPublicKeyInfoOwned) -> Self {
        let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let bits = info.subject_public_key.raw_bytes().to_vec();
        // Go reads no other form of a point than the uncompressed one.
        let uncompressed = bits.first() == Some(&4);
        let kind = match (info.algorithm.oid, curve) {
            (EC_PUBLIC_KEY, Some(oid)) if uncompressed => Curve::from_oid(oid).map_or(Kind::Other(oid), Kind::Ecdsa),
            (RSA_ENCRYPTION, _) => Kind::Rsa,
            (oid, _) => Kind::Other(oid),
        };
        Self { kind, bits }
    }

    /// Curve and point, if it is a key that can be an identity's.
    pub(crate) fn point(&self) -> Option<(Curve, &[u8])> {
        match self.kind {
            Kind::Ecdsa(curve) => Some((curve, &self.bits)),
            Kind::Rsa | Kind::Other(_) => None,
        }
    }

    /// The algorithm, for a reader.
    pub(crate) fn description(&self) -> String {
        match self.kind {
            Kind::Ecdsa(curve) => format!("ECDSA {}", curve.name()),
            Kind::Rsa => "RSA".into(),
            Kind::Other(ED25519) => "Ed25519".into(),
            Kind::Other(oid) => format!("of algorithm {oid}"),
        }
    }

    /// Checks an authority's signature, made with the algorithm of that identifier. High S is accepted here, as in
    /// Fabric: authorities do not normalise.
    pub(crate) fn verify(
        &self,
        algorithm: ObjectIdentifier,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), &'static str> {
        let name = algorithm.to_string();
        let verification: &'static dyn VerificationAlgorithm = match (self.kind, name.as_str()) {
            (Kind::Ecdsa(Curve::P256), "1.2.840.10045.4.3.2") => &ECDSA_P256_SHA256_ASN1,
            (Kind::Ecdsa(Curve::P256), "1.2.840.10045.4.3.3") => &ECDSA_P256_SHA384_ASN1,
            (Kind::Ecdsa(Curve::P256), "1.2.840.10045.4.3.4") => &ECDSA_P256_SHA512_ASN1,
            (Kind::Ecdsa(Curve::P384), "1.2.840.10045.4.3.2") => &ECDSA_P384_SHA256_ASN1,
            (Kind::Ecdsa(Curve::P384), "1.2.840.10045.4.3.3") => &ECDSA_P384_SHA384_ASN1,
            (Kind::Ecdsa(Curve::P384), "1.2.840.10045.4.3.4") => &ECDSA_P384_SHA512_ASN1,
            (Kind::Ecdsa(Curve::P521), "1.2.840.10045.4.3.2") => &ECDSA_P521_SHA256_ASN1,
            (Kind::Ecdsa(Curve::P521), "1.2.840.10045.4.3.3") => &ECDSA_P521_SHA384_ASN1,
            (Kind::Ecdsa(Curve::P521), "1.2.840.10045.4.3.4") => &ECDSA_P521_SHA512_ASN1,
            (Kind::Rsa, "1.2.840.113549.1.1.11") => &RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa, "1.2.840.113549.1.1.12") => &RSA_PKCS1_2048_8192_SHA384,
            (Kind::Rsa, "1.2.840.113549.1.1.13") => &RSA_PKCS1_2048_8192_SHA512,
            _ => return Err("the signature is neither ECDSA (P-256, P-384, P-521) nor RSA over SHA-256, 384 or 512"),
        };
        UnparsedPublicKey::new(verification, &self.bits)
            .verify(message, signature)
            .map_err(|_| "the issuer's signature does not fit")
    }
}
