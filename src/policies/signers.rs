//! From signed data to the identities that count (Fabric 1.4: `cauthdsl.deduplicate`, `deserializeAndVerify`).

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
    let mut seen = HashSet::new();
    let mut signers = Vec::new();
    for item in signed {
        let verified = msps.deserialize(item.identity).and_then(|identity| {
            if seen.insert((identity.mspid().to_owned(), identity.certificate_der().to_vec())) {
                identity.verify(item.data, item.signature)?;
                signers.push(identity);
            }
            Ok(())
        });
        if let Err(cause) = verified {
            tracing::debug!(%cause, "signature not counted");
        }
    }
    signers
}
