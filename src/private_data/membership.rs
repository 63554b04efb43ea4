//! Which collections are this peer's (Fabric: `coordinator.isEligible`).
//!
//! Invariant: a collection that cannot be judged is not this peer's.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::protos::StaticCollectionConfig;

use super::AccessPolicy;
use crate::channel::Channels;
use crate::ledger::PrivateDataRules;

/// What a peer's organisation is a member of, and what its channels say about private data.
pub struct Membership {
    channels: Arc<Channels>,
    mspid: String,
    identity: Bytes,
}

impl Membership {
    /// For a peer of the organisation `mspid`, with its serialized identity.
    pub fn new(channels: Arc<Channels>, mspid: &str, identity: Bytes) -> Self {
        Self { channels, mspid: mspid.to_owned(), identity }
    }
}

impl PrivateDataRules for Membership {
    fn is_member(&self, channel: &str, collection: &StaticCollectionConfig) -> bool {
        let Some(bundle) = self.channels.get(channel) else { return false };
        let policy = match AccessPolicy::new(collection, bundle.msps()) {
            Ok(policy) => policy,
            Err(error) => {
                let collection = &collection.name;
                tracing::error!(channel, collection, %error, "nobody can be a member of the collection");
                return false;
            }
        };
        // An organisation that is named is a member, whatever else the policy asks of it.
        policy.member_orgs().contains(&self.mspid)
            || bundle.msps().deserialize(&self.identity).is_ok_and(|identity| policy.is_member(&identity))
    }

    fn keeps_data_of_invalid(&self, channel: &str) -> bool {
        let bundle = self.channels.get(channel);
        let application = bundle.as_ref().and_then(|bundle| bundle.application());
        application.is_some_and(|application| application.capabilities().store_pvt_data_of_invalid_tx())
    }
}
