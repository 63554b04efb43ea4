//! Channels: their configuration, who may do what on them (Fabric: `common/channelconfig`, `common/policies`,
//! `core/aclmgmt`, `core/policy`).
//!
//! A [`Bundle`] is one channel's configuration in a form that answers questions; [`Channels`] holds the newest of each
//! channel. [`Authenticator`] says who signed something, [`AclChecker`] whether they may. Both see channels through the
//! trait [`ChannelResources`] only, so the evaluation of a channel's own policies can replace today's rule behind it.
//!
//! Today's rule: `/Channel/Application/Readers` and `Writers` are satisfied by any valid member of an application
//! organisation, `Admins` by an administrator of one, `/Channel/Readers` and `Writers` by any member of the channel.
//! That is what the default configuration says; a channel that configured its policies otherwise is not followed yet.

mod acl;
mod authenticator;
mod bundle;
mod config_tree;
mod error;
pub mod genesis;

pub use acl::{AclChecker, AclError, LocalPolicy, resource};
pub use authenticator::Authenticator;
pub use bundle::{Bundle, ChannelResources, Channels};
pub use error::{ChannelError, PolicyError};

#[cfg(test)]
mod tests;
