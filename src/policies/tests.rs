//! Trees of policies; below, tables of verdicts with real signers, and models.

use std::borrow::Cow;
use std::sync::Arc;

use selvedge_proto::common::{
    ConfigGroup, ConfigPolicy, ImplicitMetaPolicy, Policy as Proto, implicit_meta_policy::Rule,
};

use prost::Message;

use super::{PolicyDefinitionError, PolicyError, PolicyManager, Signers};
use crate::msp::MspManager;
use cast::CAST;

mod cast;
mod implicit_table;
mod model;
mod signature_table;

fn implicit(rule: i32, sub_policy: &str) -> ConfigPolicy {
    let value = ImplicitMetaPolicy { sub_policy: sub_policy.into(), rule }.encode_to_vec().into();
    ConfigPolicy { policy: Some(Proto { r#type: 3, value }), ..ConfigPolicy::default() }
}

fn manager(root: &ConfigGroup) -> Result<PolicyManager, PolicyDefinitionError> {
    PolicyManager::new(root, &Arc::new(MspManager::default()))
}

/// A tree of two groups: in `open` every policy is satisfied (by the absence of groups), in `closed` there is none.
fn tree(rule: i32) -> ConfigGroup {
    let open =
        ConfigGroup { policies: [("Readers".to_owned(), implicit(0, "Readers"))].into(), ..ConfigGroup::default() };
    ConfigGroup {
        groups: [("open".to_owned(), open), ("closed".to_owned(), ConfigGroup::default())].into(),
        policies: [("Readers".to_owned(), implicit(rule, "Readers"))].into(),
        ..ConfigGroup::default()
    }
}

#[test]
fn an_implicit_policy_counts_groups_with_and_without_the_policy() {
    for (rule, required) in
        [(Rule::Any as i32, None), (Rule::All as i32, Some(2)), (Rule::Majority as i32, Some(2)), (9, Some(3))]
    {
        let verdict = manager(&tree(rule)).expect("a tree").evaluate("/Channel/Readers", &[]);
        let expected = match required {
            None => Ok(()),
            Some(required) => Err(PolicyError::Implicit { satisfied: 1, required, sub_policy: "Readers".into() }),
        };
        assert_eq!(verdict, expected, "rule {rule}");
    }
}

#[test]
fn a_path_is_absolute_or_starts_at_the_root_and_an_unknown_one_rejects() {
    let manager = manager(&tree(0)).expect("a tree");
    for path in ["/Channel/Readers", "Readers", "/Channel/open/Readers", "open/Readers"] {
        manager.evaluate(path, &[]).expect(path);
    }
    for (path, shown) in [
        ("/Channel/closed/Readers", "closed/Readers"),
        ("/Channel/Nobody", "Nobody"),
        ("Nobody", "Nobody"),
        ("/Other/Readers", "/Other/Readers"),
        ("/ChannelReaders", "/ChannelReaders"),
        ("", ""),
    ] {
        let refused = manager.evaluate(path, &[]).expect_err(path);
        assert_eq!(refused.to_string(), format!("No such policy: '{shown}'"));
    }
}

#[test]
fn a_tree_with_an_unusable_policy_is_refused_by_name() {
    let with = |policy| {
        let mut root = tree(0);
        root.groups.get_mut("closed").expect("there").policies.insert("P".into(), policy);
        manager(&root).expect_err("refused").to_string()
    };
    let of_kind = |kind, value: &'static [u8]| ConfigPolicy {
        policy: Some(Proto { r#type: kind, value: value.into() }),
        ..ConfigPolicy::default()
    };
    assert_eq!(with(ConfigPolicy::default()), "policy P at path Channel/closed was nil");
    assert_eq!(with(of_kind(7, b"")), "policy P at path Channel/closed has unknown policy type: 7");
    assert_eq!(with(of_kind(1, b"")), "policy P at path Channel/closed did not compile: Empty policy element");
    let versioned = "policy P at path Channel/closed did not compile: This evaluator only understands messages of version 0, \
                     but version was 3";
    assert_eq!(with(of_kind(1, &[8, 3])), versioned);
    assert!(with(of_kind(3, b"\xff")).contains("did not compile: Error unmarshaling to ImplicitMetaPolicy: "));
}

/// A message has room for more signatures than memory has for copies of what they are over.
#[test]
fn what_was_signed_is_made_once_for_each_identity_and_for_nobody_else() {
    let (mut signers, mut made) = (Signers::new(&CAST.msps), 0);
    for name in ["A.user", "A.user", "garbage", "A.admin!", "A.admin", "A.user~"] {
        let [signature] = &CAST.sign(name)[..] else { panic!("one signature of {name}") };
        signers.add(&signature.identity, &signature.signature, || {
            made += 1;
            Cow::Borrowed(&signature.data)
        });
    }
    let identities = signers.into_identities();
    assert_eq!((identities.len(), made), (1, 2), "A.admin's first signature counts, and does not verify");
}
