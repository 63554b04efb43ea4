//! Channels: their configuration, who may do what on them (Fabric: `common/channelconfig`, `core/aclmgmt`,
//! `core/policy`).
//!
//! A [`Bundle`] is one channel's configuration in a form that answers questions; [`Channels`] holds the newest of each
//! channel. [`Authenticator`] says who signed something, [`AclChecker`] whether they may. Both see channels through the
//! trait [`ChannelResources`] only, so that both can be tested without the rest of a channel.

mod acl;
mod authenticator;
mod bundle;
mod config_tree;
mod error;
pub mod genesis;
mod joining;

pub use acl::{AclChecker, AclError, LocalPolicy, resource};
pub use authenticator::Authenticator;
pub use bundle::{Bundle, ChannelResources, Channels};
pub use error::ChannelError;
pub use joining::{GenesisBlock, GenesisError};

#[cfg(test)]
mod tests;
