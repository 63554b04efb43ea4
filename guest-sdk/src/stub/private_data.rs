//! The chaincode's private data, by collection. Not available in INIT.

use super::state::VALIDATION_PARAMETER;
#[cfg(target_family = "wasm")]
use crate::peer::Peer;
use crate::{Error, KeyValue, Rows, Stub, composite_key};

impl Stub {
    /// A key's value; none if it does not exist.
    pub fn get_private_data(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.peer.get(named(collection)?, key)
    }

    /// SHA-256 of a key's value; works on peers that are not members of the collection, too.
    pub fn get_private_data_hash(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.peer.get_hash(named(collection)?, key)
    }

    /// Writes a key when the transaction is committed as valid. An empty value deletes it.
    pub fn put_private_data(&self, collection: &str, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let collection = named(collection)?;
        if key.is_empty() {
            return Err(Error::EmptyKey);
        }
        self.peer.put(collection, key, value.as_ref())
    }

    /// Deletes a key.
    pub fn del_private_data(&self, collection: &str, key: &str) -> Result<(), Error> {
        self.peer.delete(named(collection)?, key)
    }

    /// Deletes a key and everything that it ever held.
    pub fn purge_private_data(&self, collection: &str, key: &str) -> Result<(), Error> {
        self.peer.purge(named(collection)?, key)
    }

    /// A key's own endorsement policy; none if it has none.
    pub fn get_private_data_validation_parameter(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let metadata = self.peer.get_metadata(named(collection)?, key)?;
        Ok(metadata.into_iter().find(|(name, _)| name == VALIDATION_PARAMETER).map(|(_, policy)| policy))
    }

    /// Sets a key's own endorsement policy.
    pub fn set_private_data_validation_parameter(
        &self,
        collection: &str,
        key: &str,
        policy: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        self.peer.put_metadata(named(collection)?, key, VALIDATION_PARAMETER, policy.as_ref())
    }

    /// The simple keys from `start` on and before `end`; "" means the first and the last.
    pub fn get_private_data_by_range(&self, collection: &str, start: &str, end: &str) -> Result<Rows<KeyValue>, Error> {
        let collection = named(collection)?;
        let start = composite_key::simple_range(start, end)?;
        self.peer.get_range(collection, start, end)
    }

    /// All keys of that type whose first attributes are these.
    pub fn get_private_data_by_partial_composite_key(
        &self,
        collection: &str,
        object_type: &str,
        attributes: &[impl AsRef<str>],
    ) -> Result<Rows<KeyValue>, Error> {
        let collection = named(collection)?;
        let (start, end) = composite_key::partial_range(object_type, attributes)?;
        self.peer.get_range(collection, &start, &end)
    }

    /// A query in the language of the state database, where it has one.
    pub fn get_private_data_query_result(&self, collection: &str, query: &str) -> Result<Rows<KeyValue>, Error> {
        self.peer.query(named(collection)?, query)
    }
}

fn named(collection: &str) -> Result<&str, Error> {
    if collection.is_empty() { Err(Error::EmptyCollection) } else { Ok(collection) }
}
