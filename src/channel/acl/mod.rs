//! Access control lists: which policy guards which resource (Fabric: `core/aclmgmt`, `core/policy`).
//!
//! A channel's configuration may name a policy for a resource under `Application/ACLs`; it counts, whether or not the
//! resource has a policy by default. Else Fabric's default map counts. What the peer's own MSP guards, and what its
//! embedded orderer asks, no channel can change.
//!
//! Invariant: nothing is allowed whose signature was not verified by the [`Authenticator`].

use std::slice;
use std::sync::Arc;

use selvedge_proto::common::Envelope;
use selvedge_proto::protos::SignedProposal;

use super::Authenticator;
use crate::msp::Identity;
use crate::policies::PolicyError;

mod error;
pub mod resource;
mod signed;
#[cfg(test)]
mod tests;

pub use error::AclError;
pub use resource::LocalPolicy;
use resource::{Guard, default_guard};
use signed::{Check, Signed};

/// Decides whether a creator may use a resource.
#[derive(Clone)]
pub struct AclChecker {
    authenticator: Arc<Authenticator>,
}

/// Who guards a resource on a channel.
enum Policy {
    /// The policy that the channel's ACLs name.
    Configured(String),
    /// The one of the default map.
    Default(&'static str),
}

impl AclChecker {
    /// A checker that asks `authenticator` who somebody is. Sharing one with the endorser means that a proposal's
    /// signature is verified once.
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    /// Whether the creator of `signed` may use `resource` on `channel`. The channel may be another one than the
    /// proposal's.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check(&self, resource: &str, channel: &str, signed: &SignedProposal) -> Result<(), AclError> {
        if let Some(Guard::Local(policy)) = default_guard(resource) {
            return self.check_local(policy, signed);
        }
        match self.policy(resource, channel)? {
            Policy::Configured(policy) => {
                let signed = Signed::proposal(signed, Check::Configured { policy: &policy })?;
                self.check_configured(channel, &policy, self.signer(channel, &policy, &signed).as_ref())
            }
            Policy::Default(policy) if channel.is_empty() => self.check_without_channel(policy, signed),
            Policy::Default(policy) => {
                self.check_joined(channel)?;
                let signed = Signed::proposal(signed, Check::Channel { channel, policy })?;
                self.check_default(channel, policy, self.signer(channel, policy, &signed).as_ref())
            }
        }
    }

    /// The same for an envelope, as deliver streams and the orderer get it.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_envelope(&self, resource: &str, channel: &str, envelope: &Envelope) -> Result<(), AclError> {
        if let Some(Guard::Orderer(policy)) = default_guard(resource) {
            return self.check_orderer(channel, policy, envelope);
        }
        let policy = self.policy(resource, channel)?;
        let signed = Signed::envelope(envelope)?;
        match policy {
            Policy::Configured(policy) => {
                self.check_configured(channel, &policy, self.signer(channel, &policy, &signed).as_ref())
            }
            Policy::Default(_) if channel.is_empty() => Err(AclError::NoChannel),
            Policy::Default(policy) => {
                self.check_joined(channel)?;
                self.check_default(channel, policy, self.signer(channel, policy, &signed).as_ref())
            }
        }
    }

    /// Whether an identity that was authenticated on `channel` already may use `resource` there.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_identity(&self, resource: &str, channel: &str, identity: &Identity) -> Result<(), AclError> {
        match self.policy(resource, channel)? {
            Policy::Configured(policy) => self.check_configured(channel, &policy, Some(identity)),
            Policy::Default(policy) => self.check_default(channel, policy, Some(identity)),
        }
    }

    /// Whether the creator of `signed` satisfies a policy of the peer's own MSP (Fabric: `CheckPolicyNoChannel`).
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_local(&self, policy: LocalPolicy, signed: &SignedProposal) -> Result<(), AclError> {
        let name = policy.name();
        let (signed, identity) = self.local_creator(name, signed)?;
        if policy == LocalPolicy::Admins {
            identity.require_admin().map_err(|source| AclError::LocalRole { policy: name.to_owned(), source })?;
        }
        let verified = self.authenticator.authenticate("", &signed.creator, signed.message, signed.signature);
        verified.map(drop).map_err(AclError::LocalSignature)
    }

    /// As Fabric's orderer does (`msgprocessor.SigFilter`).
    fn check_orderer(&self, channel: &str, policy: &str, envelope: &Envelope) -> Result<(), AclError> {
        let signed = Signed::envelope(envelope).map_err(|error| AclError::OrdererEnvelope(error.into()))?;
        let signer = self.signer(channel, policy, &signed);
        self.evaluate(channel, policy, signer.as_ref()).map_err(|source| match source {
            PolicyError::Unknown(_) => AclError::NoOrdererPolicy(policy.to_owned()),
            source => AclError::OrdererPolicy(source),
        })
    }

    fn policy(&self, resource: &str, channel: &str) -> Result<Policy, AclError> {
        match (default_guard(resource), self.authenticator.channels().acl(channel, resource)) {
            (None | Some(Guard::Channel(_)), Some(policy)) => Ok(Policy::Configured(policy)),
            (Some(Guard::Channel(policy)), None) => Ok(Policy::Default(policy)),
            _ => Err(AclError::Unmapped(resource.to_owned())),
        }
    }

    fn check_joined(&self, channel: &str) -> Result<(), AclError> {
        match self.authenticator.channels().msp_manager(channel) {
            Some(_) => Ok(()),
            None => Err(AclError::UnknownChannel(channel.to_owned())),
        }
    }

    /// The creator, if the channel knows it and it signed.
    fn signer(&self, channel: &str, policy: &str, signed: &Signed<'_>) -> Option<Identity> {
        let identity = self.authenticator.authenticate(channel, &signed.creator, signed.message, signed.signature);
        // A signature that does not verify is dropped from the set, and the policy finds nobody in it.
        identity.inspect_err(|cause| tracing::debug!(channel, policy, %cause, "signature not counted")).ok()
    }

    fn check_default(&self, channel: &str, policy: &str, signer: Option<&Identity>) -> Result<(), AclError> {
        self.evaluate(channel, policy, signer).map_err(|source| AclError::Policy {
            channel: channel.to_owned(),
            policy: policy.to_owned(),
            source,
        })
    }

    fn check_configured(&self, channel: &str, policy: &str, signer: Option<&Identity>) -> Result<(), AclError> {
        self.evaluate(channel, policy, signer).map_err(|source| match source {
            PolicyError::Unknown(_) => AclError::NoConfiguredPolicy(policy.to_owned()),
            source => AclError::ConfiguredPolicy { policy: policy.to_owned(), source },
        })
    }

    fn evaluate(&self, channel: &str, policy: &str, signer: Option<&Identity>) -> Result<(), PolicyError> {
        self.authenticator.channels().evaluate(channel, policy, signer.map_or(&[], slice::from_ref))
    }

    /// A channel's policy without a channel, which the peer's own MSP has not: always refused, for one of two reasons.
    fn check_without_channel(&self, policy: &str, signed: &SignedProposal) -> Result<(), AclError> {
        self.local_creator(policy, signed)?;
        Err(AclError::LocalPrincipal(policy.to_owned()))
    }

    /// The creator as the peer's own MSP knows it. Its signature is not verified yet.
    fn local_creator<'a>(&self, policy: &str, signed: &'a SignedProposal) -> Result<(Signed<'a>, Identity), AclError> {
        let signed = Signed::proposal(signed, Check::Local { policy })?;
        let identity = self.authenticator.identify("", &signed.creator);
        let identity = identity.map_err(|source| AclError::LocalCreator { policy: policy.to_owned(), source })?;
        Ok((signed, identity))
    }
}
