//! Identities and signing (Fabric: `msp`, `bccsp`).
//!
//! Invariant: a private key never leaves its signer.

use bytes::Bytes;

/// Somebody who can sign in the name of an identity.
pub trait Signer: Send + Sync {
    /// The marshalled `SerializedIdentity`, as it stands in a creator field.
    fn serialize(&self) -> Bytes;

    /// Signs `message`: ECDSA P-256 over SHA-256, ASN.1 DER, low S.
    ///
    /// # Errors
    /// When the key cannot sign.
    fn sign(&self, message: &[u8]) -> Result<Bytes, MspError>;
}

/// What goes wrong with identities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MspError {
    /// The key could not sign.
    #[error("signing failed: {0}")]
    Sign(String),
}
