//! Policies that anybody satisfies who has a role in one of some MSPs (Fabric: `cauthdsl.SignedByAnyMember`,
//! `SignedByAnyAdmin`). Peers have to agree on their bytes: lscc writes them to the ledger.

use std::collections::BTreeSet;

use prost::Message;
use selvedge_proto::common::msp_role::MspRoleType;
use selvedge_proto::common::signature_policy::{NOutOf, Type};
use selvedge_proto::common::{MspPrincipal, MspRole, SignaturePolicy, SignaturePolicyEnvelope, msp_principal};

/// One signature of somebody who has the role in one of the MSPs, in the order of their names. Nobody's, where there are
/// none.
pub fn signed_by_any<'a>(role: MspRoleType, mspids: impl IntoIterator<Item = &'a str>) -> SignaturePolicyEnvelope {
    let principal = |mspid: &str| MspPrincipal {
        principal_classification: msp_principal::Classification::Role as i32,
        principal: MspRole { msp_identifier: mspid.to_owned(), role: role as i32 }.encode_to_vec().into(),
    };
    let sorted: BTreeSet<_> = mspids.into_iter().collect();
    let identities: Vec<_> = sorted.into_iter().map(principal).collect();
    let signed_by = |principal| SignaturePolicy { r#type: Some(Type::SignedBy(principal)) };
    let rules = (0_i32..).take(identities.len()).map(signed_by).collect();
    let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n: 1, rules })) };
    SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_a_fabric_peer_wrote() {
        let policy = |role| hex::encode(signed_by_any(role, ["BetaMSP", "AlphaMSP"]).encode_to_vec());
        let members = "120c120a080112020800120208011a0c120a0a08416c7068614d53501a0b12090a07426574614d5350";
        assert_eq!(policy(MspRoleType::Member), members);
        let admins = "120c120a080112020800120208011a0e120c0a08416c7068614d535010011a0d120b0a07426574614d53501001";
        assert_eq!(policy(MspRoleType::Admin), admins);
    }

    #[test]
    fn the_language_says_it_with_or() {
        let text = crate::policies::parse("OR('A.peer', 'B.peer')").unwrap();
        assert_eq!(signed_by_any(MspRoleType::Peer, ["B", "A", "B"]), text);
    }
}
