//! The values of a configuration group (Fabric: `channelconfig.StandardValues`).
//!
//! Invariant: a group holds no value that its reader does not know. Somebody else would follow it, and this node not.

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::ConfigGroup;

use super::ConfigError;

/// Refuses a group with a value that is not among `known`.
pub(super) fn check_keys(group: &ConfigGroup, known: &[&str]) -> Result<(), ConfigError> {
    match group.values.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(ConfigError::Values(Box::new(ConfigError::UnknownValue(key.clone())))),
    }
}

/// A value; one that is not there is one of nothing but defaults.
pub(super) fn read<M: DecodeAsGo>(group: &ConfigGroup, key: &'static str) -> Result<M, ConfigError> {
    let Some(value) = group.values.get(key) else { return Ok(M::default()) };
    M::decode_as_go(value.value.clone())
        .map_err(|source| ConfigError::Values(Box::new(ConfigError::Undecodable { key, source })))
}
