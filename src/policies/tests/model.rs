//! Signature policies against two models that share nothing with the evaluator.
//!
//! [`fabric`] is Fabric's algorithm as its documentation states it, on sets of numbers that are passed along. [`choices`]
//! tries every way to hand signers to leaves. The first has to agree always; the second whenever no two leaves compete.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selvedge_proto::common::signature_policy::{NOutOf, Type};
use selvedge_proto::common::{MspPrincipal, MspRole, SignaturePolicy as Proto, SignaturePolicyEnvelope};

use super::cast::CAST;
use crate::policies::SignaturePolicy;
use crate::policies::rule::Rule;
use prost::Message;

/// Signers, each with the principals that it satisfies.
type Matches = Vec<BTreeSet<usize>>;
type Used = BTreeSet<usize>;

#[derive(Clone, Debug)]
enum Tree {
    Leaf(usize),
    Gate(i32, Vec<Tree>),
}

impl Tree {
    fn proto(&self) -> Proto {
        let kind = match self {
            Self::Leaf(principal) => Type::SignedBy(*principal as i32),
            Self::Gate(n, parts) => Type::NOutOf(NOutOf { n: *n, rules: parts.iter().map(Self::proto).collect() }),
        };
        Proto { r#type: Some(kind) }
    }

    fn leaves(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Gate(_, parts) => parts.iter().map(Self::leaves).sum(),
        }
    }

    /// The same rule with a principal of its own for each leaf.
    fn with_own_principals(&self, next: &mut usize) -> Self {
        match self {
            Self::Leaf(_) => {
                *next += 1;
                Self::Leaf(*next - 1)
            }
            Self::Gate(n, parts) => Self::Gate(*n, parts.iter().map(|part| part.with_own_principals(next)).collect()),
        }
    }

    fn evaluate(&self, matches: &Matches) -> bool {
        let rule = Rule::compile(Some(&self.proto()), PRINCIPALS.max(self.leaves())).expect("a rule");
        rule.evaluate(matches.len(), &|signer, principal| matches[signer].contains(&principal))
    }
}

/// "A leaf takes the first signer that is not used and satisfies its principal. A gate tries its rules in order, and is
/// satisfied if at least n of them are. Who was used by a rule that is not satisfied is not used."
fn fabric(tree: &Tree, matches: &Matches, used: &Used) -> Option<Used> {
    match tree {
        Tree::Leaf(principal) => {
            let first =
                (0..matches.len()).find(|signer| !used.contains(signer) && matches[*signer].contains(principal))?;
            Some(used | &BTreeSet::from([first]))
        }
        Tree::Gate(n, parts) => {
            let (count, used) =
                parts.iter().fold((0, used.clone()), |(count, used), part| match fabric(part, matches, &used) {
                    Some(more) => (count + 1, more),
                    None => (count, used),
                });
            (count >= *n).then_some(used)
        }
    }
}

/// Every set of signers that can be used up when the rule is satisfied, whoever fills which leaf and whichever rules of
/// a gate are counted.
fn choices(tree: &Tree, matches: &Matches, used: &Used) -> BTreeSet<Used> {
    match tree {
        Tree::Leaf(principal) => (0..matches.len())
            .filter(|signer| !used.contains(signer) && matches[*signer].contains(principal))
            .map(|signer| used | &BTreeSet::from([signer]))
            .collect(),
        Tree::Gate(n, parts) => {
            let mut states = BTreeSet::from([(0, used.clone())]);
            for part in parts {
                let satisfied: Vec<_> = states
                    .iter()
                    .flat_map(|(count, used)| {
                        choices(part, matches, used).into_iter().map(move |used| (count + 1, used))
                    })
                    .collect();
                states.extend(satisfied);
            }
            states.into_iter().filter(|(count, _)| count >= n).map(|(_, used)| used).collect()
        }
    }
}

const PRINCIPALS: usize = 4;
const SIGNERS: usize = 4;

/// Rules of up to four gates within each other.
fn tree() -> impl Strategy<Value = Tree> {
    let leaf = (0..PRINCIPALS).prop_map(Tree::Leaf);
    leaf.prop_recursive(4, 14, 4, |part| {
        (prop::collection::vec(part, 0..4), 0u32..20).prop_map(|(parts, n)| {
            let length = parts.len() as i32;
            // Mostly something that can be met, now and then one less or more.
            let n = if n == 0 {
                -1
            } else if n == 1 {
                length + 1
            } else {
                n as i32 % (length + 1)
            };
            Tree::Gate(n, parts)
        })
    })
}

fn matches() -> impl Strategy<Value = Matches> {
    prop::collection::vec(prop::collection::btree_set(0..PRINCIPALS, 0..3), 0..=SIGNERS)
}

fn run<T: Strategy>(cases: u32, values: T, test: impl Fn(T::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new_with_rng(
        Config { cases, failure_persistence: None, ..Config::default() },
        prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
    );
    if let Err(error) = runner.run(&values, test) {
        panic!("{error}");
    }
}

#[test]
fn the_verdict_is_fabrics_and_a_satisfied_policy_can_be_satisfied() {
    let (satisfied, trapped) = (Cell::new(0), Cell::new(0));
    run(4000, (tree(), matches()), |(tree, matches)| {
        let verdict = tree.evaluate(&matches);
        prop_assert_eq!(verdict, fabric(&tree, &matches, &Used::new()).is_some());
        let possible = !choices(&tree, &matches, &Used::new()).is_empty();
        prop_assert!(possible || !verdict, "satisfied, and no choice of signers satisfies it");
        satisfied.set(satisfied.get() + u32::from(verdict));
        trapped.set(trapped.get() + u32::from(possible && !verdict));
        Ok(())
    });
    // The rules are worth trying only if both verdicts and the difference between the models occur.
    let (satisfied, trapped) = (satisfied.get(), trapped.get());
    assert!((500..3500).contains(&satisfied), "{satisfied} of 4000 satisfied");
    assert!(trapped > 10, "{trapped} of 4000 refused though a choice would satisfy them");
}

#[test]
fn where_no_two_leaves_compete_the_verdict_is_that_of_the_best_choice_in_any_order() {
    let signers = prop::collection::vec(any::<prop::sample::Index>(), 0..=SIGNERS);
    let satisfied = Cell::new(0);
    run(4000, (tree(), signers, any::<prop::sample::Index>()), |(tree, signers, turn)| {
        let mut leaves = 0;
        let tree = tree.with_own_principals(&mut leaves);
        // One more number than there are leaves: somebody whom the policy does not name.
        let mut matches: Matches =
            signers.iter().map(|principal| BTreeSet::from([principal.index(leaves + 1)])).collect();
        let verdict = tree.evaluate(&matches);
        prop_assert_eq!(verdict, !choices(&tree, &matches, &Used::new()).is_empty());
        if !matches.is_empty() {
            let turn = turn.index(matches.len());
            matches.rotate_left(turn);
            prop_assert_eq!(tree.evaluate(&matches), verdict, "signatures came in another order");
        }
        // Here, and only here, one signature more never spoils a policy.
        matches.push(BTreeSet::from([turn.index(leaves + 1)]));
        prop_assert!(tree.evaluate(&matches) || !verdict, "one signature more spoils it");
        satisfied.set(satisfied.get() + u32::from(verdict));
        Ok(())
    });
    assert!((500..3500).contains(&satisfied.get()), "{} of 4000 satisfied", satisfied.get());
}

#[test]
fn a_signer_who_satisfies_nothing_changes_nothing() {
    run(1000, (tree(), matches(), any::<prop::sample::Index>()), |(tree, mut matches, place)| {
        let verdict = tree.evaluate(&matches);
        matches.insert(place.index(matches.len() + 1), BTreeSet::new());
        prop_assert_eq!(tree.evaluate(&matches), verdict);
        Ok(())
    });
}

/// The same with certificates and signatures: who counts and who is whom is not a model's to say.
#[test]
fn real_signers_get_the_models_verdict() {
    // Principal number, MSP, role; and who satisfies it by name.
    let principals = [("A", 0), ("A", 1), ("B", 0), ("C", 1)];
    let people =
        ["A.user", "A.admin", "A.peer", "B.user", "B.admin", "C.user", "C.admin", "D.user", "E.user", "A.user!"];
    let is = |name: &str, (mspid, role): (&str, i32)| name.starts_with(mspid) && (role == 0 || name.ends_with("admin"));
    let signers = prop::collection::vec(prop::sample::select(people.to_vec()), 0..=5);
    let satisfied = Cell::new(0);
    run(400, (tree(), signers), |(tree, names)| {
        let identities: Vec<_> = principals
            .map(|(mspid, role)| MspPrincipal {
                principal_classification: 0,
                principal: MspRole { msp_identifier: mspid.into(), role }.encode_to_vec().into(),
            })
            .into();
        let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(tree.proto()), identities };
        let policy = SignaturePolicy::new(envelope, CAST.msps.clone()).expect("a policy");
        let verdict = policy.evaluate(&CAST.signers(&names.join(" "))).is_ok();
        // The first signature of an identity counts; E is not in the channel, and a bad signature is none.
        let mut seen = BTreeSet::new();
        let counted = names.iter().filter(|name| seen.insert(name.trim_end_matches('!')));
        let matches: Matches = counted
            .filter(|name| !name.ends_with('!') && !name.starts_with('E'))
            .map(|name| (0..PRINCIPALS).filter(|number| is(name, principals[*number])).collect())
            .collect();
        prop_assert_eq!(verdict, fabric(&tree, &matches, &Used::new()).is_some(), "{:?}", names);
        satisfied.set(satisfied.get() + u32::from(verdict));
        Ok(())
    });
    assert!((40..360).contains(&satisfied.get()), "{} of 400 satisfied", satisfied.get());
}
