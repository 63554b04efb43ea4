//! PEM blocks, read the way Fabric's material comes: text before the first block, several blocks, any line width.

use std::ops::Range;

use x509_cert::der::SecretDocument;
use x509_cert::der::pem::{self, LineEnding};

use super::MspError;

const CERTIFICATE: &str = "CERTIFICATE";

/// The DER bytes of the first certificate in `text`.
pub(crate) fn certificate(text: &[u8]) -> Result<Vec<u8>, MspError> {
    block(text, |label| label == CERTIFICATE)?
        .ok_or_else(|| MspError::Pem("there is no CERTIFICATE block".into()))
        .and_then(decode)
}

/// The DER bytes of the first revocation list in `text`.
pub(crate) fn revocation_list(text: &[u8]) -> Result<Vec<u8>, MspError> {
    block(text, |label| label == "X509 CRL")?
        .ok_or_else(|| MspError::Pem("there is no X509 CRL block".into()))
        .and_then(decode)
}

/// The DER bytes of the first private key in `text`: PKCS#8, or SEC 1 as openssl writes it behind an EC PARAMETERS
/// block. Wiped from memory when dropped.
pub(crate) fn private_key(text: &[u8]) -> Result<SecretDocument, MspError> {
    let block = block(text, |label| label.ends_with("PRIVATE KEY"))?
        .ok_or_else(|| MspError::Key("there is no PRIVATE KEY block".into()))?;
    match SecretDocument::from_pem(block) {
        Ok(("PRIVATE KEY" | "EC PRIVATE KEY", document)) => Ok(document),
        Ok((label, _)) => {
            Err(MspError::Key(format!("a {label} is neither PKCS#8 nor SEC 1; encrypted keys are refused")))
        }
        Err(_) => Err(MspError::Key("its PEM block is damaged".into())),
    }
}

/// Wraps a DER certificate for a `SerializedIdentity`.
pub(crate) fn encode_certificate(der: &[u8]) -> Result<String, MspError> {
    pem::encode_string(CERTIFICATE, LineEnding::LF, der).map_err(|error| MspError::Pem(error.to_string()))
}

fn decode(block: &str) -> Result<Vec<u8>, MspError> {
    let (_, der) = pem::decode_vec(block.as_bytes()).map_err(|error| MspError::Pem(error.to_string()))?;
    Ok(der)
}

/// The text of the first block whose label is wanted, from its BEGIN to its END line.
fn block(text: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Option<&str>, MspError> {
    let text = std::str::from_utf8(text).map_err(|_| MspError::Pem("it is not text".into()))?;
    let mut from = 0;
    while let Some((label, range)) = next_block(text, from) {
        if wanted(label) {
            return Ok(Some(&text[range]));
        }
        from = range.end;
    }
    Ok(None)
}

fn next_block(text: &str, from: usize) -> Option<(&str, Range<usize>)> {
    const BEGIN: &str = "-----BEGIN ";
    const DASHES: &str = "-----";
    let start = from + text[from..].find(BEGIN)?;
    let label_start = start + BEGIN.len();
    let label = &text[label_start..label_start + text[label_start..].find(DASHES)?];
    let end_line = format!("-----END {label}-----");
    let end = label_start + text[label_start..].find(&end_line)? + end_line.len();
    Some((label, start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_and_other_blocks_before_are_skipped() {
        let text = "subject=x\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\
                    -----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\ntail";
        assert_eq!(certificate(text.as_bytes()).expect("it is there"), [1, 2, 3]);
        assert!(matches!(private_key(text.as_bytes()), Err(MspError::Key(_))));
        assert!(matches!(revocation_list(text.as_bytes()), Err(MspError::Pem(_))));
        assert!(matches!(certificate(b"-----BEGIN CERTIFICATE-----\nAQ"), Err(MspError::Pem(_))));
        assert!(matches!(certificate(b"\xff"), Err(MspError::Pem(_))));
    }
}
