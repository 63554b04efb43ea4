//! PEM blocks, read as Go's `encoding/pem` reads them: text around them, any line width, headers.
//!
//! Invariant: what stands for a certificate is the first block of a text, whatever its label, as in Fabric. Every peer
//! has to see the same certificate in the same bytes.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use x509_cert::der::SecretDocument;
use x509_cert::der::pem::{self, LineEnding};

use super::MspError;

const CERTIFICATE: &str = "CERTIFICATE";
const REVOCATION_LIST: &str = "X509 CRL";
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The first block of a text.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) der: Vec<u8>,
}

/// The first block that can be decoded, if there is one.
pub(crate) fn first_block(text: &[u8]) -> Option<Block> {
    Blocks { rest: text }.find_map(|block| Some(Block { label: block.label.to_owned(), der: block.decode()? }))
}

/// The first block of `text` as a certificate's DER bytes.
pub(crate) fn certificate(text: &[u8]) -> Result<Block, MspError> {
    first_block(text).ok_or_else(|| MspError::Pem("there is no PEM block".into()))
}

/// The DER bytes of a revocation list, which may also stand without PEM.
pub(crate) fn revocation_list(text: &[u8]) -> Result<Vec<u8>, MspError> {
    if text.first() == Some(&0x30) {
        return Ok(text.to_vec());
    }
    match first_block(text) {
        Some(block) if block.label == REVOCATION_LIST => Ok(block.der),
        Some(block) => Err(MspError::Pem(format!("a {} block is no revocation list ({REVOCATION_LIST})", block.label))),
        None => Err(MspError::Pem(format!("there is no {REVOCATION_LIST} block"))),
    }
}

/// The DER bytes of the first private key in `text`: PKCS#8, or SEC 1 as openssl writes it behind an EC PARAMETERS
/// block. Wiped from memory when dropped.
pub(crate) fn private_key(text: &[u8]) -> Result<SecretDocument, MspError> {
    let block = Blocks { rest: text }
        .find(|block| block.label.ends_with("PRIVATE KEY"))
        .ok_or_else(|| MspError::Key("there is no PRIVATE KEY block".into()))?;
    let whole = std::str::from_utf8(block.whole).map_err(|_| MspError::Key("its PEM block is damaged".into()))?;
    match SecretDocument::from_pem(whole) {
        Ok(("PRIVATE KEY" | "EC PRIVATE KEY", document)) => Ok(document),
        Ok(("RSA PRIVATE KEY", _)) => Err(MspError::Key(
            "it is an RSA key; identities of Fabric sign with ECDSA on P-256, P-384 or P-521, in PKCS#8 or SEC 1"
                .into(),
        )),
        Ok((label, _)) => {
            Err(MspError::Key(format!("a {label} is neither PKCS#8 nor SEC 1; encrypted keys are refused")))
        }
        Err(_) => Err(MspError::Key("its PEM block is damaged or encrypted".into())),
    }
}

/// Wraps a DER certificate for a `SerializedIdentity`.
pub(crate) fn encode_certificate(der: &[u8]) -> Result<String, MspError> {
    pem::encode_string(CERTIFICATE, LineEnding::LF, der).map_err(|error| MspError::Pem(error.to_string()))
}

/// The undecoded blocks of a text in their order.
struct Blocks<'a> {
    rest: &'a [u8],
}

struct RawBlock<'a> {
    label: &'a str,
    /// Between the BEGIN line and the END line.
    body: &'a [u8],
    /// With both lines.
    whole: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = RawBlock<'a>;

    fn next(&mut self) -> Option<RawBlock<'a>> {
        while !self.rest.is_empty() {
            let start = self.rest;
            let (line, after) = split_line(start);
            self.rest = after;
            let Some(label) = marker(line, "-----BEGIN ") else { continue };
            let mut remaining = after;
            while !remaining.is_empty() {
                let (line, next) = split_line(remaining);
                if line.starts_with(b"-----END") {
                    if marker(line, "-----END ") == Some(label) {
                        let body = &after[..after.len() - remaining.len()];
                        self.rest = next;
                        return Some(RawBlock { label, body, whole: &start[..start.len() - next.len()] });
                    }
                    break;
                }
                remaining = next;
            }
        }
        None
    }
}

impl RawBlock<'_> {
    fn decode(&self) -> Option<Vec<u8>> {
        let mut body = self.body;
        loop {
            let (line, next) = split_line(body);
            if !line.contains(&b':') {
                break;
            }
            body = next;
        }
        let digits: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(digits).ok()
    }
}

/// The first line without its end and the white space before that, and what follows.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (text[..end].trim_ascii_end(), &text[end + 1..]),
        None => (text.trim_ascii_end(), &[]),
    }
}

/// The label of a line that begins or ends a block.
fn marker<'a>(line: &'a [u8], prefix: &str) -> Option<&'a str> {
    std::str::from_utf8(line.strip_prefix(prefix.as_bytes())?.strip_suffix(b"-----")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_counts_whatever_stands_around_it() {
        let text = b"subject=\xff\n-----BEGIN A-----\r\nNote: x\r\n\r\nAQ\r\nID\r\n-----END A-----  \ntail\n\
                     -----BEGIN CERTIFICATE-----\nBAUG\n-----END CERTIFICATE-----";
        let block = first_block(text).expect("it is there");
        assert_eq!((block.label.as_str(), &block.der[..]), ("A", &[1, 2, 3][..]));
        let second = first_block(&text[60..]).expect("it is there");
        assert_eq!((second.label.as_str(), &second.der[..]), ("CERTIFICATE", &[4, 5, 6][..]));
    }

    #[test]
    fn a_damaged_block_is_passed_over() {
        let block = first_block(
            b"-----BEGIN A-----\n*\n-----END A-----\n-----BEGIN B-----\nAQID\n-----END C-----\n\
              -----BEGIN D-----\nAQID\n-----END D-----\n",
        );
        assert_eq!(block.expect("the last one").label, "D");
        for none in
            [&b"-----BEGIN CERTIFICATE-----\nAQ"[..], b"\xff", b"", b"x -----BEGIN A-----\nAQID\n-----END A-----"]
        {
            assert!(matches!(certificate(none), Err(MspError::Pem(_))), "{none:?}");
        }
    }

    #[test]
    fn a_key_is_found_behind_the_parameters_of_its_curve() {
        let text = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\
                     -----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(private_key(text).expect("SEC 1").as_bytes(), [0x30, 0]);
        assert!(matches!(private_key(&text[..80]), Err(MspError::Key(_))));
        let rsa = private_key(b"-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n");
        assert!(rsa.expect_err("RSA").to_string().contains("RSA"));
        assert!(matches!(revocation_list(text), Err(MspError::Pem(_))));
    }
}
