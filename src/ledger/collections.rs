//! The collections that chaincodes are deployed with (Fabric: `core/common/privdata`, `lscc.DeployedCCInfoProvider`).
//!
//! lscc keeps them in its public state. What a collection's rules mean is for others; here they are only found. Invariant:
//! bytes that do not decode are an error, never "no collections".

use std::collections::BTreeMap;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::{CollectionConfigPackage, StaticCollectionConfig};

use super::LedgerError;

/// The chaincode that keeps definitions and collections.
pub const LSCC: &str = "lscc";

/// Where [`LSCC`] keeps a chaincode's collections.
pub fn collections_key(chaincode: &str) -> String {
    format!("{chaincode}~collection")
}

/// The collections of one chaincode, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collections(BTreeMap<String, StaticCollectionConfig>);

impl Collections {
    /// Decodes what stands under [`collections_key`]. Of two with one name the first counts, as in Fabric.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub fn decode(chaincode: &str, package: Bytes) -> Result<Self, LedgerError> {
        let undecodable = |source| LedgerError::Collections { chaincode: chaincode.to_owned(), source };
        let package = CollectionConfigPackage::decode_as_go(package).map_err(undecodable)?;
        Ok(Self::from(package))
    }

    /// The collection of that name.
    pub fn get(&self, collection: &str) -> Option<&StaticCollectionConfig> {
        self.0.get(collection)
    }
}

impl From<CollectionConfigPackage> for Collections {
    fn from(package: CollectionConfigPackage) -> Self {
        let mut collections = BTreeMap::new();
        for config in package.config {
            if let Some(Payload::StaticCollectionConfig(config)) = config.payload {
                collections.entry(config.name.clone()).or_insert(config);
            }
        }
        Self(collections)
    }
}

/// The block whose commit ends the life of what block `committed` wrote into the collection; none for ever. What is to
/// live for one block is there for one block after its own (Fabric: `BTLPolicy.GetExpiringBlock`).
pub(super) fn expiring_block(collection: &StaticCollectionConfig, committed: u64) -> Option<u64> {
    match collection.block_to_live {
        0 => None,
        blocks => committed.checked_add(blocks)?.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_to_live_of_two_ends_with_the_third_block_after() {
        let collection = |block_to_live| StaticCollectionConfig { block_to_live, ..Default::default() };
        assert_eq!(expiring_block(&collection(2), 10), Some(13));
        assert_eq!(expiring_block(&collection(0), 10), None);
        assert_eq!(expiring_block(&collection(u64::MAX), 0), None, "Fabric counts an overflow as for ever");
        assert_eq!(expiring_block(&collection(u64::MAX - 1), 0), Some(u64::MAX));
    }

    #[test]
    fn bytes_that_are_no_package_are_an_error() {
        let error = Collections::decode("cc", Bytes::from_static(&[0x0a, 5])).unwrap_err();
        assert!(error.to_string().contains("chaincode cc"), "{error}");
        assert_eq!(Collections::decode("cc", Bytes::new()).unwrap(), Collections::default());
    }
}
