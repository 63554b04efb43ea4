//! Collections of private data: who may have it, and where it goes (Fabric: `core/common/privdata`, `gossip/privdata`).
//!
//! | here | in Fabric |
//! |---|---|
//! | [`AccessPolicy`] | `privdata.SimpleCollection` |
//! | [`CollectionStore`] | `privdata.simpleCollectionStore`, as chaincode asks it |
//! | [`Membership`] | `coordinator.isEligible` |
//! | [`LocalDistributor`] | `distributor`, for a peer that knows no others |
//! | [`PrivateDataDelivery`] | `deliverevents.go`, the filter of `DeliverWithPrivateData` |
//!
//! Keeping the data is the ledger's ([`crate::ledger`]). There is no gossip: nothing goes to other peers, and nothing is
//! fetched from them. Invariant: who is a member is decided by the channel's newest configuration each time.

mod access_policy;
mod collection_store;
mod delivery;
mod distributor;
mod membership;
#[cfg(test)]
mod tests;

pub use access_policy::{AccessPolicy, AccessPolicyError};
pub use collection_store::CollectionStore;
pub use delivery::PrivateDataDelivery;
pub use distributor::{DistributionError, LocalDistributor, PrivateDataDistributor};
pub use membership::Membership;
