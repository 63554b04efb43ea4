//! PEM blocks, read as Go's `encoding/pem` reads them: text around them, any line width, headers.
//!
//! Invariants: what stands for a certificate is the first block of a text, whatever its label, as in Fabric, because every
//! peer has to see the same certificate in the same bytes. Reading takes time in proportion to the text, whatever it is.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use x509_cert::der::SecretDocument;
use x509_cert::der::pem::{self, LineEnding};

use super::MspError;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";
const CERTIFICATE: &str = "CERTIFICATE";
const REVOCATION_LIST: &str = "X509 CRL";
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// A block of a text.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    label: &'a [u8],
    pub(crate) der: Vec<u8>,
    /// With its first and its last line.
    whole: &'a [u8],
}

impl Block<'_> {
    /// What stands in the first line, for a reader.
    pub(crate) fn label(&self) -> String {
        String::from_utf8_lossy(self.label).into_owned()
    }
}

/// The first block that can be decoded, if there is one.
pub(crate) fn first_block(text: &[u8]) -> Option<Block<'_>> {
    Blocks::of(text).next()
}

/// The first block of `text` as a certificate's DER bytes.
pub(crate) fn certificate(text: &[u8]) -> Result<Block<'_>, MspError> {
    first_block(text).ok_or_else(|| MspError::Pem("there is no PEM block".into()))
}

/// The DER bytes of a revocation list, which may also stand without PEM. As in Go, nothing stands in front of it: not every
/// peer would take a definition with a list that one of them cannot find.
pub(crate) fn revocation_list(text: &[u8]) -> Result<Vec<u8>, MspError> {
    if text.first() == Some(&0x30) {
        return Ok(text.to_vec());
    }
    if !text.starts_with(BEGIN) || !text[BEGIN.len()..].starts_with(REVOCATION_LIST.as_bytes()) {
        return Err(MspError::Pem(format!(
            "a revocation list begins with the line of its {REVOCATION_LIST} block, or is DER"
        )));
    }
    first_block(text)
        .map(|block| block.der)
        .ok_or_else(|| MspError::Pem(format!("its {REVOCATION_LIST} block is damaged")))
}

/// The DER bytes of the first private key in `text`: PKCS#8, or SEC 1 as openssl writes it behind an EC PARAMETERS
/// block. Wiped from memory when dropped.
pub(crate) fn private_key(text: &[u8]) -> Result<SecretDocument, MspError> {
    let block = Blocks::of(text)
        .find(|block| block.label.ends_with(b"PRIVATE KEY"))
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

/// The blocks of a text that can be decoded, in their order.
struct Blocks<'a> {
    text: &'a [u8],
    /// The start of the line where the search goes on.
    position: usize,
    /// The first [`END`] that was found in front of a position. Kept, because many blocks may begin before one ends.
    end: Option<usize>,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        while self.position < self.text.len() {
            let start = self.position;
            let line = self.line();
            let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else { continue };
            let mut has_headers = false;
            let body = loop {
                let body = self.position;
                if body == self.text.len() {
                    return None;
                }
                if !self.line().contains(&b':') {
                    break body;
                }
                has_headers = true;
            };
            // What is no block does not take away the beginning of another behind its headers.
            self.position = body;
            let end = match self.text[body..].starts_with(&END[1..]) && !has_headers {
                // The line's end in front of it is that of the first line.
                true => body - 1,
                false => self.end_from(body)?,
            };
            let Some(der) = decode(self.text.get(body..end).unwrap_or_default()) else { continue };
            let trailer = &self.text[end + END.len()..];
            let Some(rest) = trailer.strip_prefix(label).and_then(|rest| rest.strip_prefix(DASHES)) else { continue };
            let (rest, length) = first_line(rest);
            if rest.is_empty() {
                self.position = end + END.len() + label.len() + DASHES.len() + length;
                return Some(Block { label, der, whole: &self.text[start..self.position] });
            }
        }
        None
    }
}

impl<'a> Blocks<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self { text, position: 0, end: None }
    }

    /// The next line.
    fn line(&mut self) -> &'a [u8] {
        let (line, length) = first_line(&self.text[self.position..]);
        self.position += length;
        line
    }

    /// Where the first block from `from` on ends; none if there is no such place, neither from anywhere behind it.
    fn end_from(&mut self, from: usize) -> Option<usize> {
        if self.end.is_none_or(|end| end < from) {
            let found = self.text[from..].windows(END.len()).position(|window| window == END);
            self.end = found.map(|offset| from + offset);
        }
        self.end
    }
}

/// The bytes that a block's digits stand for.
fn decode(body: &[u8]) -> Option<Vec<u8>> {
    // Found before anything is copied: this is where the next block begins, if this one has no end of its own.
    if body.contains(&b'-') {
        return None;
    }
    let digits: Vec<u8> = body.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).collect();
    BASE64.decode(digits).ok()
}

/// The first line without its end and the blanks in front of that, and how far it is to the next.
fn first_line(text: &[u8]) -> (&[u8], usize) {
    let (line, length) = match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]), end + 1),
        None => (text, text.len()),
    };
    let blanks = line.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (&line[..line.len() - blanks], length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_counts_whatever_stands_around_it() {
        let text = b"subject=\xff\n-----BEGIN A-----\r\nNote: x\r\n\r\nAQ\r\nID\r\n-----END A-----  \ntail\n\
                     -----BEGIN CERTIFICATE-----\nBAUG\n-----END CERTIFICATE-----";
        let block = first_block(text).expect("it is there");
        assert_eq!((block.label(), &block.der[..]), ("A".into(), &[1, 2, 3][..]));
        let second = first_block(&text[60..]).expect("it is there");
        assert_eq!((second.label(), &second.der[..]), ("CERTIFICATE".into(), &[4, 5, 6][..]));
    }

    #[test]
    fn a_damaged_block_is_passed_over() {
        let block = first_block(
            b"-----BEGIN A-----\n*\n-----END A-----\n-----BEGIN B-----\nAQID\n-----END C-----\n\
              -----BEGIN D-----\nAQID\n-----END D-----\n",
        );
        assert_eq!(block.expect("the last one").label(), "D");
        for none in
            [&b"-----BEGIN CERTIFICATE-----\nAQ"[..], b"\xff", b"", b"x -----BEGIN A-----\nAQID\n-----END A-----"]
        {
            assert!(matches!(certificate(none), Err(MspError::Pem(_))), "{none:?}");
        }
    }

    /// Each text as Go's `pem.Decode` reads it: whoever sends bytes that two peers read differently, splits a channel.
    #[test]
    fn what_is_a_block_is_what_go_takes_for_one() {
        for (text, label) in [
            (&b"-----BEGIN A-----\nAQID\n-----END A-----"[..], Some("A")),
            (b"-----BEGIN A-----\r\nAQID\r\n-----END A----- \t\r\nx", Some("A")),
            (b"-----BEGIN -----\nAQID\n-----END -----\n", Some("")),
            (b"-----BEGIN \xff-----\nAQID\n-----END \xff-----\n", Some("\u{fffd}")),
            (b"-----BEGIN A-----\n-----END A-----\n", Some("A")),
            (b"-----BEGIN A-----\nAQ I\tD\r\r\n-----END A-----\n", Some("A")),
            // One carriage return belongs to the line's end, and no other white space does.
            (b"-----BEGIN A-----\r\r\nAQID\n-----END A-----\n", None),
            (b"-----BEGIN A-----\nAQID\n-----END A-----\x0c\n", None),
            (b"-----BEGIN A-----\nAQ\x0cID\n-----END A-----\n", None),
            (b"-----BEGIN A-----\nAQID\n-----END A-----x\n", None),
            (b"-----BEGIN A-----\nAQID\n-----END  A-----\n", None),
            (b"-----BEGIN A-----\nAQID-----END A-----\n", None),
            // A block without an end hides no other, unless the other's beginning reads like a header.
            (b"-----BEGIN A-----\nAQID\n-----BEGIN B-----\nAQID\n-----END B-----\n", Some("B")),
            (b"-----BEGIN A-----\n-----BEGIN B:-----\nAQID\n-----END B:-----\n", None),
            (b"-----BEGIN A-----\nh: 1\n-----END A-----\n", None),
            (b"-----BEGIN A-----\nh: 1\n", None),
        ] {
            assert_eq!(first_block(text).map(|block| block.label()).as_deref(), label, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn beginnings_without_end_cost_no_more_than_other_text() {
        let begun = b"-----BEGIN A-----\n".repeat(200_000);
        for end in [&b""[..], b"-----END B-----\n", b"*\n-----END A-----\n", b"-----END A-----x\n"] {
            let text = [&begun[..], end].concat();
            let started = std::time::Instant::now();
            assert!(first_block(&text).is_none());
            // Each beginning read to the end of the text would take minutes.
            assert!(started.elapsed().as_secs() < 10, "{:?} for {} bytes", started.elapsed(), text.len());
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
    }

    #[test]
    fn a_revocation_list_stands_at_the_very_beginning() {
        let list = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        assert_eq!(revocation_list(list).expect("PEM"), [0x30, 0]);
        assert_eq!(revocation_list(&[0x30, 0]).expect("DER"), [0x30, 0]);
        let certificate = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for none in [&[b"\n", &list[..]].concat()[..], &list[..30], certificate, b""] {
            assert!(matches!(revocation_list(none), Err(MspError::Pem(_))), "{}", none.escape_ascii());
        }
    }
}
