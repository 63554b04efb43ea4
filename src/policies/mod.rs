//! Policies: who has to sign (Fabric: `common/policies`, `common/cauthdsl`).
//!
//! A [`SignaturePolicy`] counts signatures of given principals, an [`ImplicitMetaPolicy`] counts policies of the groups
//! below its own; a [`PolicyManager`] holds all policies of a configuration tree by their paths. Policies look at
//! identities, not at signatures: [`signers`] turns signed data into the identities that count.
//!
//! Invariant: an identity reaches a policy only after its signature was verified, and only once.

mod error;
pub mod language;
mod manager;
mod rule;
mod signature;
mod signed_by_any;
mod signers;

pub use error::{PolicyDefinitionError, PolicyError};
pub use language::{PolicyLanguageError, display, parse};
pub use manager::{ImplicitMetaPolicy, Policy, PolicyManager};
pub use signature::SignaturePolicy;
pub use signed_by_any::signed_by_any;
pub use signers::{SignedData, Signers, signers};

#[cfg(test)]
mod tests;
