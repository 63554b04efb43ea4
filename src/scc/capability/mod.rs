//! The host side of what system chaincodes may import beyond the contract, one file for each capability.

mod channel_admin;
mod channel_config;
mod ledger;

pub use channel_admin::{ChannelAdminCapability, ChannelJoiner, JoinError};
pub use channel_config::ChannelConfigCapability;
pub use ledger::LedgerCapability;
