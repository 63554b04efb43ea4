//! From signed data to the identities that count (Fabric 1.4: `cauthdsl.deduplicate`, `deserializeAndVerify`).

use std::borrow::Cow;
use std::collections::HashSet;

use crate::msp::{Identity, MspManager};

/// Somebody's signature over something (Fabric: `common.SignedData`).
#[derive(Clone, Copy, Debug)]
pub struct SignedData<'a> {
    /// What was signed.
    pub data: &'a [u8],
    /// The signer's `SerializedIdentity`.
    pub identity: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// The identities of `msps` that signed, in order. Of an identity that occurs twice the first occurrence counts, even
/// if its signature does not fit and that of the second does. What is no identity or does not verify is left out.
pub fn signers(signed: &[SignedData<'_>], msps: &MspManager) -> Vec<Identity> {
    let mut signers = Signers::new(msps);
    for item in signed {
        signers.add(item.identity, item.signature, || Cow::Borrowed(item.data));
    }
    signers.identities
}

/// The same, for signatures that come one by one.
pub struct Signers<'a> {
    msps: &'a MspManager,
    seen: HashSet<(String, Vec<u8>)>,
    identities: Vec<Identity>,
}

impl<'a> Signers<'a> {
    /// Nobody has signed yet.
    pub fn new(msps: &'a MspManager) -> Self {
        Self { msps, seen: HashSet::new(), identities: Vec::new() }
    }

    /// Counts the signature, if it is one over `data`. That is made only for an identity that has not come before.
    pub fn add<'d>(&mut self, identity: &[u8], signature: &[u8], data: impl FnOnce() -> Cow<'d, [u8]>) {
        let verified = self.msps.deserialize(identity).and_then(|identity| {
            if self.seen.insert((identity.mspid().to_owned(), identity.certificate_der().to_vec())) {
                identity.verify(&data(), signature)?;
                self.identities.push(identity);
            }
            Ok(())
        });
        if let Err(cause) = verified {
            tracing::debug!(%cause, "signature not counted");
        }
    }

    /// Who signed.
    pub fn into_identities(self) -> Vec<Identity> {
        self.identities
    }
}
