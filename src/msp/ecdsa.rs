//! ECDSA over SHA-256, the only signature that identities make (Fabric: `bccsp/sw/ecdsa.go`, `bccsp/utils/ecdsa.go`).
//!
//! Arithmetic on curves is aws-lc's. The digest is SHA-256 on every curve, because Fabric takes it from the MSP's hash
//! family and not from the key. Invariant: a signature whose S is in the upper half of the curve's order is neither
//! made nor accepted. Bytes behind the two scalars are passed over, because Fabric's peers do so and every peer has to
//! come to the same verdict.

use std::cmp::Ordering;
use std::fmt;

use aws_lc_rs::digest::{Digest, SHA256, SHA384, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA256_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
};
use bytes::Bytes;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader, Tag};

use super::MspError;

/// The curves whose keys can be an identity's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid.to_string().as_str() {
            "1.2.840.10045.3.1.7" => Some(Self::P256),
            "1.3.132.0.34" => Some(Self::P384),
            "1.3.132.0.35" => Some(Self::P521),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The order of the curve's group, big-endian (FIPS 186-4, D.1.2).
    fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => &ORDER_P256,
            Self::P384 => &ORDER_P384,
            Self::P521 => &ORDER_P521,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA256_ASN1,
            Self::P521 => &ECDSA_P521_SHA256_ASN1,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA256_ASN1_SIGNING,
        }
    }
}

const ORDER_P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const ORDER_P384: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];
const ORDER_P521: [u8; 66] = [
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83,
    0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47,
    0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
];

/// A signature's two scalars: big-endian, positive, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalars {
    r: Vec<u8>,
    s: Vec<u8>,
}

impl Scalars {
    /// Reads what Go's `asn1.Unmarshal` reads: a DER sequence of two positive integers, whatever follows them.
    pub(crate) fn from_der(signature: &[u8]) -> Option<Self> {
        let scalars = SliceReader::new(signature).ok()?.sequence(|body| {
            let (r, s) = (UintRef::decode(body)?, UintRef::decode(body)?);
            body.drain(body.remaining_len())?;
            Ok::<_, x509_cert::der::Error>(Self { r: significant(r.as_bytes()), s: significant(s.as_bytes()) })
        });
        scalars.ok().filter(|scalars| !scalars.r.is_empty() && !scalars.s.is_empty())
    }

    pub(crate) fn to_der(&self) -> Option<Vec<u8>> {
        let mut content = UintRef::new(&self.r).ok()?.to_der().ok()?;
        content.extend(UintRef::new(&self.s).ok()?.to_der().ok()?);
        sequence(&content)
    }

    /// Whether S is at most half of the curve's order.
    pub(crate) fn is_low(&self, curve: Curve) -> bool {
        self.opposite(curve).is_some_and(|opposite| compare(&self.s, &opposite).is_le())
    }

    /// The same signature with the lower of its two possible S; unchanged if S is no scalar of the curve.
    pub(crate) fn into_low(self, curve: Curve) -> Self {
        match self.opposite(curve) {
            Some(opposite) if compare(&self.s, &opposite).is_gt() => Self { r: self.r, s: opposite },
            _ => self,
        }
    }

    /// The same signature with the higher S, which nobody of Fabric makes but anybody can.
    #[cfg(test)]
    pub(crate) fn into_high(self, curve: Curve) -> Self {
        match self.opposite(curve) {
            Some(opposite) if compare(&self.s, &opposite).is_lt() => Self { r: self.r, s: opposite },
            _ => self,
        }
    }

    /// The order less S; none if S is not below the order.
    fn opposite(&self, curve: Curve) -> Option<Vec<u8>> {
        let order = curve.order();
        if compare(&self.s, order).is_ge() {
            return None;
        }
        let mut difference = order.to_vec();
        let mut borrow = 0;
        for (position, digit) in difference.iter_mut().rev().enumerate() {
            let subtrahend =
                self.s.len().checked_sub(position + 1).map_or(0, |index| i32::from(self.s[index])) + borrow;
            let left = i32::from(*digit) - subtrahend;
            borrow = i32::from(left < 0);
            // In 0..=255 once 256 is borrowed.
            *digit = u8::try_from(left + 256 * borrow).ok()?;
        }
        Some(significant(&difference))
    }
}

fn significant(digits: &[u8]) -> Vec<u8> {
    let digits: &[u8] = match digits.iter().position(|digit| *digit != 0) {
        Some(first) => &digits[first..],
        None => &[],
    };
    digits.to_vec()
}

/// Compares two numbers without leading zeros.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A DER sequence of that content.
pub(crate) fn sequence(content: &[u8]) -> Option<Vec<u8>> {
    let length = content.len().try_into().ok()?;
    let mut der = Header::new(Tag::Sequence, length).to_der().ok()?;
    der.extend_from_slice(content);
    Some(der)
}

/// A public key that messages are verified with.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    key: ParsedPublicKey,
    curve: Curve,
}

impl VerifyingKey {
    /// From a point on the curve.
    pub(crate) fn new(curve: Curve, point: &[u8]) -> Result<Self, &'static str> {
        let key =
            ParsedPublicKey::new(curve.verification(), point).map_err(|_| "its public key is no point of its curve")?;
        Ok(Self { key, curve })
    }

    /// Checks a DER signature over SHA-256 of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), MspError> {
        let malformed = MspError::Signature("it is not DER of two scalars");
        let scalars = Scalars::from_der(signature).ok_or(malformed)?;
        if !scalars.is_low(self.curve) {
            return Err(MspError::Signature("its S is not in the lower half of the curve's order"));
        }
        let misfit = || MspError::Signature("it does not fit key and message");
        let strict = scalars.to_der().ok_or_else(misfit)?;
        self.key.verify_sig(message, &strict).map_err(|_| misfit())
    }
}

/// A private key. Shows nothing of itself.
pub(crate) struct PrivateKey {
    pair: EcdsaKeyPair,
    curve: Curve,
}

impl PrivateKey {
    /// From DER: PKCS#8 or SEC 1.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, MspError> {
        Curve::ALL
            .into_iter()
            .find_map(|curve| {
                let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok()?;
                Some(Self { pair, curve })
            })
            .ok_or_else(|| MspError::Key(unusable(der)))
    }

    pub(crate) fn curve(&self) -> Curve {
        self.curve
    }

    /// The uncompressed point of the public half.
    pub(crate) fn public_point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs SHA-256 of `message`: DER, low S.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Bytes, MspError> {
        let failed = || MspError::Key("signing failed".into());
        let signature = match self.curve {
            // aws-lc signs with P-384 only what is as long as a SHA-384 digest. A digest counts as a number, which
            // zeros in front of it do not change.
            Curve::P384 => {
                let mut padded = [0; 48];
                padded[16..].copy_from_slice(digest(&SHA256, message).as_ref());
                let number = Digest::import_less_safe(&padded, &SHA384).map_err(|_| failed())?;
                self.pair.sign_digest(&number)
            }
            Curve::P256 | Curve::P521 => self.pair.sign(&SystemRandom::new(), message),
        };
        let scalars = Scalars::from_der(signature.map_err(|_| failed())?.as_ref()).ok_or_else(failed)?;
        scalars.into_low(self.curve).to_der().map(Bytes::from).ok_or_else(failed)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// What a key is that [`PrivateKey::from_der`] cannot use.
fn unusable(der: &[u8]) -> String {
    let algorithm = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|body| {
            UintRef::decode(body)?;
            let oid = body.sequence(|algorithm| {
                let oid: ObjectIdentifier = ObjectIdentifier::decode(algorithm)?;
                algorithm.drain(algorithm.remaining_len())?;
                Ok::<_, x509_cert::der::Error>(oid)
            })?;
            body.drain(body.remaining_len())?;
            Ok::<_, x509_cert::der::Error>(oid)
        })
    });
    let kind = match algorithm.map(|oid| oid.to_string()).as_deref() {
        Ok("1.3.101.112") => "it is an Ed25519 key".to_owned(),
        Ok("1.2.840.113549.1.1.1") => "it is an RSA key".to_owned(),
        Ok("1.2.840.10045.2.1") => "its curve is another one, or it is damaged".to_owned(),
        Ok(oid) => format!("its algorithm is {oid}"),
        Err(_) => "it is damaged, or on another curve".to_owned(),
    };
    format!("{kind}; identities of Fabric sign with ECDSA on P-256, P-384 or P-521, in PKCS#8 or SEC 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: &'static rcgen::SignatureAlgorithm) -> (PrivateKey, VerifyingKey) {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let private = PrivateKey::from_der(pair.serialized_der()).expect("PKCS#8 is read");
        let public = VerifyingKey::new(private.curve(), private.public_point()).expect("a point");
        (private, public)
    }

    #[test]
    fn signatures_are_low_s_and_high_s_is_refused() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let (private, public) = key(algorithm);
            for n in 0..64_u8 {
                let signature = private.sign(&[n]).expect("signs");
                public.verify(&[n], &signature).expect("its own signature");
                assert!(public.verify(&[n, 0], &signature).is_err());

                let low = Scalars::from_der(&signature).expect("DER");
                let high = low.clone().into_high(private.curve());
                assert_ne!(high, low);
                let refused = public.verify(&[n], &high.to_der().expect("DER")).expect_err("high S");
                assert!(refused.to_string().contains("lower half"), "{refused}");
                assert_eq!(high.into_low(private.curve()), low);
            }
        }
    }

    #[test]
    fn the_digest_is_sha_256_on_every_curve() {
        let (private, _) = key(&rcgen::PKCS_ECDSA_P384_SHA384);
        let signature = private.sign(b"m").expect("signs");
        let verify = |algorithm| {
            aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, private.public_point()).verify(b"m", &signature)
        };
        verify(&ECDSA_P384_SHA256_ASN1).expect("SHA-256");
        assert!(verify(&aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1).is_err());
    }

    #[test]
    fn garbage_is_refused_and_trailing_bytes_are_passed_over_as_in_fabric() {
        let (private, public) = key(&rcgen::PKCS_ECDSA_P256_SHA256);
        let signature = private.sign(b"m").expect("signs");
        let mut longer = signature.to_vec();
        longer.push(0);
        public.verify(b"m", &longer).expect("Fabric reads two scalars and no further");
        let scalars = Scalars::from_der(&signature).expect("DER");
        let beyond = Scalars { r: scalars.r, s: ORDER_P256.to_vec() }.to_der().expect("DER");
        for bad in [&b""[..], b"0", &[0; 64], &[0x30, 6, 2, 1, 0, 2, 1, 1], &signature[1..], &beyond] {
            assert!(matches!(public.verify(b"m", bad), Err(MspError::Signature(_))), "{bad:?}");
        }
        assert!(VerifyingKey::new(Curve::P256, &[4; 65]).is_err());
        assert!(PrivateKey::from_der(b"nothing").is_err());
        assert_eq!(format!("{private:?}"), "PrivateKey(..)");
    }

    #[test]
    fn a_key_of_another_kind_is_named() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let refused = PrivateKey::from_der(pair.serialized_der()).expect_err("not ECDSA").to_string();
        assert!(refused.contains("Ed25519"), "{refused}");
    }
}
