//! Who guards a resource on a channel (Fabric: `resourceProvider`, `aclmgmtPolicyProviderImpl` and
//! `defaultACLProvider` in `core/aclmgmt`).
//!
//! Invariant: the policy's name and the policy come of the same configuration.

use std::slice;

use super::resource::{Guard, default_guard};
use super::signed::Check;
use super::{AclError, Realm};
use crate::channel::Bundle;
use crate::msp::Identity;
use crate::policies::PolicyError;

/// Who guards a resource in a realm.
pub(super) enum Guardian<'a> {
    /// A policy of the channel.
    Policy(ChannelPolicy<'a>),
    /// This policy of a channel, and no channel was named.
    NoChannel(&'a str),
    /// A policy of this channel, which the peer has not joined.
    UnknownChannel(&'a str),
}

/// A policy of a channel.
pub(super) struct ChannelPolicy<'a> {
    bundle: &'a Bundle,
    pub(super) path: &'a str,
    named_by: NamedBy,
}

/// What says that the policy is the one. Fabric's texts differ.
#[derive(Clone, Copy)]
enum NamedBy {
    /// The channel's ACLs.
    Channel,
    /// The default map.
    Default,
}

impl<'a> Guardian<'a> {
    /// Who guards `resource` in `realm`: whom the channel's ACLs name, else whom the default map does.
    pub(super) fn of(resource: &str, realm: &'a Realm) -> Result<Self, AclError> {
        let named = match realm {
            Realm::Channel(bundle) => bundle.acl(resource),
            Realm::Local(_) | Realm::Unknown(_) => None,
        };
        let (path, named_by) = match (default_guard(resource), named) {
            (None | Some(Guard::Channel(_)), Some(path)) => (path, NamedBy::Channel),
            (Some(Guard::Channel(path)), None) => (path, NamedBy::Default),
            _ => return Err(AclError::Unmapped(resource.to_owned())),
        };
        Ok(match realm {
            Realm::Channel(bundle) => Self::Policy(ChannelPolicy { bundle, path, named_by }),
            Realm::Local(_) => Self::NoChannel(path),
            Realm::Unknown(channel) => Self::UnknownChannel(channel),
        })
    }

    /// The policy, if there is a channel to ask.
    pub(super) fn policy(self) -> Result<ChannelPolicy<'a>, AclError> {
        match self {
            Self::Policy(policy) => Ok(policy),
            Self::NoChannel(_) => Err(AclError::NoChannel),
            Self::UnknownChannel(channel) => Err(AclError::UnknownChannel(channel.to_owned())),
        }
    }
}

impl<'a> ChannelPolicy<'a> {
    /// The check that a proposal is read for.
    pub(super) fn check(&self) -> Check<'a> {
        match self.named_by {
            NamedBy::Channel => Check::Configured { policy: self.path },
            NamedBy::Default => Check::Channel { channel: self.bundle.channel(), policy: self.path },
        }
    }

    /// Whether the signer, if there is one, satisfies the policy.
    pub(super) fn evaluate(&self, signer: Option<&Identity>) -> Result<(), AclError> {
        let policy = self.path.to_owned();
        evaluate(self.bundle, self.path, signer).map_err(|source| match (self.named_by, source) {
            (NamedBy::Channel, PolicyError::Unknown(_)) => AclError::NoConfiguredPolicy(policy),
            (NamedBy::Channel, source) => AclError::ConfiguredPolicy { policy, source },
            (NamedBy::Default, source) => {
                AclError::Policy { channel: self.bundle.channel().to_owned(), policy, source }
            }
        })
    }
}

/// Whether the signer, if there is one, satisfies the policy at `path`.
pub(super) fn evaluate(bundle: &Bundle, path: &str, signer: Option<&Identity>) -> Result<(), PolicyError> {
    bundle.policies().evaluate(path, signer.map_or(&[], slice::from_ref))
}
