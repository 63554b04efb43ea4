//! An X.509 certificate as far as an MSP looks at it (Fabric: `msp/cert.go`, Go's `crypto/x509`).

use std::time::SystemTime;

use x509_cert::Certificate as X509;
use x509_cert::der::asn1::{Any, BitString, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader, Tag, Tagged};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier};
use x509_cert::name::Name;

use super::MspError;
use super::ecdsa::{Scalars, sequence};
use super::public_key::PublicKey;

const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const NAME_CONSTRAINTS: &str = "2.5.29.30";

/// Critical extensions that are honoured here or say nothing about a chain: subject key identifier, key usage, subject
/// alternative name, basic constraints, where revocation lists are, certificate policies, authority key identifier,
/// extended key usage.
const KNOWN_EXTENSIONS: [&str; 8] =
    ["2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.31", "2.5.29.32", "2.5.29.35", "2.5.29.37"];

/// A parsed certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// The whole of it. Once its issuer is known, with the lower S: see [`Certificate::with_low_s`].
    pub(crate) der: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) subject_text: String,
    /// The organisational units of the subject, in their order.
    pub(crate) units: Vec<String>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) issuer_text: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) authority: Option<Authority>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    /// False if its extended key usage leaves out what Go's chains are checked for, TLS servers.
    pub(crate) allows_server_auth: bool,
    pub(crate) key: PublicKey,
    signature_algorithm: ObjectIdentifier,
    pub(crate) signature: Vec<u8>,
    unknown_extension: Option<String>,
}

/// What a certificate authority may do.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// How many further authorities may stand below this one.
    pub(crate) path_length: Option<u8>,
    pub(crate) signs_certificates: bool,
}

impl Certificate {
    /// Reads the first block of a PEM text.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, MspError> {
        let block = super::pem::certificate(text)?;
        Self::from_der(&block.der).map_err(|error| match block.label().as_str() {
            "CERTIFICATE" => error,
            label => MspError::Pem(format!("the first block is a {label}, not a CERTIFICATE")),
        })
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, MspError> {
        let x509 = X509::from_der(der).map_err(|error| Self::refuse("unreadable", &error))?;
        let body = x509.tbs_certificate();
        let subject_text = body.subject().to_string();
        let wrong = |error: x509_cert::der::Error| Self::refuse(&subject_text, &error);

        let key_usage = body.get_extension::<KeyUsage>().map_err(wrong)?.map(|(_, usage)| usage);
        let constraints = body.get_extension::<BasicConstraints>().map_err(wrong)?.map(|(_, constraints)| constraints);
        let subject_key_id = body.get_extension::<SubjectKeyIdentifier>().map_err(wrong)?;
        let extended = body.get_extension::<ExtendedKeyUsage>().map_err(wrong)?;
        let unknown_extension = body
            .extensions()
            .into_iter()
            .flatten()
            .map(|extension| (extension.critical, extension.extn_id.to_string()))
            // Go enforces name constraints whether they are critical or not; here nobody does.
            .find(|(critical, oid)| oid == NAME_CONSTRAINTS || *critical && !KNOWN_EXTENSIONS.contains(&oid.as_str()))
            .map(|(_, oid)| oid);
        signed_part(der).map_err(wrong)?;
        // The signature does not cover the outer identifier.
        if x509.signature_algorithm() != body.signature() {
            return Err(Self::refuse(&subject_text, &"its inner and outer signature algorithms differ"));
        }
        let signature = x509
            .signature()
            .as_bytes()
            .ok_or_else(|| Self::refuse(&subject_text, &"its signature is no whole number of bytes"))?;

        Ok(Self {
            der: der.to_vec(),
            subject: body.subject().to_der().map_err(wrong)?,
            units: organizational_units(body.subject()),
            issuer: body.issuer().to_der().map_err(wrong)?,
            issuer_text: body.issuer().to_string(),
            serial: body.serial_number().as_bytes().to_vec(),
            not_before: body.validity().not_before.to_system_time(),
            not_after: body.validity().not_after.to_system_time(),
            authority: constraints.filter(|constraints| constraints.ca).map(|constraints| Authority {
                path_length: constraints.path_len_constraint,
                signs_certificates: key_usage.is_none_or(|usage| usage.key_cert_sign()),
            }),
            subject_key_id: subject_key_id.map(|(_, id)| id.0.as_bytes().to_vec()),
            allows_server_auth: extended.is_none_or(|(_, usages)| {
                usages.0.is_empty() || usages.0.iter().any(|oid| [SERVER_AUTH, ANY_EXTENDED_KEY_USAGE].contains(oid))
            }),
            key: PublicKey::new(body.subject_public_key_info()),
            signature_algorithm: x509.signature_algorithm().oid,
            signature: signature.to_vec(),
            unknown_extension,
            subject_text,
        })
    }

    /// The same certificate with the lower of its signature's two possible S. Anybody can turn one into the other, so
    /// that certificates are compared and hashed in this form only.
    pub(crate) fn with_low_s(self, issuer: &PublicKey) -> Result<Self, MspError> {
        let Some((curve, _)) = issuer.point() else { return Ok(self) };
        let lower = Scalars::from_der(&self.signature).and_then(|scalars| scalars.into_low(curve).to_der());
        let Some(lower) = lower.filter(|lower| *lower != self.signature) else { return Ok(self) };
        self.with_signature(&lower)
    }

    /// The same certificate with another signature.
    pub(crate) fn with_signature(&self, signature: &[u8]) -> Result<Self, MspError> {
        let wrong = |error: x509_cert::der::Error| Self::refuse(&self.subject_text, &error);
        let mut content = self.signed_part().to_vec();
        let algorithm = X509::from_der(&self.der).and_then(|x509| x509.signature_algorithm().to_der());
        content.extend(algorithm.map_err(wrong)?);
        content.extend(BitString::from_bytes(signature).and_then(|bits| bits.to_der()).map_err(wrong)?);
        Self::from_der(&sequence(&content).ok_or_else(|| Self::refuse(&self.subject_text, &"it is too long"))?)
    }

    /// Checks that `issuer` signed this certificate; says nothing about whether it was allowed to.
    pub(crate) fn verify_signed_by(&self, issuer: &Self) -> Result<(), &'static str> {
        issuer.key.verify(self.signature_algorithm, self.signed_part(), &self.signature)
    }

    /// The certificate must not carry an extension that restricts its use and that nobody here looks at.
    pub(crate) fn check_extensions(&self) -> Result<(), MspError> {
        match &self.unknown_extension {
            None => Ok(()),
            Some(oid) => Err(Self::refuse(&self.subject_text, &format!("unhandled extension {oid}"))),
        }
    }

    pub(crate) fn is_valid_at(&self, time: SystemTime) -> bool {
        self.not_before <= time && time <= self.not_after
    }

    /// The serial number in hexadecimal digits.
    pub(crate) fn serial_text(&self) -> String {
        hex::encode(&self.serial)
    }

    /// The validity, for a reader; says EXPIRED or NOT YET VALID when it is so `now`.
    pub(crate) fn validity_text(&self, now: SystemTime) -> String {
        let (from, to) = (timestamp(self.not_before), timestamp(self.not_after));
        if now > self.not_after {
            format!("EXPIRED since {to} (valid from {from})")
        } else if now < self.not_before {
            format!("NOT YET VALID before {from} (until {to})")
        } else {
            format!("valid from {from} until {to}")
        }
    }

    fn signed_part(&self) -> &[u8] {
        // It was read when the certificate was.
        signed_part(&self.der).unwrap_or_default()
    }

    pub(crate) fn refuse(subject: &str, cause: &impl ToString) -> MspError {
        MspError::Certificate { subject: subject.to_owned(), cause: cause.to_string() }
    }
}

/// The values of all `OU` attributes, also of several in one relative name, as Fabric CA writes them.
fn organizational_units(name: &Name) -> Vec<String> {
    name.iter()
        .filter(|attribute| attribute.oid == ORGANIZATIONAL_UNIT)
        .filter_map(|attribute| text(&attribute.value))
        .collect()
}

/// The text of an attribute, of every kind of string that Go reads as one: a unit that is overlooked here would count
/// elsewhere.
fn text(value: &Any) -> Option<String> {
    let kinds = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String, Tag::TeletexString, Tag::NumericString];
    let bytes = kinds.contains(&value.tag()).then(|| value.value())?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// A time as RFC 3339 writes it.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let time = time::OffsetDateTime::from(time);
    time.format(&time::format_description::well_known::Rfc3339).unwrap_or_else(|_| time.to_string())
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

/// The key identifier of an authority key extension: empty if the extension names none, and no more is read of it, as in
/// Fabric. None if it is no such extension.
pub(crate) fn authority_key_id(extension: &[u8]) -> Option<Vec<u8>> {
    const KEY_IDENTIFIER: u8 = 0x80;
    let mut reader = SliceReader::new(extension).ok()?;
    let first = reader.sequence(|body| {
        let first = if body.is_finished() { None } else { Some(body.tlv_bytes()?) };
        body.drain(body.remaining_len())?;
        Ok::<_, x509_cert::der::Error>(first)
    });
    let Some(first) = first.ok()?.filter(|first| first.first() == Some(&KEY_IDENTIFIER)) else {
        return Some(Vec::new());
    };
    let mut reader = SliceReader::new(first).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    Some(reader.read_slice(header.length()).ok()?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `C=US, OU=org1 + OU=client + OU=department1, CN=user1`: one relative name with three values, as Fabric CA writes
    /// a client's affiliation.
    const SEVERAL_UNITS: &[u8] = include_bytes!("testdata/several-units.pem");

    #[test]
    fn of_an_authority_key_extension_only_the_key_counts() {
        for (extension, key) in [
            (&[0x30, 4, 0x80, 2, 7, 8][..], Some(&[7, 8][..])),
            // What follows the key is somebody else's concern, even if it is nonsense.
            (&[0x30, 9, 0x80, 2, 7, 8, 0xa1, 0, 0x82, 1, 5], Some(&[7, 8])),
            (&[0x30, 4, 0x80, 2, 7, 8, 0xff], Some(&[7, 8])),
            (&[0x30, 3, 0x82, 1, 5], Some(&[])),
            (&[0x30, 0], Some(&[])),
            (&[0x30, 2, 0x80, 2, 7, 8], None),
            (&[0x04, 0], None),
            (&[], None),
        ] {
            assert_eq!(authority_key_id(extension).as_deref(), key, "{extension:?}");
        }
    }

    #[test]
    fn units_in_one_relative_name_are_all_seen() {
        let certificate = Certificate::from_pem(SEVERAL_UNITS).expect("a certificate");
        assert_eq!(certificate.units, ["org1", "client", "department1"]);
    }
}
