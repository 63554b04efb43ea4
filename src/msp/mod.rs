//! Membership: who somebody is, and what a signature of theirs is worth (Fabric: `msp`, `bccsp`).
//!
//! An [`Msp`] is one organisation's list of certificate authorities and administrators. It turns the bytes of a
//! `SerializedIdentity` into an [`Identity`]; an [`MspManager`] does so for all organisations of a channel. A
//! [`SigningIdentity`] is the other side: a certificate with its key.
//!
//! Invariant: an [`Identity`] exists only for a certificate whose chain to a root of its MSP was verified, which is not
//! revoked, and whose organisational units are what the MSP asks for. What it may do on a channel is decided in [`crate::channel`].
//!
//! Idemix is not built: an MSP of that type is refused.

mod authorities;
mod cache;
mod certificate;
mod chain;
pub mod development;
mod ecdsa;
mod error;
pub mod folder;
mod identity;
mod manager;
mod organisation;
mod pem;
mod principal;
mod public_key;
mod revocation;
mod roles;
mod signing;
pub mod summary;
#[cfg(test)]
mod tests;
mod version;

pub use cache::Generations;
pub use error::MspError;
pub use identity::Identity;
pub(crate) use identity::expires_at;
pub use manager::MspManager;
pub(crate) use manager::mspid_of;
pub use organisation::Msp;
pub use roles::Role;
pub use signing::{Signer, SigningIdentity};
pub use version::MspVersion;
