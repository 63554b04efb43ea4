//! Versions, the keys and values of the state table, and the committed state as validation sees it
//! (Fabric: `statedb`, `version.Height`).
//!
//! Invariant: keys sort by namespace first and then by the bytes of the key, so that a range of a namespace is a range of
//! the table. A namespace never holds a NUL; the commit sees to that.

use std::ops::Bound;

use bytes::Bytes;
use selvedge_proto::kvrwset;

use super::LedgerError;

/// The place of the transaction that last wrote a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Number of the block.
    pub block: u64,
    /// Index of the transaction in the block.
    pub tx: u64,
}

impl From<Version> for kvrwset::Version {
    fn from(version: Version) -> Self {
        Self { block_num: version.block, tx_num: version.tx }
    }
}

impl From<&kvrwset::Version> for Version {
    fn from(version: &kvrwset::Version) -> Self {
        Self { block: version.block_num, tx: version.tx_num }
    }
}

/// A namespace of the state: a chaincode's public keys, or the hashes of one of its collections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space<'a> {
    pub namespace: &'a str,
    /// Empty for the public keys.
    pub collection: &'a str,
}

impl<'a> Space<'a> {
    pub(super) fn public(namespace: &'a str) -> Self {
        Self { namespace, collection: "" }
    }

    /// The key of the state table for `key` of this space.
    pub(super) fn table_key(self, key: &[u8]) -> Vec<u8> {
        if self.collection.is_empty() {
            return public_key(self.namespace, key);
        }
        [self.namespace.as_bytes(), b"$$h", self.collection.as_bytes(), &[0], key].concat()
    }
}

/// The key of the state table for a chaincode's public `key`.
pub(super) fn public_key(namespace: &str, key: &[u8]) -> Vec<u8> {
    [namespace.as_bytes(), &[0], key].concat()
}

/// The table's end of the range `[.., end)` of a namespace; an empty `end` is the namespace's end.
pub(super) fn public_range_end(namespace: &str, end: &str) -> Vec<u8> {
    if end.is_empty() { [namespace.as_bytes(), &[1]].concat() } else { public_key(namespace, end.as_bytes()) }
}

/// A value of the state table. `metadata` is a marshalled `KVMetadataWrite` without its key, or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateValue {
    pub version: Version,
    pub metadata: Bytes,
    pub value: Bytes,
}

/// [`StateValue`] where the table holds it.
pub(super) struct StateRow<'a> {
    pub version: Version,
    pub metadata: &'a [u8],
    pub value: &'a [u8],
}

impl StateValue {
    /// Block, transaction and length of the metadata, big-endian; then the metadata and the value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20 + self.metadata.len() + self.value.len());
        out.extend_from_slice(&self.version.block.to_be_bytes());
        out.extend_from_slice(&self.version.tx.to_be_bytes());
        // A message, and so the metadata in it, stays far below 4 GiB.
        out.extend_from_slice(&(self.metadata.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.metadata);
        out.extend_from_slice(&self.value);
        out
    }
}

impl<'a> StateRow<'a> {
    pub(super) fn decode(row: &'a [u8]) -> Result<Self, LedgerError> {
        let parts = || {
            let (block, rest) = row.split_first_chunk::<8>()?;
            let (tx, rest) = rest.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (metadata, value) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            let version = Version { block: u64::from_be_bytes(*block), tx: u64::from_be_bytes(*tx) };
            Some(Self { version, metadata, value })
        };
        parts().ok_or_else(|| LedgerError::Corrupted(format!("a state value of {} bytes", row.len())))
    }

    pub(super) fn to_value(&self) -> StateValue {
        StateValue {
            version: self.version,
            metadata: Bytes::copy_from_slice(self.metadata),
            value: Bytes::copy_from_slice(self.value),
        }
    }
}

/// A key of the table and its version.
pub(super) type VersionedKey = (Vec<u8>, Version);

/// The state before a block, as the validation of the block reads it. Keys are the table's.
pub(super) trait CommittedState {
    fn get(&self, key: &[u8]) -> Result<Option<StateValue>, LedgerError>;

    /// The metadata of a value alone; empty where there is no value.
    fn metadata(&self, key: &[u8]) -> Result<Bytes, LedgerError> {
        Ok(self.get(key)?.map(|found| found.metadata).unwrap_or_default())
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, LedgerError>;

    /// The keys of `[from, to)`, or `[from, to]`, in order.
    fn range(
        &self,
        from: &[u8],
        to: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<VersionedKey, LedgerError>>, LedgerError>;
}

/// The state before block 0.
pub(super) struct NoState;

impl CommittedState for NoState {
    fn get(&self, _: &[u8]) -> Result<Option<StateValue>, LedgerError> {
        Ok(None)
    }

    fn version(&self, _: &[u8]) -> Result<Option<Version>, LedgerError> {
        Ok(None)
    }

    fn range(
        &self,
        _: &[u8],
        _: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<VersionedKey, LedgerError>>, LedgerError> {
        Ok(std::iter::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_table_and_a_damaged_one_is_an_error() {
        let value = StateValue {
            version: Version { block: 7, tx: u64::MAX },
            metadata: Bytes::from_static(b"meta"),
            value: Bytes::from_static(b"value"),
        };
        let row = value.encode();
        assert_eq!(StateRow::decode(&row).unwrap().to_value(), value);
        assert!(matches!(StateRow::decode(&row[..22]), Err(LedgerError::Corrupted(_))));
    }
}
