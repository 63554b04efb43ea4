//! Whether a request belongs to the connection that it came over (Fabric: `comm.NewBindingInspector`).
//!
//! Invariant: under mutual TLS, a signed request that somebody else recorded is of no use on another connection.

use selvedge_proto::common::ChannelHeader;

use super::seek::{LONGEST_REASON, Refusal};
use crate::tls::CertHash;

/// What a request to a Deliver service must say about its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsBinding {
    /// Nothing: without mutual TLS, Fabric does not look at what it says.
    #[default]
    None,
    /// The hash of the certificate that the client showed.
    Mutual,
}

impl TlsBinding {
    /// Compares what `header` claims with `actual`, the hash of the client's certificate.
    pub(super) fn check(self, header: &ChannelHeader, actual: Option<&CertHash>) -> Result<(), Refusal> {
        let claimed = &header.tls_cert_hash;
        match (self, actual) {
            (Self::None, _) => Ok(()),
            (Self::Mutual, _) if claimed.is_empty() => Err(Refusal::bad("client didn't include its TLS cert hash")),
            (Self::Mutual, None) => Err(Refusal::bad("client didn't send a TLS certificate")),
            (Self::Mutual, Some(actual)) if claimed == actual.as_slice() => Ok(()),
            (Self::Mutual, Some(actual)) => Err(Refusal::bad(format!(
                "claimed TLS cert hash is {} but actual TLS cert hash is {}",
                numbers(claimed),
                numbers(actual)
            ))),
        }
    }
}

/// As Go's `%v` shows bytes; no more of them than a reason shows.
fn numbers(bytes: &[u8]) -> String {
    let numbers: Vec<_> = bytes.iter().take(LONGEST_REASON).map(u8::to_string).collect();
    format!("[{}]", numbers.join(" "))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn only_mutual_tls_compares_the_hashes() {
        let actual = [7; 32];
        let numbers = |number: &str| format!("[{}]", vec![number; 32].join(" "));
        let different =
            format!("claimed TLS cert hash is {} but actual TLS cert hash is {}", numbers("8"), numbers("7"));
        let table = [
            (TlsBinding::None, &[][..], None, None),
            (TlsBinding::None, &[8; 32], Some(&actual), None),
            (TlsBinding::Mutual, &[7; 32], Some(&actual), None),
            (TlsBinding::Mutual, &[], Some(&actual), Some("client didn't include its TLS cert hash")),
            (TlsBinding::Mutual, &[7; 32], None, Some("client didn't send a TLS certificate")),
            (TlsBinding::Mutual, &[8; 32], Some(&actual), Some(different.as_str())),
        ];
        for (binding, claimed, actual, expected) in table {
            let header = ChannelHeader { tls_cert_hash: Bytes::copy_from_slice(claimed), ..Default::default() };
            let refusal = binding.check(&header, actual).err();
            assert_eq!(
                refusal.map(|refusal| refusal.reason.to_string()).as_deref(),
                expected,
                "{binding:?} {claimed:?}"
            );
        }
    }

    #[test]
    fn a_long_claim_makes_no_long_line_in_the_log() {
        let header = ChannelHeader { tls_cert_hash: vec![0xff; 1 << 20].into(), ..Default::default() };
        let refusal = TlsBinding::Mutual.check(&header, Some(&[7; 32])).expect_err("is not the hash");
        assert!(refusal.reason.starts_with("claimed TLS cert hash is [255 255 "), "{}", refusal.reason);
        assert!(refusal.reason.len() < 1100, "{} bytes", refusal.reason.len());
    }
}
