//! Channels: their configuration, who may do what on them (Fabric: `common/channelconfig`, `core/aclmgmt`,
//! `core/policy`).
//!
//! A [`Bundle`] is one channel's configuration in a form that answers questions; [`Channels`] holds the newest of each
//! channel. [`Authenticator`] says who signed something, [`AclChecker`] whether they may; both decide by one bundle at a
//! time. Which policy guards what is in [`resource`]; [`update`] decides what configuration may follow another.

mod acl;
mod application;
mod authenticator;
mod bundle;
pub mod capabilities;
mod channels;
mod config_error;
mod config_tree;
pub mod creation;
mod deployment;
mod error;
pub mod genesis;
mod joining;
mod name;
mod orderer_settings;
mod organisation;
pub mod update;
mod values;

pub use acl::{AclChecker, AclError, LocalPolicy, resource};
pub use application::{AnchorPeer, Application, ApplicationOrganisation};
pub use authenticator::{Authenticator, Realm};
pub use bundle::Bundle;
pub use channels::Channels;
pub use config_error::ConfigError;
pub use deployment::{CollectionsError, Deployment, DeploymentError, Deployments};
pub use error::ChannelError;
pub use joining::{GenesisBlock, GenesisError, channel_of_block};
pub use name::is_channel_name;
pub use orderer_settings::{OrdererOrganisation, OrdererSettings};
