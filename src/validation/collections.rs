//! The collections that a deploy or upgrade brings (Fabric 1.4: `builtin/v13.validateRWSetAndCollection`).
//!
//! Invariant: what stands on the ledger about a chaincode's collections is what the arguments said, and after an upgrade
//! every collection is still there and lives as long as before.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::SignaturePolicy;
use selvedge_proto::common::signature_policy::Type as Rule;
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::collection_policy_config::Payload as MemberPolicy;
use selvedge_proto::protos::{CollectionConfigPackage, StaticCollectionConfig};

use super::lscc::{Function, read};
use super::state::State;
use super::verdict::{Invalid, Objection};

/// Checks what is written to lscc for the chaincode `name`, given the argument with its collections. `strict` is the
/// validation of 1.2, which looks into them.
pub(super) fn check(
    function: Function,
    name: &str,
    set: &KvrwSet,
    argument: Option<&Bytes>,
    strict: bool,
    state: &dyn State,
) -> Result<(), Objection> {
    let key = format!("{name}~collection");
    let written = match &set.writes[..] {
        [] | [_] => Bytes::new(),
        [_, second] if second.key == key => second.value.clone(),
        [_, second] => {
            return refuse(format!(
                "invalid key for the collection of chaincode {name}; expected '{key}', received '{}'",
                second.key
            ));
        }
        _ => return refuse("LSCC can only issue one or two putState upon deploy".into()),
    };
    if argument.map_or(&[][..], |argument| argument) != written {
        return refuse(format!(
            "collection configuration arguments supplied for chaincode {name} do not match the configuration in the lscc \
             writeset"
        ));
    }
    // An upgrade reads the old ones only where there are new ones to compare them with.
    if function == Function::Deploy && read::<CollectionConfigPackage>(state, &key)?.is_some() {
        return refuse(format!("collection data should not exist for chaincode {name}"));
    }
    let Some(argument) = argument else { return Ok(()) };
    let new = CollectionConfigPackage::decode_as_go(argument.clone()).map_err(|cause| {
        Invalid::policy(format!("invalid collection configuration supplied for chaincode {name}: {cause}"))
    })?;
    if !strict {
        return Ok(());
    }
    let new = static_collections(&new)?;
    check_new(&new)?;
    if function == Function::Upgrade
        && let Some(old) = read::<CollectionConfigPackage>(state, &key)?
    {
        check_against(&new, &static_collections(&old)?)?;
    }
    Ok(())
}

fn refuse<T>(reason: String) -> Result<T, Objection> {
    Err(Invalid::policy(reason).into())
}

fn static_collections(package: &CollectionConfigPackage) -> Result<Vec<&StaticCollectionConfig>, Invalid> {
    let collection = |config: &'_ selvedge_proto::protos::CollectionConfig| match &config.payload {
        Some(Payload::StaticCollectionConfig(_)) => true,
        None => false,
    };
    if !package.config.iter().all(collection) {
        return Err(Invalid::policy("unknown collection configuration type"));
    }
    let collections = package.config.iter().filter_map(|config| config.payload.as_ref());
    Ok(collections.map(|Payload::StaticCollectionConfig(collection)| collection).collect())
}

fn check_new(collections: &[&StaticCollectionConfig]) -> Result<(), Invalid> {
    let mut names = HashSet::new();
    for collection in collections {
        let name = &collection.name;
        let refuse = |reason: String| Err(Invalid::policy(format!("collection-name: {name} -- {reason}")));
        if !is_collection_name(name) {
            return refuse("not allowed; a valid collection name follows the pattern [A-Za-z0-9_-]+".into());
        }
        if !names.insert(name) {
            return refuse("found duplicate collection configuration".into());
        }
        let (most, required) = (collection.maximum_peer_count, collection.required_peer_count);
        if most < required {
            return refuse(format!(
                "maximum peer count ({most}) cannot be less than the required peer count ({required})"
            ));
        }
        if required < 0 {
            return refuse(format!("requiredPeerCount ({required}) cannot be less than zero"));
        }
        let policy = collection.member_orgs_policy.as_ref().and_then(|policy| policy.payload.as_ref());
        let Some(MemberPolicy::SignaturePolicy(policy)) = policy else {
            return refuse("it has no member org policy".into());
        };
        if let Some(n) = other_than_or(policy.rule.as_ref()) {
            return refuse(format!(
                "error in member org policy: signature policy is not an OR concatenation, NOutOf {n}"
            ));
        }
    }
    Ok(())
}

fn is_collection_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// The number of a gate in the rule that is not "one of these"; none if there is no such gate. The decoder bounds the depth.
fn other_than_or(rule: Option<&SignaturePolicy>) -> Option<i32> {
    match rule.and_then(|rule| rule.r#type.as_ref()) {
        Some(Rule::NOutOf(gate)) if gate.n != 1 => Some(gate.n),
        Some(Rule::NOutOf(gate)) => gate.rules.iter().find_map(|rule| other_than_or(Some(rule))),
        Some(Rule::SignedBy(_)) | None => None,
    }
}

fn check_against(new: &[&StaticCollectionConfig], old: &[&StaticCollectionConfig]) -> Result<(), Invalid> {
    let new: HashMap<_, _> = new.iter().map(|collection| (collection.name.as_str(), collection)).collect();
    for old in old {
        let name = &old.name;
        let Some(new) = new.get(name.as_str()) else {
            return Err(Invalid::policy(format!(
                "the following existing collections are missing in the new collection configuration package: [{name}]"
            )));
        };
        if new.block_to_live != old.block_to_live {
            return Err(Invalid::policy(format!(
                "the BlockToLive in the following existing collections must not be modified: [{name}]"
            )));
        }
    }
    Ok(())
}
