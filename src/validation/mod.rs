//! Validation of a block's transactions before the ledger's own checks (Fabric 1.4: `core/committer/txvalidator`,
//! `core/common/validation`, `core/handlers/validation/builtin`).
//!
//! | here | in Fabric |
//! |---|---|
//! | `transaction` | `core/common/validation.ValidateTransaction` |
//! | `action` | `txvalidator.VsccValidatorImpl.VSCCValidateTx`, what needs no state of it |
//! | `block`, `judge` | `txvalidator.TxValidator`, `VsccValidatorImpl`: ids, definitions, versions |
//! | `key_level` | `core/common/validation/statebased` |
//! | `lscc`, `collections` | `builtin/v13.ValidateLSCCInvocation` (that of `v12` is the same) |
//! | `after` | `markTXIdDuplicates`, `invalidTXsForUpgradeCC` |
//! | `orderer_signatures`, `signed_chain` | `gossip/mcs.VerifyBlock`: who made the block |
//!
//! A block is judged in two phases. The first looks at each transaction by itself, all of them side by side: form, creator,
//! and every endorser's signature, once. The second goes through them in order, against the state before the block: ids,
//! definitions, policies over the endorsers whose signatures fit. Read conflicts and phantoms are the ledger's. Whether a
//! configuration may follow the present one is for [`crate::committer`] to say: a wrong one stops the channel.
//!
//! Where Fabric differs: there the transaction of a system chaincode may write to any namespace if one member of the
//! channel endorsed it. Here what it writes elsewhere is judged as for any other chaincode; `judge` says more.
//!
//! Invariant: a verdict depends on the block, the channel's configuration, the state before the block and the names of the
//! system chaincodes only, so that all peers come to the same. Where one of them cannot be read there is no verdict: a
//! [`ValidationError`] halts the channel.

mod action;
mod after;
mod block;
mod collections;
mod error;
mod judge;
mod key_level;
mod lscc;
mod orderer_signatures;
mod signed_chain;
mod state;
mod transaction;
mod verdict;

use selvedge_proto::common::Block;
use selvedge_proto::protos::TxValidationCode;

use crate::ledger::Ledger;

pub use block::TransactionValidator;
pub use error::{Fault, ValidationError};
pub use orderer_signatures::{BlockVerificationError, verify_block};
pub use signed_chain::{SignedChainReport, verify_signatures};

/// Judges the transactions of a block before it is committed.
pub trait BlockValidator: Send + Sync {
    /// One code for each transaction of the block that is to be the next of `ledger`; whether it can be that, the ledger
    /// says. Read conflicts and phantoms are left to the ledger. Runs long; not for an async thread.
    ///
    /// # Errors
    /// When a transaction cannot be judged. That says nothing about it, and the channel cannot go on.
    fn validate(&self, ledger: &Ledger, block: &Block) -> Result<Vec<TxValidationCode>, ValidationError>;
}

#[cfg(test)]
mod tests;
