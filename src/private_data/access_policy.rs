//! Who is a member of a collection (Fabric: `core/common/privdata/simplecollection.go`).
//!
//! Invariant: a collection without a policy has no members; it is never open to all.

use std::sync::Arc;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::msp_principal::Classification;
use selvedge_proto::common::{MspPrincipal, MspRole, OrganizationUnit, SignaturePolicyEnvelope};
use selvedge_proto::protos::StaticCollectionConfig;
use selvedge_proto::protos::collection_policy_config::Payload;
use thiserror::Error;

use crate::msp::{Identity, MspManager};
use crate::policies::{PolicyDefinitionError, SignaturePolicy};

/// Why nobody can be told to be a member. The texts are Fabric's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccessPolicyError {
    /// The collection names no policy.
    #[error("Collection config policy is nil")]
    NoPolicy,
    /// The policy is of no kind that is known.
    #[error("Collection config access policy is nil")]
    NoSignaturePolicy,
    /// The policy is not one.
    #[error("failed constructing policy object out of collection policy config: {0}")]
    Definition(#[source] PolicyDefinitionError),
}

/// The policy of a collection's members.
#[derive(Debug)]
pub struct AccessPolicy {
    policy: SignaturePolicy,
    member_orgs: Vec<String>,
}

impl AccessPolicy {
    /// That of `collection`, whose principals are those of `msps`.
    ///
    /// # Errors
    /// [`AccessPolicyError`].
    pub fn new(collection: &StaticCollectionConfig, msps: &Arc<MspManager>) -> Result<Self, AccessPolicyError> {
        let policy = collection.member_orgs_policy.clone().ok_or(AccessPolicyError::NoPolicy)?;
        let Some(Payload::SignaturePolicy(envelope)) = policy.payload else {
            return Err(AccessPolicyError::NoSignaturePolicy);
        };
        let member_orgs = member_orgs(&envelope, msps);
        let policy = SignaturePolicy::new(envelope, Arc::clone(msps)).map_err(AccessPolicyError::Definition)?;
        Ok(Self { policy, member_orgs })
    }

    /// The MSP ids of the organisations that the policy names, in its order.
    pub fn member_orgs(&self) -> &[String] {
        &self.member_orgs
    }

    /// Whether somebody is a member. That it is really them, the caller has verified.
    pub fn is_member(&self, identity: &Identity) -> bool {
        self.policy.evaluate(std::slice::from_ref(identity)).is_ok()
    }
}

/// Principals that cannot be read name nobody.
fn member_orgs(envelope: &SignaturePolicyEnvelope, msps: &MspManager) -> Vec<String> {
    let organisation = |principal: &MspPrincipal| {
        let content = principal.principal.clone();
        match Classification::try_from(principal.principal_classification).ok()? {
            Classification::Role => Some(MspRole::decode_as_go(content).ok()?.msp_identifier),
            Classification::OrganizationUnit => Some(OrganizationUnit::decode_as_go(content).ok()?.msp_identifier),
            Classification::Identity => Some(msps.deserialize(&content).ok()?.mspid().to_owned()),
            _ => None,
        }
    };
    envelope.identities.iter().filter_map(organisation).collect()
}
