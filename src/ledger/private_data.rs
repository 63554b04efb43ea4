//! The simulator's private data (Fabric: `lockbasedtxmgr`, `collNameValidator` and the private half of `queryHelper`).
//!
//! A collection is looked up through the simulator, so its definition stands in the read set of whoever uses it. Whether
//! the creator may read is asked before (`chaincode::Collections`). A purge asks for the past values too, which is for
//! those who commit it.
//!
//! Invariant: a value is given out only if it is the one whose hash is committed. A range is the exception, as in Fabric:
//! it yields what is here, records nothing and makes the transaction read-only.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::kvrwset::KvMetadataWrite;

use super::collections::{Collections, LSCC, collections_key};
use super::private_rwset::{PrivateWrite, digest};
use super::private_store::{private_key, private_range_end};
use super::rich_query::space::IndexedSpace;
use super::simulator::{NOT_RECORDED, value_as_read};
use super::state::{CommittedState, Space, StateValue, Version};
use super::store::state_range;
use super::{LedgerError, StateIterator, TxSimulator};

const QUERY_NEEDS_READ_ONLY: &str = "Queries on pvt data is supported only in a read-only transaction";

impl TxSimulator {
    /// The committed value of a private key; none for a key that does not exist.
    ///
    /// # Errors
    /// When the collection is not one, the value is not on this peer, the simulator is closed, or the database fails.
    pub fn get_private_data(&mut self, ns: &str, collection: &str, key: &str) -> Result<Option<Bytes>, LedgerError> {
        self.check_collection(ns, collection)?;
        let snapshot = self.snapshot()?;
        let found = snapshot.private_value(&private_key(ns, collection, key))?;
        let version = found.as_ref().map(|found| found.version);
        let space = Space { namespace: ns, collection };
        let hash = snapshot.version(&space.table_key(&digest(key.as_bytes())))?;
        if hash != version {
            return Err(LedgerError::PrivateDataNotAvailable { hash, value: version });
        }
        self.read_hash(ns, collection, key, version);
        Ok(found.map(|found| value_as_read(self.database, &found.value)))
    }

    /// The SHA-256 of a private key's value, which peers outside the collection have too.
    ///
    /// # Errors
    /// As [`Self::get_private_data`], but that the value need not be here.
    pub fn get_private_data_hash(
        &mut self,
        ns: &str,
        collection: &str,
        key: &str,
    ) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.hashed(ns, collection, key)?.map(|hashed| hashed.value))
    }

    /// Writes a private value; an empty one deletes the key.
    ///
    /// # Errors
    /// When the collection is not one, and as [`Self::set_state`].
    pub fn set_private_data(&mut self, ns: &str, collection: &str, key: &str, value: Bytes) -> Result<(), LedgerError> {
        self.write_private(ns, collection, key, PrivateWrite::Value(value))
    }

    /// Deletes a private key, which need not exist.
    ///
    /// # Errors
    /// As [`Self::set_private_data`].
    pub fn delete_private_data(&mut self, ns: &str, collection: &str, key: &str) -> Result<(), LedgerError> {
        self.set_private_data(ns, collection, key, Bytes::new())
    }

    /// Deletes a private key and asks for its past values to be forgotten.
    ///
    /// # Errors
    /// As [`Self::set_private_data`].
    pub fn purge_private_data(&mut self, ns: &str, collection: &str, key: &str) -> Result<(), LedgerError> {
        self.write_private(ns, collection, key, PrivateWrite::Purge)
    }

    /// The metadata of a private key, which is everybody's. Recorded as a read of the key.
    ///
    /// # Errors
    /// As [`Self::get_private_data_hash`].
    pub fn get_private_data_metadata(
        &mut self,
        ns: &str,
        collection: &str,
        key: &str,
    ) -> Result<BTreeMap<String, Bytes>, LedgerError> {
        let Some(hashed) = self.hashed(ns, collection, key)? else { return Ok(BTreeMap::new()) };
        let metadata = KvMetadataWrite::decode(hashed.metadata)
            .map_err(|_| LedgerError::Corrupted(format!("the metadata of a key of collection {ns}/{collection}")))?;
        Ok(metadata.entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
    }

    /// Replaces all metadata of a private key; an empty map removes it.
    ///
    /// # Errors
    /// As [`Self::set_private_data`].
    pub fn set_private_data_metadata(
        &mut self,
        ns: &str,
        collection: &str,
        key: &str,
        metadata: BTreeMap<String, Bytes>,
    ) -> Result<(), LedgerError> {
        self.check_collection(ns, collection)?;
        self.before_write()?;
        self.check_write(key, b"")?;
        self.rwset.collection(ns, collection).write_metadata(key, metadata);
        Ok(())
    }

    /// The private keys of `[start, end)` that are on this peer; an empty `end` is the end of the collection. Makes the
    /// transaction read-only.
    ///
    /// # Errors
    /// When the transaction has written, the collection is not one, the simulator is closed, or the database fails.
    pub fn get_private_data_range(
        &mut self,
        ns: &str,
        collection: &str,
        start: &str,
        end: &str,
    ) -> Result<StateIterator, LedgerError> {
        self.before_private_query()?;
        self.check_collection(ns, collection)?;
        let from = private_key(ns, collection, start);
        let to = private_range_end(ns, collection, end);
        let rows = state_range(&self.snapshot()?.private_state, &from, Bound::Excluded(&to))?;
        let prefix = private_key(ns, collection, "").len();
        Ok(StateIterator { rows, rich: None, query: NOT_RECORDED, prefix, left: None })
    }

    /// A rich query over what of a collection is on this peer. Makes the transaction read-only.
    ///
    /// # Errors
    /// As [`Self::get_private_data_range`] and [`Self::execute_query`].
    pub fn execute_query_on_private_data(
        &mut self,
        ns: &str,
        collection: &str,
        query: &str,
    ) -> Result<StateIterator, LedgerError> {
        self.before_private_query()?;
        self.check_collection(ns, collection)?;
        self.rich_query(None, IndexedSpace::private(ns, collection), query, None, "")
    }

    fn write_private(&mut self, ns: &str, collection: &str, key: &str, write: PrivateWrite) -> Result<(), LedgerError> {
        self.check_collection(ns, collection)?;
        self.before_write()?;
        self.check_write(key, if let PrivateWrite::Value(value) = &write { value } else { b"" })?;
        self.rwset.collection(ns, collection).write(key, write);
        Ok(())
    }

    /// The hash of a private value, with its metadata. The read is recorded.
    fn hashed(&mut self, ns: &str, collection: &str, key: &str) -> Result<Option<StateValue>, LedgerError> {
        self.check_collection(ns, collection)?;
        let space = Space { namespace: ns, collection };
        let hashed = self.snapshot()?.get(&space.table_key(&digest(key.as_bytes())))?;
        self.read_hash(ns, collection, key, hashed.as_ref().map(|hashed| hashed.version));
        Ok(hashed)
    }

    fn read_hash(&mut self, ns: &str, collection: &str, key: &str, version: Option<Version>) {
        self.rwset.collection(ns, collection).read(key, version);
    }

    fn before_private_query(&mut self) -> Result<(), LedgerError> {
        if self.wrote {
            return Err(self.unsupported(QUERY_NEEDS_READ_ONLY));
        }
        self.queried_private_data = true;
        Ok(())
    }

    /// Looked up once for each chaincode: that is how Fabric's read sets come about.
    fn check_collection(&mut self, chaincode: &str, collection: &str) -> Result<(), LedgerError> {
        if !self.collections.contains_key(chaincode) {
            let none = || LedgerError::NoCollections(chaincode.to_owned());
            self.get_state(LSCC, chaincode)?.ok_or_else(none)?;
            let package = self.get_state(LSCC, &collections_key(chaincode))?.ok_or_else(none)?;
            let collections = Collections::decode(chaincode, package)?;
            self.collections.insert(chaincode.to_owned(), collections);
        }
        match self.collections.get(chaincode).and_then(|collections| collections.get(collection)) {
            Some(_) => Ok(()),
            None => Err(LedgerError::NoSuchCollection {
                chaincode: chaincode.to_owned(),
                collection: collection.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
