//! The simulator's private data (Fabric: `lockbasedtxmgr/collection_val.go` and the private half of the simulator).
//!
//! Collections come with lscc's deployment of them. Until then every collection is unknown, and this file finds that out
//! as Fabric does: through the simulator, so that the look-ups stand in the read set.
//!
//! Invariant: no call here writes or reads a private value.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{LedgerError, StateIterator, TxSimulator};

/// The chaincode that keeps definitions and collections.
const LSCC: &str = "lscc";

impl TxSimulator {
    /// The value of a private key.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn get_private_data(&mut self, ns: &str, collection: &str, _key: &str) -> Result<Option<Bytes>, LedgerError> {
        self.refuse(ns, collection)
    }

    /// The SHA-256 of a private key's value, which peers outside the collection have too.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn get_private_data_hash(
        &mut self,
        ns: &str,
        collection: &str,
        _key: &str,
    ) -> Result<Option<Bytes>, LedgerError> {
        self.refuse(ns, collection)
    }

    /// Writes a private value; an empty one deletes the key.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn set_private_data(
        &mut self,
        ns: &str,
        collection: &str,
        _key: &str,
        _value: Bytes,
    ) -> Result<(), LedgerError> {
        self.refuse(ns, collection)
    }

    /// Deletes a private key.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn delete_private_data(&mut self, ns: &str, collection: &str, _key: &str) -> Result<(), LedgerError> {
        self.refuse(ns, collection)
    }

    /// Deletes a private key and its past values.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn purge_private_data(&mut self, ns: &str, collection: &str, _key: &str) -> Result<(), LedgerError> {
        self.refuse(ns, collection)
    }

    /// The metadata of a private key.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn get_private_data_metadata(
        &mut self,
        ns: &str,
        collection: &str,
        _key: &str,
    ) -> Result<BTreeMap<String, Bytes>, LedgerError> {
        self.refuse(ns, collection)
    }

    /// Replaces the metadata of a private key.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn set_private_data_metadata(
        &mut self,
        ns: &str,
        collection: &str,
        _key: &str,
        _metadata: BTreeMap<String, Bytes>,
    ) -> Result<(), LedgerError> {
        self.refuse(ns, collection)
    }

    /// The private keys of `[start, end)`.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn get_private_data_range(
        &mut self,
        ns: &str,
        collection: &str,
        _start: &str,
        _end: &str,
    ) -> Result<StateIterator, LedgerError> {
        self.refuse(ns, collection)
    }

    /// A rich query over a collection.
    ///
    /// # Errors
    /// Always: the collection is not known.
    pub fn execute_query_on_private_data(
        &mut self,
        ns: &str,
        collection: &str,
        _query: &str,
    ) -> Result<StateIterator, LedgerError> {
        self.refuse(ns, collection)
    }

    fn refuse<T>(&mut self, namespace: &str, collection: &str) -> Result<T, LedgerError> {
        self.get_state(LSCC, namespace)?;
        match self.get_state(LSCC, &format!("{namespace}~collection"))? {
            None => Err(LedgerError::NoCollections(namespace.to_owned())),
            Some(_) => Err(LedgerError::PrivateDataUnsupported {
                namespace: namespace.to_owned(),
                collection: collection.to_owned(),
            }),
        }
    }
}
