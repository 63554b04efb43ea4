//! The chaincode's own public state. Reads see what is committed, never this transaction's writes.

use std::collections::BTreeMap;

#[cfg(target_family = "wasm")]
use crate::peer::Peer;
use crate::{Error, KeyModification, KeyValue, Page, Rows, Stub, composite_key};

/// The name under which Fabric keeps a key's endorsement policy in its metadata.
pub(super) const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";

impl Stub {
    /// A key's value; none if it does not exist.
    pub fn get_state(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.peer.get("", key)
    }

    /// The values of several keys, in order, with one message.
    pub fn get_state_multiple(&self, keys: &[impl AsRef<str>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let keys: Vec<String> = keys.iter().map(|key| key.as_ref().to_owned()).collect();
        self.peer.get_multiple(&keys)
    }

    /// Writes a key when the transaction is committed as valid. An empty value deletes it.
    pub fn put_state(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        if key.is_empty() {
            return Err(Error::EmptyKey);
        }
        self.peer.put("", key, value.as_ref())
    }

    /// Deletes a key; one that does not exist is fine.
    pub fn del_state(&self, key: &str) -> Result<(), Error> {
        self.peer.delete("", key)
    }

    /// A key's metadata, by name.
    pub fn get_state_metadata(&self, key: &str) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        Ok(self.peer.get_metadata("", key)?.into_iter().collect())
    }

    /// Replaces all metadata of a key by this one entry.
    pub fn put_state_metadata(&self, key: &str, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.peer.put_metadata("", key, name, value.as_ref())
    }

    /// A key's own endorsement policy, a marshalled `SignaturePolicyEnvelope`; none if it has none.
    pub fn get_state_validation_parameter(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get_state_metadata(key)?.remove(VALIDATION_PARAMETER))
    }

    /// Sets a key's own endorsement policy.
    pub fn set_state_validation_parameter(&self, key: &str, policy: impl AsRef<[u8]>) -> Result<(), Error> {
        self.put_state_metadata(key, VALIDATION_PARAMETER, policy)
    }

    /// The simple keys from `start` on and before `end`; "" means the first and the last.
    pub fn get_state_by_range(&self, start: &str, end: &str) -> Result<Rows<KeyValue>, Error> {
        let start = composite_key::simple_range(start, end)?;
        self.peer.get_range("", start, end)
    }

    /// One page of a range. A page makes the transaction read-only.
    pub fn get_state_by_range_with_pagination(
        &self,
        start: &str,
        end: &str,
        page_size: i32,
        bookmark: &str,
    ) -> Result<Page, Error> {
        let start = composite_key::simple_range(start, end)?;
        self.peer.get_range_page(start, end, page_size, bookmark)
    }

    /// `U+0000 type U+0000 attribute U+0000 ...`
    pub fn create_composite_key(&self, object_type: &str, attributes: &[impl AsRef<str>]) -> Result<String, Error> {
        composite_key::create(object_type, attributes)
    }

    /// The object type and the attributes of a composite key.
    pub fn split_composite_key(&self, key: &str) -> Result<(String, Vec<String>), Error> {
        composite_key::split(key)
    }

    /// All keys of that type whose first attributes are these.
    pub fn get_state_by_partial_composite_key(
        &self,
        object_type: &str,
        attributes: &[impl AsRef<str>],
    ) -> Result<Rows<KeyValue>, Error> {
        let (start, end) = composite_key::partial_range(object_type, attributes)?;
        self.peer.get_range("", &start, &end)
    }

    /// One page of them. A page makes the transaction read-only.
    pub fn get_state_by_partial_composite_key_with_pagination(
        &self,
        object_type: &str,
        attributes: &[impl AsRef<str>],
        page_size: i32,
        bookmark: &str,
    ) -> Result<Page, Error> {
        let (start, end) = composite_key::partial_range(object_type, attributes)?;
        self.peer.get_range_page(&start, &end, page_size, bookmark)
    }

    /// A query in the language of the state database, where it has one.
    pub fn get_query_result(&self, query: &str) -> Result<Rows<KeyValue>, Error> {
        self.peer.query("", query)
    }

    /// One page of a query. A page makes the transaction read-only.
    pub fn get_query_result_with_pagination(&self, query: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        self.peer.query_page(query, page_size, bookmark)
    }

    /// What valid transactions did to a key, oldest first. Not validated again at commit: not for decisions on writes.
    pub fn get_history_for_key(&self, key: &str) -> Result<Rows<KeyModification>, Error> {
        self.peer.get_history(key)
    }
}
