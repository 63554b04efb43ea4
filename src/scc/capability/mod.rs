//! The host side of what system chaincodes may import beyond the contract, one file for each capability.

mod ledger;

pub use ledger::LedgerCapability;
