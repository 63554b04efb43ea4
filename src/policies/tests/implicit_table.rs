//! Implicit meta policies over real signature policies: thresholds, missing sub-policies, nesting, paths.

use prost::Message;
use selvedge_proto::common::implicit_meta_policy::Rule;
use selvedge_proto::common::{ConfigGroup, ConfigPolicy, ImplicitMetaPolicy, Policy as Proto};

use super::cast::CAST;
use crate::policies::{PolicyError, PolicyManager, parse};

fn implicit(rule: Rule, sub_policy: &str) -> ConfigPolicy {
    let value = ImplicitMetaPolicy { sub_policy: sub_policy.into(), rule: rule as i32 }.encode_to_vec().into();
    ConfigPolicy { policy: Some(Proto { r#type: 3, value }), ..ConfigPolicy::default() }
}

fn written(text: &str) -> ConfigPolicy {
    let value = parse(text).expect(text).encode_to_vec().into();
    ConfigPolicy { policy: Some(Proto { r#type: 1, value }), ..ConfigPolicy::default() }
}

fn group(policies: &[(&str, ConfigPolicy)], groups: &[(&str, ConfigGroup)]) -> ConfigGroup {
    ConfigGroup {
        policies: policies.iter().map(|(name, policy)| ((*name).to_owned(), policy.clone())).collect(),
        groups: groups.iter().map(|(name, group)| ((*name).to_owned(), group.clone())).collect(),
        ..ConfigGroup::default()
    }
}

fn organisation(mspid: &str) -> ConfigGroup {
    let members = written(&format!("OR('{mspid}.member')"));
    let admins = written(&format!("OR('{mspid}.admin')"));
    group(&[("Readers", members.clone()), ("Writers", members), ("Admins", admins)], &[])
}

fn evaluate(root: &ConfigGroup, path: &str, signers: &str) -> Result<(), PolicyError> {
    PolicyManager::new(root, &CAST.msps).expect("a tree").evaluate(path, &CAST.signers(signers))
}

#[test]
fn any_all_and_majority_of_no_to_four_groups() {
    let organisations = ["A", "B", "C", "D"].map(|mspid| (mspid, organisation(mspid)));
    let signers = ["A.user", "B.user", "C.user", "D.user"];
    for (rule, required) in
        [(Rule::Any, [0, 1, 1, 1, 1]), (Rule::All, [0, 1, 2, 3, 4]), (Rule::Majority, [0, 1, 2, 2, 3])]
    {
        for (groups, required) in required.into_iter().enumerate() {
            // Of the groups, the last `missing` have no policy of that name: they count and nobody satisfies them.
            for missing in 0..=groups {
                let mut below = organisations[..groups].to_vec();
                for (_, group) in below.iter_mut().rev().take(missing) {
                    group.policies.remove("Readers");
                }
                let root = group(&[("Readers", implicit(rule, "Readers"))], &below);
                for signed in 0..=4 {
                    let satisfied = signed.min(groups - missing);
                    let expected = if satisfied >= required {
                        Ok(())
                    } else {
                        Err(PolicyError::Implicit { satisfied, required, sub_policy: "Readers".into() })
                    };
                    let verdict = evaluate(&root, "/Channel/Readers", &signers[..signed].join(" "));
                    assert_eq!(verdict, expected, "{rule:?} of {groups}, {missing} missing, {signed} signed");
                }
            }
        }
    }
}

#[test]
fn a_refusal_is_worded_as_in_fabric() {
    let root =
        group(&[("Admins", implicit(Rule::Majority, "Admins"))], &[("A", organisation("A")), ("B", organisation("B"))]);
    assert_eq!(
        evaluate(&root, "Admins", "A.admin B.user").expect_err("one of two").to_string(),
        "implicit policy evaluation failed - 1 sub-policies were satisfied, but this policy requires 2 of the 'Admins' \
         sub-policies to be satisfied"
    );
    let refused = evaluate(&root, "/Channel/A/Admins", "A.user").expect_err("no administrator");
    assert_eq!(refused.to_string(), "signature set did not satisfy policy");
}

/// A channel as configtxgen makes it: the root counts Application and Orderer, they count their organisations.
fn channel() -> ConfigGroup {
    let levels = |policies: &[(&str, ConfigPolicy)], groups: &[(&str, ConfigGroup)]| {
        let mut all = vec![
            ("Readers", implicit(Rule::Any, "Readers")),
            ("Writers", implicit(Rule::Any, "Writers")),
            ("Admins", implicit(Rule::Majority, "Admins")),
        ];
        all.extend_from_slice(policies);
        group(&all, groups)
    };
    let application = [("A", organisation("A")), ("B", organisation("B"))];
    let application = levels(
        &[
            ("OnlyA", implicit(Rule::Any, "/Channel/Application/A/Admins")),
            ("Nobody", implicit(Rule::Any, "/Channel/Orderer/C/Admins")),
            ("Pair", written("AND('A.member', 'B.member')")),
        ],
        &application,
    );
    let orderer = levels(&[("BlockValidation", implicit(Rule::Any, "Writers"))], &[("C", organisation("C"))]);
    levels(
        &[("Reach", implicit(Rule::Any, "C/Admins")), ("AllReach", implicit(Rule::All, "C/Admins"))],
        &[("Application", application), ("Orderer", orderer)],
    )
}

#[test]
fn implicit_policies_count_implicit_policies() {
    let channel = channel();
    for (path, signers, satisfied) in [
        ("/Channel/Readers", "A.user", true),
        ("/Channel/Readers", "C.user", true),
        ("/Channel/Readers", "D.user", false),
        ("/Channel/Application/Readers", "B.user", true),
        ("/Channel/Application/Readers", "C.user", false),
        ("/Channel/Orderer/Readers", "C.user", true),
        ("/Channel/Orderer/BlockValidation", "C.user", true),
        ("/Channel/Orderer/BlockValidation", "A.user", false),
        ("/Channel/Admins", "A.admin B.admin C.admin", true),
        ("/Channel/Admins", "A.admin C.admin", false),
        ("/Channel/Admins", "A.admin B.admin", false),
        ("/Channel/Application/Admins", "A.admin B.admin", true),
        ("/Channel/Application/Admins", "A.admin B.user", false),
        ("/Channel/Application/A/Admins", "A.admin", true),
        ("/Channel/Application/A/Admins", "B.admin", false),
        ("Application/Pair", "A.user B.user", true),
        ("Application/Pair", "A.user A.admin", false),
        // A sub-policy's name is a path from each group, or an absolute one within it.
        ("/Channel/Application/OnlyA", "A.admin", true),
        ("/Channel/Application/OnlyA", "B.admin", false),
        ("/Channel/Application/Nobody", "C.admin", false),
        ("/Channel/Reach", "C.admin", true),
        ("/Channel/AllReach", "A.admin B.admin C.admin", false),
        // Each sub-policy sees all signers: one of them may count in several.
        ("/Channel/Writers", "C.user A.user", true),
        ("/Channel/Nothing", "A.admin B.admin C.admin", false),
        ("/Channel/Application/D/Readers", "D.user", false),
        ("/Elsewhere/Readers", "A.admin", false),
    ] {
        let verdict = evaluate(&channel, path, signers);
        assert_eq!(verdict.is_ok(), satisfied, "{path} by '{signers}': {verdict:?}");
    }
}
