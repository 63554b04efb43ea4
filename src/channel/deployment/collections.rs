//! Who the members of collections are, as far as the policies in their definitions say (Fabric:
//! `lscc.checkCollectionMemberPolicy`). What else a definition has to be, validation looks at.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::msp_principal::Classification;
use selvedge_proto::common::{MspPrincipal, MspRole, OrganizationUnit};
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::collection_policy_config::Payload as MemberPolicy;
use selvedge_proto::protos::{CollectionConfig, CollectionConfigPackage};
use thiserror::Error;
use tracing::warn;

use crate::decode::decode;
use crate::msp::MspManager;
use crate::policies::{PolicyDefinitionError, SignaturePolicy};

/// Why the members of a collection cannot be told. The texts are Fabric's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CollectionsError {
    /// The bytes are no `CollectionConfigPackage`. (Fabric's text names the chaincode.)
    #[error("invalid collection configuration supplied: {0}")]
    Undecodable(prost::DecodeError),
    /// A definition without a policy, or with one of a form that says nothing about members.
    #[error("collection member policy check failed: {0}")]
    Members(String),
    /// The policy is none.
    #[error("collection member policy check failed: invalid member org policy for collection '{collection}': {source}")]
    Policy {
        /// The collection.
        collection: String,
        /// What is wrong with its policy.
        source: PolicyDefinitionError,
    },
}

pub(super) fn check(package: Bytes, msps: &Arc<MspManager>) -> Result<(), CollectionsError> {
    let package = CollectionConfigPackage::decode_as_go(package).map_err(CollectionsError::Undecodable)?;
    package.config.into_iter().try_for_each(|config| check_one(config, msps))
}

fn check_one(config: CollectionConfig, msps: &Arc<MspManager>) -> Result<(), CollectionsError> {
    let refuse = |reason: &str| Err(CollectionsError::Members(reason.to_owned()));
    let Some(Payload::StaticCollectionConfig(config)) = config.payload else {
        return refuse("collection configuration is empty");
    };
    let Some(policy) = config.member_orgs_policy else { return refuse("collection member policy is not set") };
    let Some(MemberPolicy::SignaturePolicy(policy)) = policy.payload else {
        return refuse("collection member org policy is empty");
    };
    let collection = config.name;
    for principal in &policy.identities {
        let member = Member::of(principal, &collection)?;
        if !member.is_in(msps) {
            let member = member.shown();
            warn!("collection-name: {collection} collection member {member} is not part of the channel");
        }
    }
    match SignaturePolicy::new(policy, Arc::clone(msps)) {
        Ok(_) => Ok(()),
        Err(source) => Err(CollectionsError::Policy { collection, source }),
    }
}

/// Whom a principal stands for.
enum Member<'a> {
    Organisation(String),
    Identity(&'a Bytes),
}

impl<'a> Member<'a> {
    fn of(principal: &'a MspPrincipal, collection: &str) -> Result<Self, CollectionsError> {
        let undecodable = |error: crate::decode::Undecodable| {
            let cause = error.cause;
            CollectionsError::Members(format!("collection-name: {collection} -- cannot unmarshal identities: {cause}"))
        };
        let bytes = &principal.principal;
        match Classification::try_from(principal.principal_classification) {
            Ok(Classification::Role) => {
                let role: MspRole = decode("MSPRole", bytes).map_err(undecodable)?;
                Ok(Self::Organisation(role.msp_identifier))
            }
            Ok(Classification::OrganizationUnit) => {
                let unit: OrganizationUnit = decode("OrganizationUnit", bytes).map_err(undecodable)?;
                Ok(Self::Organisation(unit.msp_identifier))
            }
            Ok(Classification::Identity) => Ok(Self::Identity(bytes)),
            other => {
                let kind = other.map_or_else(|kind| kind.0.to_string(), |kind| kind.as_str_name().to_owned());
                let reason = format!("collection-name: {collection} -- principal type {kind} is not supported");
                Err(CollectionsError::Members(reason))
            }
        }
    }

    fn is_in(&self, msps: &MspManager) -> bool {
        match self {
            Self::Organisation(mspid) => msps.msp(mspid).is_some(),
            Self::Identity(identity) => msps.deserialize(identity).is_ok(),
        }
    }

    fn shown(&self) -> &str {
        match self {
            Self::Organisation(mspid) => mspid,
            Self::Identity(_) => "identity principal",
        }
    }
}
