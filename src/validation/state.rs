//! The state before a block, as validation reads it (Fabric: `validation/api/state.State`).

use bytes::Bytes;

use crate::ledger::{LedgerError, QueryExecutor};

/// The name under which a key's metadata hold its endorsement policy (Fabric: `MetaDataKeys.VALIDATION_PARAMETER`).
pub(super) const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";

/// A key of the state: a public one, or the hash of one of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) namespace: &'a str,
    /// Empty for a public key.
    pub(super) collection: &'a str,
    pub(super) key: KeyName<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyName<'a> {
    Public(&'a str),
    Hash(&'a [u8]),
}

impl KeyName<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Public(key) => key.as_bytes(),
            Self::Hash(hash) => hash,
        }
    }
}

/// What validation asks of the ledger. An error is a fault of the ledger, never something about a transaction.
pub(super) trait State {
    /// Whether a transaction with this id is in some block.
    fn contains_transaction(&self, txid: &str) -> Result<bool, LedgerError>;

    /// The value of a public key.
    fn value(&self, namespace: &str, key: &str) -> Result<Option<Bytes>, LedgerError>;

    /// The endorsement policy of a key, if it has one of its own.
    fn validation_parameter(&self, key: Key<'_>) -> Result<Option<Bytes>, LedgerError>;
}

impl State for QueryExecutor {
    fn contains_transaction(&self, txid: &str) -> Result<bool, LedgerError> {
        Self::contains_transaction(self, txid)
    }

    fn value(&self, namespace: &str, key: &str) -> Result<Option<Bytes>, LedgerError> {
        self.get_state(namespace, key)
    }

    fn validation_parameter(&self, key: Key<'_>) -> Result<Option<Bytes>, LedgerError> {
        let mut metadata = match key.key {
            KeyName::Public(name) => self.get_state_metadata(key.namespace, name)?,
            KeyName::Hash(hash) => self.get_private_data_metadata_by_hash(key.namespace, key.collection, hash)?,
        };
        Ok(metadata.remove(VALIDATION_PARAMETER))
    }
}
