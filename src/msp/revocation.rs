//! Certificate revocation lists (Fabric: `validateCertAgainstChain` in `msp/mspimplvalidate.go`).

use std::collections::HashSet;

use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};

use super::MspError;
use super::certificate::{Certificate, authority_key_id, signed_part};

const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// The serial numbers that one authority took back. Its signature was verified.
#[derive(Debug)]
pub(crate) struct RevocationList {
    issuer: Vec<u8>,
    key_id: Option<Vec<u8>>,
    serials: HashSet<Vec<u8>>,
}

impl RevocationList {
    /// Reads a PEM list and finds the authority that signed it. A list that none of `authorities` signed is refused:
    /// Fabric logs and ignores it, and would go on to accept what its owner revoked.
    pub(crate) fn from_pem(text: &[u8], authorities: &[&Certificate]) -> Result<Self, MspError> {
        let der = super::pem::revocation_list(text)?;
        let refuse = |cause: String| MspError::Certificate { subject: "revocation list".into(), cause };
        let wrong = |error: x509_cert::der::Error| refuse(error.to_string());
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der).map_err(wrong)?;
        let body = &list.tbs_cert_list;
        let issuer = body.issuer.to_der().map_err(wrong)?;
        let signed = signed_part(&der).map_err(wrong)?;
        let algorithm = list.signature_algorithm.oid;

        let signed_by = |authority: &&&Certificate| {
            authority.subject == issuer
                && authority.authority.as_ref().is_some_and(|powers| powers.signs_revocation_lists)
                && authority.key.verify(algorithm, signed, list.signature.raw_bytes()).is_ok()
        };
        if !authorities.iter().any(|authority| signed_by(&authority)) {
            return Err(refuse(format!("no authority of the MSP signed the list of '{}'", body.issuer)));
        }
        let key_id = body
            .crl_extensions
            .iter()
            .flatten()
            .find(|extension| extension.extn_id == AUTHORITY_KEY_ID)
            .and_then(|extension| authority_key_id(extension.extn_value.as_bytes()));
        let serials =
            body.revoked_certificates.iter().flatten().map(|entry| entry.serial_number.as_bytes().to_vec()).collect();
        Ok(Self { issuer, key_id, serials })
    }

    /// Whether the list takes back `certificate`, which `issuer` signed.
    pub(crate) fn revokes(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let same_key = match (&self.key_id, &issuer.subject_key_id) {
            (Some(list), Some(authority)) => list == authority,
            _ => true,
        };
        self.issuer == issuer.subject && same_key && self.serials.contains(&certificate.serial)
    }
}
