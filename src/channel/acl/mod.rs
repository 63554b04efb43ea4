//! Access control lists: which policy guards which resource (Fabric: `core/aclmgmt`, `core/policy`).
//!
//! A channel's configuration may name a policy for a resource under `Application/ACLs`; it counts, whether or not the
//! resource has a policy by default. Else Fabric's default map counts. What the peer's own MSP guards, and what its
//! embedded orderer asks, no channel can change.
//!
//! Invariants: nothing is allowed whose signature was not verified by the [`Authenticator`]; the creator, the name of the
//! policy and the policy itself come of one configuration of the channel, which a check takes once.

use std::sync::Arc;

use selvedge_proto::common::Envelope;
use selvedge_proto::protos::SignedProposal;

use super::{Authenticator, Realm};
use crate::msp::Identity;
use crate::policies::PolicyError;

mod error;
mod guardian;
pub mod resource;
mod signed;
#[cfg(test)]
mod tests;

pub use error::AclError;
use guardian::Guardian;
pub use resource::LocalPolicy;
use resource::{Guard, default_guard};
use signed::{Check, Signed};

/// Decides whether a creator may use a resource.
#[derive(Clone)]
pub struct AclChecker {
    authenticator: Arc<Authenticator>,
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
        let realm = self.authenticator.realm(channel);
        match Guardian::of(resource, &realm)? {
            Guardian::Policy(policy) => {
                let signed = Signed::proposal(signed, policy.check())?;
                policy.evaluate(self.signer(&realm, policy.path, &signed).as_ref())
            }
            Guardian::NoChannel(policy) => self.check_without_channel(policy, signed),
            Guardian::UnknownChannel(channel) => Err(AclError::UnknownChannel(channel.to_owned())),
        }
    }

    /// The same for an envelope, as deliver streams and the orderer get it.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_envelope(&self, resource: &str, channel: &str, envelope: &Envelope) -> Result<(), AclError> {
        let realm = self.authenticator.realm(channel);
        if let Some(Guard::Orderer(policy)) = default_guard(resource) {
            return self.check_orderer(&realm, policy, envelope);
        }
        let guardian = Guardian::of(resource, &realm)?;
        let signed = Signed::envelope(envelope)?;
        let policy = guardian.policy()?;
        policy.evaluate(self.signer(&realm, policy.path, &signed).as_ref())
    }

    /// Whether an identity that was authenticated in `realm` already may use `resource` there.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_identity(&self, resource: &str, realm: &Realm, identity: &Identity) -> Result<(), AclError> {
        Guardian::of(resource, realm)?.policy()?.evaluate(Some(identity))
    }

    /// Whether the creator of `signed` satisfies a policy of the peer's own MSP (Fabric: `CheckPolicyNoChannel`).
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text.
    pub fn check_local(&self, policy: LocalPolicy, signed: &SignedProposal) -> Result<(), AclError> {
        self.check_local_signer(policy, &Signed::proposal(signed, Check::Local { policy: policy.name() })?)
    }

    fn check_local_signer(&self, policy: LocalPolicy, signed: &Signed<'_>) -> Result<(), AclError> {
        let name = policy.name();
        let identity = self.local_creator(name, signed)?;
        if policy == LocalPolicy::Admins {
            identity.require_admin().map_err(|source| AclError::LocalRole { policy: name.to_owned(), source })?;
        }
        let verified = self.authenticator.verify(&identity, &signed.creator, signed.message, signed.signature);
        verified.map_err(AclError::LocalSignature)
    }

    /// The same for an envelope, as an operator's tools send it.
    ///
    /// # Errors
    /// [`AclError`], with Fabric's text for a proposal.
    pub fn check_local_envelope(&self, policy: LocalPolicy, envelope: &Envelope) -> Result<(), AclError> {
        self.check_local_signer(policy, &Signed::envelope(envelope)?)
    }

    /// As Fabric's orderer does (`msgprocessor.SigFilter`).
    fn check_orderer(&self, realm: &Realm, policy: &str, envelope: &Envelope) -> Result<(), AclError> {
        let signed = Signed::envelope(envelope).map_err(|error| AclError::OrdererEnvelope(error.into()))?;
        let Realm::Channel(bundle) = realm else { return Err(AclError::NoOrdererPolicy(policy.to_owned())) };
        guardian::evaluate(bundle, policy, self.signer(realm, policy, &signed).as_ref()).map_err(
            |source| match source {
                PolicyError::Unknown(_) => AclError::NoOrdererPolicy(policy.to_owned()),
                source => AclError::OrdererPolicy(source),
            },
        )
    }

    /// The creator, if `realm` knows it and it signed.
    fn signer(&self, realm: &Realm, policy: &str, signed: &Signed<'_>) -> Option<Identity> {
        let identity = self.authenticator.authenticate(realm, &signed.creator, signed.message, signed.signature);
        // A signature that does not verify is dropped from the set, and the policy finds nobody in it.
        identity.inspect_err(|cause| tracing::debug!(policy, %cause, "signature not counted")).ok()
    }

    /// A channel's policy without a channel, which the peer's own MSP has not: always refused, for one of two reasons.
    fn check_without_channel(&self, policy: &str, signed: &SignedProposal) -> Result<(), AclError> {
        self.local_creator(policy, &Signed::proposal(signed, Check::Local { policy })?)?;
        Err(AclError::LocalPrincipal(policy.to_owned()))
    }

    /// The creator as the peer's own MSP knows it. Its signature is not verified yet.
    fn local_creator(&self, policy: &str, signed: &Signed<'_>) -> Result<Identity, AclError> {
        let identity = self.authenticator.local().identify(&signed.creator);
        identity.map_err(|source| AclError::LocalCreator { policy: policy.to_owned(), source })
    }
}
