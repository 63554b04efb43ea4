//! The policies of a configuration tree (Fabric: `policies.ManagerImpl`, `implicitMetaPolicy`).

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{self, ConfigGroup, implicit_meta_policy, policy};

use super::{PolicyDefinitionError, PolicyError, SignaturePolicy};
use crate::msp::{Identity, MspManager};

/// The name of the tree's root in policy paths.
const ROOT: &str = "Channel";

/// A policy of either kind.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Counts signatures.
    Signature(SignaturePolicy),
    /// Counts policies of the groups below.
    ImplicitMeta(ImplicitMetaPolicy),
}

impl Policy {
    /// Whether these signers, none of them twice and all verified, satisfy the policy.
    ///
    /// # Errors
    /// [`PolicyError`], with Fabric's text.
    pub fn evaluate(&self, signers: &[Identity]) -> Result<(), PolicyError> {
        match self {
            Self::Signature(policy) => policy.evaluate(signers),
            Self::ImplicitMeta(policy) => policy.evaluate(signers),
        }
    }
}

/// A policy that counts a policy of each group below its own.
#[derive(Clone, Debug)]
pub struct ImplicitMetaPolicy {
    /// None for a group that lacks the policy: it counts among the groups and is never satisfied.
    sub_policies: Vec<Option<Arc<Policy>>>,
    threshold: usize,
    name: String,
}

impl ImplicitMetaPolicy {
    /// For a policy of the group at `path`. The name of the sub-policy is a path from each of the groups below, or an
    /// absolute one, which then is in one of them at most.
    fn new(definition: &common::ImplicitMetaPolicy, path: &str, groups: &BTreeMap<&str, Policies>) -> Self {
        let name = definition.sub_policy.clone();
        let find = |(group, policies): (&&str, &Policies)| {
            let relative = relative_to(&format!("{path}/{group}"), &name)?;
            policies.get(relative).cloned()
        };
        let sub_policies: Vec<_> = groups.iter().map(find).collect();
        let count = sub_policies.len();
        let threshold = match implicit_meta_policy::Rule::try_from(definition.rule) {
            _ if count == 0 => 0,
            Ok(implicit_meta_policy::Rule::Any) => 1,
            Ok(implicit_meta_policy::Rule::All) => count,
            Ok(implicit_meta_policy::Rule::Majority) => count / 2 + 1,
            // Fabric asks for none then and lets everybody in; a rule that nobody knows is better satisfied by nobody.
            Err(_) => count + 1,
        };
        Self { sub_policies, threshold, name }
    }

    fn evaluate(&self, signers: &[Identity]) -> Result<(), PolicyError> {
        let satisfied = self.sub_policies.iter().flatten().filter(|policy| policy.evaluate(signers).is_ok());
        let satisfied = satisfied.take(self.threshold).count();
        if satisfied >= self.threshold {
            return Ok(());
        }
        Err(PolicyError::Implicit { satisfied, required: self.threshold, sub_policy: self.name.clone() })
    }
}

/// The policies of a group and of all groups below it, by their paths from the group.
type Policies = BTreeMap<String, Arc<Policy>>;

/// All policies of a channel.
#[derive(Clone, Debug, Default)]
pub struct PolicyManager {
    policies: Policies,
}

impl PolicyManager {
    /// The policies of the tree whose root, called `Channel`, is `root`; their principals are those of `msps`.
    ///
    /// # Errors
    /// When a policy of the tree cannot be used; the text names it.
    pub fn new(root: &ConfigGroup, msps: &Arc<MspManager>) -> Result<Self, PolicyDefinitionError> {
        Ok(Self { policies: read_group(ROOT, root, msps)? })
    }

    /// The policy at a path: absolute (`/Channel/Application/Readers`), or from the root (`Application/Readers`).
    ///
    /// # Errors
    /// [`PolicyError::Unknown`] when there is none.
    pub fn policy(&self, path: &str) -> Result<&Arc<Policy>, PolicyError> {
        let relative = relative_to(ROOT, path).ok_or_else(|| PolicyError::Unknown(path.to_owned()))?;
        self.policies.get(relative).ok_or_else(|| PolicyError::Unknown(relative.to_owned()))
    }

    /// Whether these signers, none of them twice and all verified, satisfy the policy at `path`.
    ///
    /// # Errors
    /// [`PolicyError`] when they do not, or when there is no such policy.
    pub fn evaluate(&self, path: &str, signers: &[Identity]) -> Result<(), PolicyError> {
        self.policy(path)?.evaluate(signers)
    }
}

/// The path from `group` of a policy at `path`, which is absolute or from there already; none if it is elsewhere.
fn relative_to<'a>(group: &str, path: &'a str) -> Option<&'a str> {
    match path.strip_prefix('/') {
        None => Some(path),
        Some(absolute) => absolute.strip_prefix(group)?.strip_prefix('/'),
    }
}

fn read_group(path: &str, group: &ConfigGroup, msps: &Arc<MspManager>) -> Result<Policies, PolicyDefinitionError> {
    let mut groups = BTreeMap::new();
    for (name, sub_group) in &group.groups {
        groups.insert(name.as_str(), read_group(&format!("{path}/{name}"), sub_group, msps)?);
    }
    let mut policies = Policies::new();
    for (name, item) in &group.policies {
        let place = || (name.clone(), path.to_owned());
        let Some(definition) = &item.policy else {
            let (name, path) = place();
            return Err(PolicyDefinitionError::Missing { name, path });
        };
        let compiled = match policy::PolicyType::try_from(definition.r#type) {
            Ok(policy::PolicyType::Signature) => {
                SignaturePolicy::decode(definition.value.clone(), Arc::clone(msps)).map(Policy::Signature)
            }
            Ok(policy::PolicyType::ImplicitMeta) => common::ImplicitMetaPolicy::decode_as_go(definition.value.clone())
                .map(|definition| Policy::ImplicitMeta(ImplicitMetaPolicy::new(&definition, path, &groups)))
                .map_err(PolicyDefinitionError::Implicit),
            _ => {
                let (name, path) = place();
                return Err(PolicyDefinitionError::Kind { name, path, kind: definition.r#type });
            }
        };
        let compiled = compiled.map_err(|source| {
            let (name, path) = place();
            PolicyDefinitionError::At { name, path, source: Box::new(source) }
        })?;
        policies.insert(name.clone(), Arc::new(compiled));
    }
    for (group, below) in groups {
        policies.extend(below.into_iter().map(|(name, policy)| (format!("{group}/{name}"), policy)));
    }
    Ok(policies)
}
