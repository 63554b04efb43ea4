//! From one configuration to the next (Fabric: `common/configtx`, `channelconfig.Bundle.ValidateNew`).
//!
//! An update names what it read and what it writes, each item with its version. [`Bundle::propose`] makes the
//! configuration that follows, as an orderer does; [`Bundle::validate`] repeats that and compares, as a peer does
//! with what an orderer sent; [`Bundle::apply`] is the whole of what a peer does. Invariant: an item changes only if it
//! is at the version that the update was made for and its own, present, mod policy is satisfied by the update's
//! signatures.
//!
//! [`Bundle::propose`]: super::Bundle::propose
//! [`Bundle::validate`]: super::Bundle::validate
//! [`Bundle::apply`]: super::Bundle::apply

mod authorize;
mod config_map;
mod engine;
mod error;
mod transition;

pub(super) use config_map::check_keys_of_tree;
pub use error::{ConfigUpdateError, DeltaError, KeyError, TransitionError};

#[cfg(test)]
mod tests;
