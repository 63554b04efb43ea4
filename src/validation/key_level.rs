//! Endorsement policies of single keys (Fabric 1.4: `core/common/validation/statebased`).
//!
//! A key whose metadata name a policy is written by whoever satisfies that policy, and the chaincode's own does not count
//! for it. The metadata are those before the block. Fabric judges transactions side by side and waits where one depends on
//! another; here they come in order.
//!
//! Invariant: once a transaction of a block may change a key's policy, as far as the namespace's endorsers are concerned,
//! no later one of the block may write the key. Whether the first turns out valid in the end does not matter: the ledger
//! may still find a read conflict, which nobody can know here.

use std::collections::HashSet;

use super::action::Action;
use super::judge::{EndorsementPolicy, Judge};
use super::state::{Key, KeyName};
use super::verdict::{Invalid, Objection};
use crate::ledger::transaction::NamespaceRwSet;

impl Judge<'_> {
    /// Whether the endorsers may write what the transaction writes to the namespace; if that is nothing, whether they may
    /// call the chaincode.
    pub(super) fn check_keys(
        &mut self,
        action: &Action,
        namespace: &str,
        policy: &EndorsementPolicy<'_>,
    ) -> Result<(), Objection> {
        let (mut some_checked, mut chaincode_checked) = (false, false);
        // Many keys have the same policy, and a policy may be long.
        let mut satisfied = HashSet::new();
        for key in action.set(namespace).into_iter().flat_map(written_keys) {
            if self.is_changed(key) {
                let reason = format!("validation parameters for {} have been changed in the same block", show(key));
                return Err(Invalid::policy(reason).into());
            }
            match self.state.validation_parameter(key)? {
                Some(parameter) if !parameter.is_empty() => {
                    if satisfied.contains(&parameter) {
                        continue;
                    }
                    let failed = |cause| Invalid::policy(format!("validation of {} failed: {cause}", show(key)));
                    self.policies.evaluate(&parameter, &action.endorsers).map_err(failed)?;
                    satisfied.insert(parameter);
                }
                _ if chaincode_checked => {}
                _ => {
                    self.check_policy(namespace, policy, &action.endorsers)?;
                    chaincode_checked = true;
                }
            }
            some_checked = true;
        }
        if !some_checked {
            self.check_policy(namespace, policy, &action.endorsers)?;
        }
        Ok(())
    }

    fn is_changed(&self, key: Key<'_>) -> bool {
        !self.changed_parameters.is_empty() && self.changed_parameters.contains(&owned(key))
    }

    /// The namespace's policies let the transaction pass: from here on, its metadata count as changed.
    pub(super) fn remember_parameters(&mut self, action: &Action, namespace: &str) {
        let keys = action.set(namespace).into_iter().flat_map(keys_with_metadata);
        self.changed_parameters.extend(keys.map(owned));
    }
}

/// The keys that are written, in the order in which Fabric looks at them.
fn written_keys(set: &NamespaceRwSet) -> impl Iterator<Item = Key<'_>> {
    let namespace = set.namespace.as_str();
    let writes = set.public.writes.iter().map(move |write| public(namespace, &write.key));
    let metadata = set.public.metadata_writes.iter().map(move |write| public(namespace, &write.key));
    let hashed = set.collections.iter().flat_map(move |(collection, set)| {
        set.hashed_writes.iter().map(move |write| hash(namespace, collection, &write.key_hash))
    });
    writes.chain(metadata).chain(hashed).chain(hashed_metadata(set))
}

fn keys_with_metadata(set: &NamespaceRwSet) -> impl Iterator<Item = Key<'_>> {
    let namespace = set.namespace.as_str();
    let metadata = set.public.metadata_writes.iter().map(move |write| public(namespace, &write.key));
    metadata.chain(hashed_metadata(set))
}

fn hashed_metadata(set: &NamespaceRwSet) -> impl Iterator<Item = Key<'_>> {
    let namespace = set.namespace.as_str();
    set.collections.iter().flat_map(move |(collection, set)| {
        set.metadata_writes.iter().map(move |write| hash(namespace, collection, &write.key_hash))
    })
}

fn public<'a>(namespace: &'a str, key: &'a str) -> Key<'a> {
    Key { namespace, collection: "", key: KeyName::Public(key) }
}

fn hash<'a>(namespace: &'a str, collection: &'a str, key_hash: &'a [u8]) -> Key<'a> {
    Key { namespace, collection, key: KeyName::Hash(key_hash) }
}

fn owned(key: Key<'_>) -> (String, String, Vec<u8>) {
    (key.namespace.to_owned(), key.collection.to_owned(), key.key.bytes().to_vec())
}

fn show(key: Key<'_>) -> String {
    let Key { namespace, collection, key } = key;
    match key {
        KeyName::Public(key) => format!("key [{key}] in namespace [{namespace}:]"),
        KeyName::Hash(key_hash) => format!("key [{}] in namespace [{namespace}:{collection}]", hex::encode(key_hash)),
    }
}
