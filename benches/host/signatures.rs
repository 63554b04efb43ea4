//! ECDSA on P-256, which is half of an endorsement: the library that identities use against the one in plain Rust.

use std::hint::black_box;

use anyhow::anyhow;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::DecodePrivateKey;

use crate::measure::{Better, Row, TURNS, serial_blocking, table};

/// A proposal of qscc is about as long.
const MESSAGE: [u8; 1100] = [7; 1100];

pub(crate) fn run() -> anyhow::Result<()> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
    let aws = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref())?;
    let aws_public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, aws.public_key().as_ref())?;
    let p256 = SigningKey::from_pkcs8_der(document.as_ref()).map_err(|error| anyhow!("{error}"))?;
    let p256_public = VerifyingKey::from(&p256);
    let signed: Signature = p256.sign(&MESSAGE);
    let der = signed.to_der();

    // Each reads what the other has signed, and both do all of the work: SHA-256, and DER in and out.
    let mut verify = [Row::new("aws-lc-rs"), Row::new("p256")];
    let mut sign = [Row::new("aws-lc-rs"), Row::new("p256")];
    for _ in 0..TURNS {
        verify[0].add(serial_blocking(|| {
            aws_public.verify_sig(black_box(&MESSAGE), der.as_bytes()).expect("it is genuine");
        }));
        verify[1].add(serial_blocking(|| {
            let signature = Signature::from_der(der.as_bytes()).expect("it is DER");
            p256_public.verify(black_box(&MESSAGE), &signature).expect("it is genuine");
        }));
        sign[0].add(serial_blocking(|| {
            black_box(aws.sign(&random, black_box(&MESSAGE)).expect("the key is good"));
        }));
        sign[1].add(serial_blocking(|| {
            let signature: Signature = p256.sign(black_box(&MESSAGE));
            black_box(signature.to_der());
        }));
    }
    table("A signature is verified", "us", Better::Less, &verify);
    table("A signature is made", "us", Better::Less, &sign);
    Ok(())
}
