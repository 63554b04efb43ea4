//! From an envelope to its text.

use std::fmt;

use prost::Message;
use selvedge_proto::common::signature_policy::Type;
use selvedge_proto::common::{
    MspPrincipal, MspRole, SerializedIdentity, SignaturePolicy, SignaturePolicyEnvelope, msp_principal, msp_role,
};

use super::error::printable;
use super::{MAX_MSPID, ROLES};

/// The text of `envelope` in the language that [`super::parse`] reads, for a command line or a log.
///
/// [`super::parse`] gives the envelope back, if it came from the language. Another one is shown as well as it can be:
/// what the language has no words for stands in angle brackets, and principals that are numbered in another way look
/// the same.
pub fn display(envelope: &SignaturePolicyEnvelope) -> PolicyText<'_> {
    PolicyText(envelope)
}

/// What [`display`] gives.
#[derive(Clone, Copy, Debug)]
pub struct PolicyText<'a>(&'a SignaturePolicyEnvelope);

impl fmt::Display for PolicyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.rule {
            Some(rule) => self.rule(rule, f),
            None => f.write_str("<no rule>"),
        }
    }
}

impl PolicyText<'_> {
    fn rule(&self, rule: &SignaturePolicy, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gate = match &rule.r#type {
            None => return f.write_str("<no rule>"),
            Some(Type::SignedBy(index)) => {
                let principal = usize::try_from(*index).ok().and_then(|index| self.0.identities.get(index));
                return match principal {
                    Some(principal) => write_principal(principal, f),
                    None => write!(f, "<principal {index} of {}>", self.0.identities.len()),
                };
            }
            Some(Type::NOutOf(gate)) => gate,
        };
        match (gate.n, gate.rules.len()) {
            (1, 1..) => f.write_str("OR(")?,
            (n, length) if length > 0 && usize::try_from(n) == Ok(length) => f.write_str("AND(")?,
            (n, 0) => write!(f, "OutOf({n}")?,
            (n, _) => write!(f, "OutOf({n}, ")?,
        }
        for (i, rule) in gate.rules.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            self.rule(rule, f)?;
        }
        f.write_str(")")
    }
}

fn write_principal(principal: &MspPrincipal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bytes = principal.principal.clone();
    match msp_principal::Classification::try_from(principal.principal_classification) {
        Ok(msp_principal::Classification::Role) => match MspRole::decode(bytes) {
            Ok(role) => {
                let named = msp_role::MspRoleType::try_from(role.role);
                match ROLES.into_iter().find(|(_, known)| named == Ok(*known)) {
                    Some((name, _)) => write!(f, "'{}.{name}'", printable(&role.msp_identifier, MAX_MSPID)),
                    None => write!(f, "<role {} of {}>", role.role, printable(&role.msp_identifier, MAX_MSPID)),
                }
            }
            Err(_) => f.write_str("<unreadable role>"),
        },
        Ok(msp_principal::Classification::Identity) => match SerializedIdentity::decode(bytes) {
            Ok(identity) => write!(f, "<one identity of {}>", printable(&identity.mspid, MAX_MSPID)),
            Err(_) => f.write_str("<unreadable identity>"),
        },
        _ => write!(f, "<principal of class {}>", principal.principal_classification),
    }
}
