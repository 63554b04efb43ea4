//! Certificate revocation lists (Fabric: `validateCertAgainstChain` in `msp/mspimplvalidate.go`).
//!
//! A list counts for the authority whose key identifier it names and whose signature it bears. One that no authority of
//! the MSP signed revokes nothing, as in Fabric; `selvedge msp show` tells.

use std::collections::HashSet;

use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;

use super::MspError;
use super::certificate::{Certificate, authority_key_id, signed_part};

const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// The serial numbers that one authority took back.
#[derive(Debug)]
pub(crate) struct RevocationList {
    der: Vec<u8>,
    pub(crate) issuer_text: String,
    key_id: Option<Vec<u8>>,
    pub(crate) serials: HashSet<Vec<u8>>,
    algorithm: ObjectIdentifier,
    signature: Vec<u8>,
}

impl RevocationList {
    /// Reads a list, PEM or DER. Its signature is looked at when it comes to a certificate that it names.
    pub(crate) fn read(text: &[u8]) -> Result<Self, MspError> {
        let der = super::pem::revocation_list(text)?;
        let wrong = |error: x509_cert::der::Error| {
            Certificate::refuse("revocation list", &format!("could not parse RevocationList: {error}"))
        };
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der).map_err(wrong)?;
        signed_part(&der).map_err(wrong)?;
        let body = &list.tbs_cert_list;
        let key_id = body
            .crl_extensions
            .iter()
            .flatten()
            .find(|extension| extension.extn_id == AUTHORITY_KEY_ID)
            .and_then(|extension| authority_key_id(extension.extn_value.as_bytes()));
        let serials =
            body.revoked_certificates.iter().flatten().map(|entry| entry.serial_number.as_bytes().to_vec()).collect();
        Ok(Self {
            issuer_text: body.issuer.to_string(),
            key_id,
            serials,
            algorithm: list.signature_algorithm.oid,
            signature: list.signature.raw_bytes().to_vec(),
            der,
        })
    }

    /// Whether `authority` made this list.
    pub(crate) fn is_signed_by(&self, authority: &Certificate) -> bool {
        // It was read when the list was.
        let signed = signed_part(&self.der).unwrap_or_default();
        self.key_id.is_some()
            && self.key_id == authority.subject_key_id
            && authority.key.verify(self.algorithm, signed, &self.signature).is_ok()
    }
}

/// Refuses `certificate` if a list of `issuer`, which signed it, names it. A list without an authority's key identifier
/// makes every certificate of the MSP invalid, as in Fabric, because nobody can say whose it is.
pub(crate) fn check(lists: &[RevocationList], certificate: &Certificate, issuer: &Certificate) -> Result<(), MspError> {
    for list in lists {
        if list.key_id.is_none() {
            let cause =
                "could not obtain Authority Key Identifier for crl: authorityKeyIdentifier not found in certificate";
            return Err(Certificate::refuse(&list.issuer_text, &cause));
        }
        if list.serials.contains(&certificate.serial) && list.is_signed_by(issuer) {
            return Err(MspError::Revoked);
        }
    }
    Ok(())
}
