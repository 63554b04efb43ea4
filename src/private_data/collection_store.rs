//! Whether a proposal's creator may use a collection (Fabric: `core/common/privdata/store.go`).
//!
//! Invariant: the definition is read through the transaction's simulator, so that it stands in its read set as on every
//! other peer.

use std::sync::{Arc, PoisonError};

use selvedge_proto::protos::{SignedProposal, StaticCollectionConfig};

use super::AccessPolicy;
use crate::chaincode::{Access, Collections as CollectionAccess, Denied, Permission};
use crate::channel::{Authenticator, Realm};
use crate::decode::proposal_creator;
use crate::ledger::SharedSimulator;
use crate::ledger::collections::{Collections, LSCC, collections_key};

/// The collections of a peer's channels, as chaincode meets them.
pub struct CollectionStore {
    authenticator: Arc<Authenticator>,
}

impl CollectionStore {
    /// Asks `authenticator` who a creator is. Sharing the endorser's means that a signature is verified once.
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    fn is_member(
        &self,
        channel: &str,
        collection: &StaticCollectionConfig,
        signed: &SignedProposal,
    ) -> Result<bool, Denied> {
        let realm = self.authenticator.realm(channel);
        let Realm::Channel(bundle) = &realm else { return Err(Denied(format!("channel {channel} is not open"))) };
        let policy = AccessPolicy::new(collection, bundle.msps())
            .map_err(|error| Denied(format!("error setting up collection {}: {error}", collection.name)))?;
        let creator = proposal_creator(signed).map_err(|error| Denied(error.to_string()))?;
        let identity = self.authenticator.authenticate(&realm, &creator, &signed.proposal_bytes, &signed.signature);
        Ok(identity.is_ok_and(|identity| policy.is_member(&identity)))
    }
}

impl CollectionAccess for CollectionStore {
    fn permission(
        &self,
        access: Access,
        channel: &str,
        namespace: &str,
        collection: &str,
        signed: Option<&SignedProposal>,
        simulator: &SharedSimulator,
    ) -> Result<Permission, Denied> {
        let package = {
            let mut simulator = simulator.lock().unwrap_or_else(PoisonError::into_inner);
            simulator.get_state(LSCC, &collections_key(namespace)).map_err(|error| Denied(error.to_string()))?
        };
        let collections = package.map(|package| Collections::decode(namespace, package)).transpose();
        let collections = collections.map_err(|error| Denied(error.to_string()))?.unwrap_or_default();
        let Some(config) = collections.get(collection) else {
            return match access {
                Access::Read => {
                    Err(Denied(format!("collection {channel}/{namespace}/{collection} could not be found")))
                }
                // Fabric 1.4 asks nothing before a write: the simulator has the words for it.
                Access::Write => Ok(Permission::Granted),
            };
        };
        let members_only = match access {
            Access::Read => config.member_only_read,
            Access::Write => config.member_only_write,
        };
        if !members_only {
            return Ok(Permission::Granted);
        }
        let signed = signed.ok_or_else(|| Denied("there is no proposal, and so no creator".into()))?;
        Ok(if self.is_member(channel, config, signed)? { Permission::Granted } else { Permission::Refused })
    }
}
