//! Validation of a block's transactions before the ledger's own checks (Fabric 1.4: `core/committer/txvalidator`,
//! `core/common/validation`).
//!
//! Checked here: that a transaction is whole, that its creator signed it and belongs to the channel, that id and
//! proposal hash are right, that a member of the channel endorsed its results, and that the results stay out of
//! namespaces that are none of their chaincode's business. Duplicates and read conflicts are the ledger's; a
//! chaincode's own endorsement policy, its version and the rules for `lscc` deploy and upgrade come with `lscc`. Whether a
//! configuration may follow the present one is for [`crate::committer`] to say: a wrong one stops the channel.
//!
//! Invariant: a verdict depends on the block and the channel's configuration only, so that all peers come to the same.

mod block;
mod orderer_signatures;
mod results;
mod transaction;

pub use block::TransactionValidator;
pub use orderer_signatures::{BlockVerificationError, verify_block};

#[cfg(test)]
mod tests;
