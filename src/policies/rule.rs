//! The algorithm of signature policies (Fabric: `cauthdsl.compile`).
//!
//! Greedy and without backtracking: each leaf takes the first signer nobody has taken and that is its principal, and
//! `n` out of `m` tries its parts in order. A part that fails gives back what it took. Other peers decide so too, so a
//! cleverer search that finds more satisfied policies would be wrong.

use selvedge_proto::common::SignaturePolicy as Proto;
use selvedge_proto::common::signature_policy::Type;

use super::PolicyDefinitionError;

/// Nesting of a rule at most. The protobuf decoder stops at 100 messages, two for each level.
const MAX_DEPTH: usize = 64;
/// Leaves and gates of a rule at most.
pub(super) const MAX_PARTS: usize = 4096;

/// A checked rule over numbered principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Somebody who is principal number so-and-so.
    SignedBy(usize),
    /// At least `n` of the rules.
    NOutOf { n: usize, rules: Vec<Rule> },
}

impl Rule {
    /// Reads a rule over `principals` principals.
    pub(super) fn compile(rule: Option<&Proto>, principals: usize) -> Result<Self, PolicyDefinitionError> {
        Compiler { principals, parts: 0 }.compile(rule, 0)
    }

    /// Whether `signers` signers satisfy the rule, where `is(signer, principal)` says who is what.
    pub(super) fn evaluate(&self, signers: usize, is: &dyn Fn(usize, usize) -> bool) -> bool {
        self.take(&mut vec![false; signers], is)
    }

    fn take(&self, used: &mut Vec<bool>, is: &dyn Fn(usize, usize) -> bool) -> bool {
        match self {
            Self::SignedBy(principal) => {
                let found = used.iter().enumerate().position(|(signer, used)| !used && is(signer, *principal));
                if let Some(signer) = found {
                    used[signer] = true;
                }
                found.is_some()
            }
            Self::NOutOf { n, rules } => {
                let mut satisfied = 0;
                for rule in rules {
                    let mut taken = used.clone();
                    if rule.take(&mut taken, is) {
                        satisfied += 1;
                        *used = taken;
                    }
                }
                satisfied >= *n
            }
        }
    }
}

struct Compiler {
    principals: usize,
    parts: usize,
}

impl Compiler {
    fn compile(&mut self, rule: Option<&Proto>, depth: usize) -> Result<Rule, PolicyDefinitionError> {
        self.parts += 1;
        let too_large = |what: &str, limit| Err(PolicyDefinitionError::TooLarge { what: what.into(), limit });
        if depth > MAX_DEPTH {
            return too_large("rules nested too deeply", MAX_DEPTH);
        }
        if self.parts > MAX_PARTS {
            return too_large("too many parts", MAX_PARTS);
        }
        match rule.and_then(|rule| rule.r#type.as_ref()).ok_or(PolicyDefinitionError::Empty)? {
            Type::SignedBy(index) => match usize::try_from(*index) {
                Ok(principal) if principal < self.principals => Ok(Rule::SignedBy(principal)),
                _ => Err(PolicyDefinitionError::Index { requested: *index, length: self.principals }),
            },
            Type::NOutOf(gate) => Ok(Rule::NOutOf {
                // As in Go, a negative number asks for nobody.
                n: usize::try_from(gate.n).unwrap_or(0),
                rules: gate.rules.iter().map(|rule| self.compile(Some(rule), depth + 1)).collect::<Result<_, _>>()?,
            }),
        }
    }
}
