//! A configuration tree as a map of its items, and back (Fabric: `configtx.mapConfig`, `configMapToConfig`).

use std::collections::BTreeMap;

use selvedge_proto::common::{ConfigGroup, ConfigPolicy, ConfigValue};

use super::{ConfigUpdateError, KeyError};
use crate::channel::name;

const ROOT: &str = "Channel";
const GROUP: &str = "[Group]  ";
const VALUE: &str = "[Value]  ";
const POLICY: &str = "[Policy] ";
/// Where this stands, items without a mod policy get one: see [`to_group`].
const ORDERER_CAPABILITIES: &str = "[Value]  /Channel/Orderer/Capabilities";
const ADMINS: &str = "Admins";
/// Bytes that the paths of a tree's items may take. Far more than any channel has; without a limit a tree of a few
/// megabytes, all of its items deep down in groups with long names, would take gigabytes.
const PATHS_LIMIT: usize = 64 << 20;

/// A group, value or policy of a tree, without what is below it.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) content: Content<'a>,
    /// The group whose policies a relative mod policy means, by its path from the root: a group itself, and for others
    /// the group that they are in.
    pub(super) group: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Group(&'a ConfigGroup),
    Value(&'a ConfigValue),
    Policy(&'a ConfigPolicy),
}

impl Item<'_> {
    pub(super) fn version(&self) -> u64 {
        match self.content {
            Content::Group(group) => group.version,
            Content::Value(value) => value.version,
            Content::Policy(policy) => policy.version,
        }
    }

    pub(super) fn mod_policy(&self) -> &str {
        match self.content {
            Content::Group(group) => &group.mod_policy,
            Content::Value(value) => &value.mod_policy,
            Content::Policy(policy) => &policy.mod_policy,
        }
    }
}

/// The items of a tree by kind and path: `[Value]  /Channel/Orderer/BatchSize`.
pub(super) type ConfigMap<'a> = BTreeMap<String, Item<'a>>;

/// The items of the tree whose root is `root`.
pub(super) fn from_group(root: &ConfigGroup) -> Result<ConfigMap<'_>, KeyError> {
    let mut tree = Tree::default();
    tree.add_group("", root)?;
    Ok(tree.items)
}

/// Refuses a tree with names that no item may have.
pub(in crate::channel) fn check_keys_of_tree(root: &ConfigGroup) -> Result<(), KeyError> {
    from_group(root).map(drop)
}

#[derive(Default)]
struct Tree<'a> {
    items: ConfigMap<'a>,
    path_bytes: usize,
}

impl<'a> Tree<'a> {
    /// `path` is that from the root, empty for the root itself.
    fn add_group(&mut self, path: &str, group: &'a ConfigGroup) -> Result<(), KeyError> {
        self.add(key(GROUP, path, None), path, Content::Group(group))?;
        for (name, value) in &group.values {
            check(VALUE, path, name)?;
            self.add(key(VALUE, path, Some(name)), path, Content::Value(value))?;
        }
        for (name, policy) in &group.policies {
            check(POLICY, path, name)?;
            self.add(key(POLICY, path, Some(name)), path, Content::Policy(policy))?;
        }
        for (name, below) in &group.groups {
            check(GROUP, path, name)?;
            self.add_group(&join(path, name), below)?;
        }
        Ok(())
    }

    fn add(&mut self, key: String, group: &str, content: Content<'a>) -> Result<(), KeyError> {
        self.path_bytes += key.len() + group.len();
        if self.path_bytes > PATHS_LIMIT {
            return Err(KeyError::Paths(PATHS_LIMIT));
        }
        self.items.insert(key, Item { content, group: group.to_owned() });
        Ok(())
    }
}

fn check(kind: &'static str, path: &str, name: &str) -> Result<(), KeyError> {
    name::check_item(name).map_err(|source| KeyError::Item {
        kind: kind.trim_end(),
        path: join(path, name),
        source: Box::new(source),
    })
}

/// A path one step longer.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn key(kind: &str, path: &str, name: Option<&str>) -> String {
    let mut key = format!("{kind}/{ROOT}");
    for part in [Some(path).filter(|path| !path.is_empty()), name].into_iter().flatten() {
        key.push('/');
        key.push_str(part);
    }
    key
}

/// The tree of the items: what a group holds is what its own item names, each as the map has it.
///
/// Channels that were made with Fabric 1.0 have items without a mod policy, which nobody could change. Where the
/// ordering service has capabilities, such items get the policy `Admins`; every orderer and peer does the same at the
/// next update.
pub(super) fn to_group(items: &ConfigMap<'_>) -> Result<ConfigGroup, ConfigUpdateError> {
    let fill_in = items.contains_key(ORDERER_CAPABILITIES);
    group_at(items, "", fill_in)
}

fn group_at(items: &ConfigMap<'_>, path: &str, fill_in: bool) -> Result<ConfigGroup, ConfigUpdateError> {
    let missing = |kind, key: &str| ConfigUpdateError::Missing { kind, key: key.to_owned() };
    let group_key = key(GROUP, path, None);
    let Some(Item { content: Content::Group(named), .. }) = items.get(&group_key) else {
        return Err(missing("group", &group_key));
    };
    let or_admins = |mod_policy: &str| {
        if fill_in && mod_policy.is_empty() { ADMINS.to_owned() } else { mod_policy.to_owned() }
    };
    let mut group =
        ConfigGroup { version: named.version, mod_policy: or_admins(&named.mod_policy), ..ConfigGroup::default() };
    for name in named.groups.keys() {
        group.groups.insert(name.clone(), group_at(items, &join(path, name), fill_in)?);
    }
    for name in named.values.keys() {
        let key = key(VALUE, path, Some(name));
        let Some(Item { content: Content::Value(value), .. }) = items.get(&key) else {
            return Err(missing("value", &key));
        };
        let value = ConfigValue { mod_policy: or_admins(&value.mod_policy), ..(*value).clone() };
        group.values.insert(name.clone(), value);
    }
    for name in named.policies.keys() {
        let key = key(POLICY, path, Some(name));
        let Some(Item { content: Content::Policy(policy), .. }) = items.get(&key) else {
            return Err(missing("policy", &key));
        };
        let policy = ConfigPolicy { mod_policy: or_admins(&policy.mod_policy), ..(*policy).clone() };
        group.policies.insert(name.clone(), policy);
    }
    Ok(group)
}
