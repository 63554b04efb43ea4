//! ECDSA on P-256 over SHA-256, the only signature that identities make (Fabric: `bccsp/sw/ecdsa.go`).
//!
//! Arithmetic is aws-lc's, which verifies several times as fast as p256 on the same machine; p256 supplies what aws-lc
//! lacks, the view of a signature as two scalars. Invariant: a signature whose S is in the upper half of the curve's
//! order is neither made nor accepted, or anybody could change the bytes of a signed message without breaking its
//! signature.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use bytes::Bytes;
use p256::ecdsa::Signature;

use super::MspError;

/// A public key that messages are verified with.
#[derive(Clone)]
pub(crate) struct VerifyingKey(ParsedPublicKey);

impl VerifyingKey {
    /// From an uncompressed point on P-256.
    pub(crate) fn new(point: &[u8]) -> Result<Self, &'static str> {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .map(Self)
            .map_err(|_| "its public key is no point on P-256")
    }

    /// Checks a DER signature over SHA-256 of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), MspError> {
        let scalars =
            Signature::from_der(signature).map_err(|_| MspError::Signature("it is not DER of two scalars"))?;
        if scalars.normalize_s() != scalars {
            return Err(MspError::Signature("its S is not in the lower half of the curve's order"));
        }
        self.0.verify_sig(message, signature).map_err(|_| MspError::Signature("it does not fit key and message"))
    }
}

/// A private key. Shows nothing of itself.
pub(crate) struct PrivateKey(EcdsaKeyPair);

impl PrivateKey {
    /// From DER: PKCS#8 or SEC 1.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, MspError> {
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(Self)
            .map_err(|error| MspError::Key(format!("it is no P-256 key ({error})")))
    }

    /// The uncompressed point of the public half.
    pub(crate) fn public_point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Signs SHA-256 of `message`: DER, low S.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Bytes, MspError> {
        let failed = || MspError::Key("signing failed".into());
        let fixed = self.0.sign(&SystemRandom::new(), message).map_err(|_| failed())?;
        let signature = Signature::from_slice(fixed.as_ref()).map_err(|_| failed())?;
        Ok(Bytes::copy_from_slice(signature.normalize_s().to_der().as_bytes()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (PrivateKey, VerifyingKey) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let private = PrivateKey::from_der(pair.serialized_der()).expect("PKCS#8 is read");
        let public = VerifyingKey::new(private.public_point()).expect("a point");
        (private, public)
    }

    #[test]
    fn signatures_are_low_s_and_high_s_is_refused() {
        let (private, public) = key();
        for n in 0..64_u8 {
            let signature = private.sign(&[n]).expect("signs");
            public.verify(&[n], &signature).expect("its own signature");
            assert!(public.verify(&[n, 0], &signature).is_err());

            let low = Signature::from_der(&signature).expect("DER");
            let (r, s) = low.split_scalars();
            let high = Signature::from_scalars(r, -s).expect("the other root").to_der();
            let refused = public.verify(&[n], high.as_bytes()).expect_err("high S");
            assert!(refused.to_string().contains("lower half"), "{refused}");
        }
    }

    #[test]
    fn garbage_and_trailing_bytes_are_refused() {
        let (private, public) = key();
        let signature = private.sign(b"m").expect("signs");
        let mut longer = signature.to_vec();
        longer.push(0);
        for bad in [&b""[..], b"0", &[0; 64], &longer, &signature[1..]] {
            assert!(matches!(public.verify(b"m", bad), Err(MspError::Signature(_))), "{bad:?}");
        }
        assert!(VerifyingKey::new(&[4; 65]).is_err());
        assert!(PrivateKey::from_der(b"nothing").is_err());
        assert_eq!(format!("{private:?}"), "PrivateKey(..)");
    }
}
