//! Which items an update changes, and whether it may (Fabric: `configtx/update.go`).

use std::borrow::Cow;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{ConfigGroup, ConfigUpdate, ConfigUpdateEnvelope, SignatureHeader};

use super::config_map::{self, ConfigMap, Item};
use super::error::{ConfigUpdateError, DeltaError};
use crate::channel::{Bundle, name};
use crate::msp::Identity;
use crate::policies::Signers;

impl Bundle {
    /// The configuration tree that `update` makes of this one, if it may.
    pub(super) fn authorize(&self, update: &ConfigUpdateEnvelope) -> Result<ConfigGroup, ConfigUpdateError> {
        let content = ConfigUpdate::decode_as_go(update.config_update.clone())
            .map_err(|source| ConfigUpdateError::Undecodable { what: "ConfigUpdate", source })?;
        if content.channel_id != self.channel() {
            let (update, channel) = (content.channel_id, self.channel().to_owned());
            return Err(ConfigUpdateError::OtherChannel { update, channel });
        }
        let root = self.config().channel_group.clone().unwrap_or_default();
        let mut items = map("config", Some(&root))?;
        let read_set = map("ReadSet", content.read_set.as_ref())?;
        check_read_set(&items, &read_set)?;
        let write_set = map("WriteSet", content.write_set.as_ref())?;
        let delta: ConfigMap<'_> =
            write_set.into_iter().filter(|(key, item)| !is_unchanged(&read_set, key, item)).collect();
        let signers = self.signers_of(update)?;
        self.check_delta(&items, &delta, &signers)?;
        items.extend(delta);
        config_map::to_group(&items)
    }

    /// Who signed an update: each signature is over its own header and the update. What is signed is made for one signature
    /// after the other: a message has room for more of them than memory has for copies of the update.
    fn signers_of(&self, update: &ConfigUpdateEnvelope) -> Result<Vec<Identity>, ConfigUpdateError> {
        let mut signers = Signers::new(self.msps());
        for signature in &update.signatures {
            let header = SignatureHeader::decode_as_go(signature.signature_header.clone())
                .map_err(|source| ConfigUpdateError::Undecodable { what: "SignatureHeader", source })?;
            signers.add(&header.creator, &signature.signature, || {
                Cow::Owned([&signature.signature_header[..], &update.config_update].concat())
            });
        }
        Ok(signers.into_identities())
    }

    fn check_delta(
        &self,
        items: &ConfigMap<'_>,
        delta: &ConfigMap<'_>,
        signers: &[Identity],
    ) -> Result<(), DeltaError> {
        if delta.is_empty() {
            return Err(DeltaError::Empty);
        }
        for (key, item) in delta {
            check_mod_policy(key, item.mod_policy())?;
            let (key, version) = (key.clone(), item.version());
            let Some(existing) = items.get(&key) else {
                if version != 0 {
                    return Err(DeltaError::NewVersion { key, version });
                }
                continue;
            };
            let current = existing.version();
            if current.checked_add(1) != Some(version) {
                return Err(DeltaError::NextVersion { key, version, current });
            }
            let Ok(policy) = self.policies().policy(&policy_path(existing)) else {
                return Err(DeltaError::MissingPolicy { policy: existing.mod_policy().to_owned(), key });
            };
            policy.evaluate(signers).map_err(|source| DeltaError::Policy { key, source })?;
        }
        Ok(())
    }
}

fn map<'a>(set: &'static str, root: Option<&'a ConfigGroup>) -> Result<ConfigMap<'a>, ConfigUpdateError> {
    let items = root.map(config_map::from_group).transpose();
    Ok(items.map_err(|source| ConfigUpdateError::Names { set, source })?.unwrap_or_default())
}

fn check_read_set(items: &ConfigMap<'_>, read_set: &ConfigMap<'_>) -> Result<(), ConfigUpdateError> {
    for (key, read) in read_set {
        let existing = items.get(key).ok_or_else(|| ConfigUpdateError::NotThere(key.clone()))?;
        let (required, current) = (read.version(), existing.version());
        if required != current {
            return Err(ConfigUpdateError::Version { key: key.clone(), required, current });
        }
    }
    Ok(())
}

/// An item that is written as it was read does not change, whatever else it holds.
fn is_unchanged(read_set: &ConfigMap<'_>, key: &str, written: &Item<'_>) -> bool {
    read_set.get(key).is_some_and(|read| read.version() == written.version())
}

/// An item must not be left without a policy that could be satisfied some day.
fn check_mod_policy(key: &str, mod_policy: &str) -> Result<(), DeltaError> {
    if mod_policy.is_empty() {
        return Err(DeltaError::NoModPolicy(key.to_owned()));
    }
    for (index, part) in mod_policy.strip_prefix('/').unwrap_or(mod_policy).split('/').enumerate() {
        name::check_item(part).map_err(|source| DeltaError::ModPolicy { key: key.to_owned(), index, source })?;
    }
    Ok(())
}

/// The path of the policy that decides about an item: absolute as it stands, or from the item's group on.
fn policy_path(item: &Item<'_>) -> String {
    let mod_policy = item.mod_policy();
    if mod_policy.starts_with('/') { mod_policy.to_owned() } else { config_map::join(&item.group, mod_policy) }
}
