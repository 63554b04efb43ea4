//! What a channel's configuration says of deploying chaincode: who may, and by which policies (Fabric: `lscc.supportImpl`,
//! `lscc.checkCollectionMemberPolicy`).
//!
//! Invariant: everything that one [`Deployment`] says comes of one configuration of the channel.

mod collections;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::msp_role::MspRoleType;
use selvedge_proto::protos::SignedProposal;
use thiserror::Error;

use super::capabilities::ApplicationCapabilities;
use super::{Authenticator, Bundle, Realm};
use crate::decode::proposal_creator;
use crate::policies::{PolicyDefinitionError, PolicyError, SignaturePolicy, signed_by_any};

pub use collections::CollectionsError;

/// The channels on which chaincode can be deployed.
#[derive(Clone)]
pub struct Deployments {
    authenticator: Arc<Authenticator>,
}

/// A channel, by its newest configuration, as far as deployments go.
pub struct Deployment {
    bundle: Arc<Bundle>,
    authenticator: Arc<Authenticator>,
}

/// Why chaincode must not be deployed. The texts are Fabric's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// The instantiation policy is none.
    #[error(transparent)]
    Policy(#[from] PolicyDefinitionError),
    /// The proposal cannot be read.
    #[error("error unmarshaling Proposal: {0}")]
    Proposal(#[from] prost::DecodeError),
    /// The proposal's creator may not.
    #[error("instantiation policy violation: {0}")]
    Violation(PolicyError),
}

impl Deployments {
    /// Asks `authenticator` who somebody is. Sharing one with the endorser means that a proposal's signature is verified
    /// once.
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    /// A channel; none if this peer has not joined it.
    pub fn on(&self, channel: &str) -> Option<Deployment> {
        let Realm::Channel(bundle) = self.authenticator.realm(channel) else { return None };
        Some(Deployment { bundle, authenticator: Arc::clone(&self.authenticator) })
    }
}

impl Deployment {
    /// The channel's application capabilities; none where the configuration has no application part.
    pub fn capabilities(&self) -> Option<&ApplicationCapabilities> {
        Some(self.bundle.application()?.capabilities())
    }

    /// The endorsement policy of a chaincode that is deployed without one: any member of an application organisation. A
    /// marshalled `SignaturePolicyEnvelope`.
    pub fn default_endorsement(&self) -> Bytes {
        self.any(MspRoleType::Member)
    }

    /// Who may instantiate a package that does not say so itself: any administrator of an application organisation. A
    /// marshalled `SignaturePolicyEnvelope`.
    pub fn default_instantiation(&self) -> Bytes {
        self.any(MspRoleType::Admin)
    }

    fn any(&self, role: MspRoleType) -> Bytes {
        signed_by_any(role, self.bundle.application_msps()).encode_to_vec().into()
    }

    /// Whether the creator of `signed` satisfies an instantiation policy (Fabric: `CheckInstantiationPolicy`).
    ///
    /// # Errors
    /// [`DeploymentError`] when it does not, or the policy is none.
    pub fn check_instantiation(&self, policy: Bytes, signed: &SignedProposal) -> Result<(), DeploymentError> {
        let policy = SignaturePolicy::decode(policy, Arc::clone(self.bundle.msps()))?;
        let realm = Realm::Channel(Arc::clone(&self.bundle));
        let creator = proposal_creator(signed)?;
        let creator = self.authenticator.authenticate(&realm, &creator, &signed.proposal_bytes, &signed.signature);
        // Who cannot be told has not signed, and the policy finds nobody.
        let creator = creator.inspect_err(|cause| tracing::debug!(%cause, "signature not counted")).ok();
        policy.evaluate(creator.as_slice()).map_err(DeploymentError::Violation)
    }

    /// Whether the members of each collection in a marshalled `CollectionConfigPackage` can be told (Fabric:
    /// `checkCollectionMemberPolicy`). That a member is not of this channel is for the log: it may come later.
    ///
    /// # Errors
    /// [`CollectionsError`] for the first of which they cannot.
    pub fn check_collections(&self, package: Bytes) -> Result<(), CollectionsError> {
        collections::check(package, self.bundle.msps())
    }
}
