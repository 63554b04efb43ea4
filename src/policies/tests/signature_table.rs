//! Signature policies, signers and verdicts. Each row is a fact about Fabric 1.4's `cauthdsl`.

use prost::Message;
use selvedge_proto::common::signature_policy::{NOutOf, Type};
use selvedge_proto::common::{MspPrincipal, MspRole, SignaturePolicy as Proto, SignaturePolicyEnvelope, msp_principal};

use super::cast::CAST;
use crate::policies::{PolicyDefinitionError, SignaturePolicy, display, parse};

const YES: bool = true;
const NO: bool = false;

fn check(policy: SignaturePolicyEnvelope, signers: &str, satisfied: bool, why: &str) {
    let shown = display(&policy).to_string();
    let policy = SignaturePolicy::new(policy, CAST.msps.clone()).expect("a policy");
    let verdict = policy.evaluate(&CAST.signers(signers));
    assert_eq!(verdict.is_ok(), satisfied, "{shown} by '{signers}': {why}");
}

#[test]
fn policies_of_the_language_have_fabrics_verdicts() {
    for (policy, signers, satisfied, why) in [
        // Who somebody is.
        ("OR('A.member')", "A.user", YES, "a member"),
        ("OR('A.member')", "A.admin", YES, "an administrator is a member"),
        ("OR('A.member')", "", NO, "nobody signed"),
        ("OR('A.member')", "B.user", NO, "a member of another MSP"),
        ("OR('A.admin')", "A.admin", YES, "an administrator"),
        ("OR('A.admin')", "A.user", NO, "a member is no administrator"),
        ("OR('A.admin')", "B.admin", NO, "an administrator of another MSP"),
        ("OR('A.peer')", "A.peer", NO, "without node OUs nobody is known to be a peer"),
        ("OR('A.client')", "A.user", NO, "without node OUs nobody is known to be a client"),
        ("OR('A.orderer')", "A.orderer", NO, "without node OUs nobody is known to be an orderer"),
        ("OR('Nowhere.member')", "A.user", NO, "the policy names an MSP that is not in the channel"),
        ("OR('E.member')", "E.user", NO, "an MSP that is not in the channel, though its members exist"),
        ("OR('A.member')", "Z.user", NO, "an authority of the same name with another key"),
        ("OR('A.member')", "garbage", NO, "no identity"),
        ("OR('A.member')", "garbage A.user", YES, "what is no identity does not disturb"),
        ("OR('AlphaMSP.member')", "recorded:lscc-nothing", YES, "a recorded user"),
        ("OR('AlphaMSP.admin')", "recorded:lscc-deploy-exists", YES, "the recorded administrator"),
        ("OR('AlphaMSP.member')", "recorded:creator-revoked", NO, "on the revocation list"),
        (
            "AND('AlphaMSP.member', 'AlphaMSP.member')",
            "Alpha.user Alpha.revoked",
            NO,
            "one of two on the revocation list",
        ),
        ("OR('AlphaMSP.member')", "recorded:creator-rogue-ca", NO, "a recorded rogue authority"),
        ("OR('AlphaMSP.member')", "recorded:creator-expired", YES, "policies do not look at expiry"),
        ("OR('AlphaMSP.member')", "recorded:signature-high-S", NO, "a signature with a high S"),
        ("OR('AlphaMSP.member')", "recorded:signature-other-key", NO, "somebody else's signature"),
        ("OR('AlphaMSP.member')", "recorded:signature-missing", NO, "no signature"),
        // With node OUs everybody is one of admin, client, peer and orderer, and a member.
        ("OR('BetaMSP.peer')", "Beta.peer", YES, "a peer"),
        ("OR('BetaMSP.peer')", "Beta.user", NO, "a client is no peer"),
        ("OR('BetaMSP.peer')", "Beta.admin", NO, "an administrator is no peer"),
        ("OR('BetaMSP.client')", "Beta.user", YES, "a client"),
        ("OR('BetaMSP.client')", "Beta.admin", NO, "an administrator is no client"),
        ("OR('BetaMSP.admin')", "Beta.admin", YES, "an administrator by its unit"),
        ("OR('BetaMSP.admin')", "Beta.user", NO, "a client is no administrator"),
        ("OR('BetaMSP.orderer')", "Beta.peer", NO, "a peer is no orderer"),
        ("AND('BetaMSP.member', 'BetaMSP.member', 'BetaMSP.member')", "Beta.user Beta.peer Beta.admin", YES, "members"),
        (
            "AND('BetaMSP.client', 'BetaMSP.peer', 'BetaMSP.admin')",
            "Beta.admin Beta.peer Beta.user",
            YES,
            "one of each",
        ),
        ("AND('AlphaMSP.member', 'BetaMSP.peer')", "Alpha.user Beta.peer", YES, "the recorded chaincode kvand"),
        ("AND('AlphaMSP.member', 'BetaMSP.peer')", "Alpha.user Beta.user", NO, "kvand without a peer of Beta"),
        // What somebody signed, and how often.
        ("OR('A.member')", "A.user!", NO, "not a signature"),
        ("OR('A.member')", "A.user?", NO, "a signature over other data"),
        ("OR('A.member')", "A.user! A.user", NO, "the first of one identity counts, and it is bad"),
        ("OR('A.member')", "A.user? A.user~", NO, "also if the second has other bytes"),
        ("OR('A.member')", "A.user A.user!", YES, "the first of one identity counts, and it is good"),
        ("OR('A.member')", "A.user! A.admin", YES, "somebody else signed as well"),
        ("AND('A.member', 'A.member')", "A.user A.user", NO, "one signature twice"),
        ("AND('A.member', 'A.member')", "A.user A.user~", NO, "one identity in two serialisations"),
        ("AND('A.member', 'A.member')", "A.user^ A.user~ A.user", NO, "and in three"),
        ("AND('A.member', 'A.member')", "A.user A.peer", YES, "two members"),
        ("AND('A.member', 'A.member')", "A.user! A.user A.peer", NO, "the good one came second"),
        ("OR('A.member', 'A.admin')", "A.admin", YES, "one identity fits two leaves and needs one"),
        ("AND('A.member', 'A.admin')", "A.admin", NO, "one identity fits two leaves and fills one"),
        // Counting.
        ("AND('A.member', 'B.member')", "A.user B.user", YES, "both"),
        ("AND('A.member', 'B.member')", "B.user A.user", YES, "in any order"),
        ("AND('A.member', 'B.member')", "A.user A.admin", NO, "two of one"),
        ("OutOf(2, 'A.member', 'B.member', 'C.member')", "C.user A.user", YES, "two of three"),
        ("OutOf(2, 'A.member', 'B.member', 'C.member')", "C.user", NO, "one of three"),
        ("OutOf(3, 'A.member', 'A.member', 'A.member', 'A.member')", "A.user A.peer A.admin", YES, "three of four"),
        ("OutOf(3, 'A.member', 'A.member', 'A.member', 'A.member')", "A.user A.peer A.user", NO, "two in fact"),
        ("OutOf(0, 'A.member')", "", YES, "none is enough"),
        ("OutOf(2, 'A.member')", "A.user A.peer", NO, "more than there are"),
        ("AND(OutOf(0, 'B.member'), 'A.member')", "A.user", YES, "a gate that asks for nobody"),
        (
            "OutOf(2, OutOf(1, 'A.member', 'B.member'), OutOf(1, 'B.member', 'C.member'))",
            "A.user C.user",
            YES,
            "nested",
        ),
        ("OutOf(2, OutOf(1, 'A.member', 'B.member'), OutOf(1, 'B.member', 'C.member'))", "B.user", NO, "one for two"),
        ("OutOf(2, OutOf(1, 'A.member', 'B.member'), OutOf(1, 'B.member', 'C.member'))", "B.user B.peer", YES, "two"),
        (
            "OR(AND('A.member', 'B.member'), AND('A.member', 'C.member'))",
            "A.user C.user",
            YES,
            "a failed gate gives back",
        ),
    ] {
        check(parse(policy).expect(policy), signers, satisfied, why);
    }
}

/// Another choice of who fills which leaf would satisfy each of those that are refused. Fabric makes one choice, and so
/// do all its peers.
#[test]
fn a_choice_is_never_taken_back() {
    for (policy, signers, satisfied, why) in [
        ("AND('A.member', 'A.admin')", "A.admin A.user", NO, "the first leaf takes the administrator"),
        ("AND('A.member', 'A.admin')", "A.user A.admin", YES, "the first leaf takes the user"),
        ("AND('A.admin', 'A.member')", "A.admin A.user", YES, "the narrow leaf comes first"),
        ("AND('A.admin', 'A.member')", "A.user A.admin", YES, "whatever the order of signatures"),
        ("OutOf(2, 'A.member', 'A.admin', 'B.member')", "A.admin A.user", NO, "the same among more leaves"),
        ("OutOf(2, 'A.member', 'A.admin', 'B.member')", "A.admin B.user", YES, "a third fills in"),
        ("AND(OR('A.member', 'B.member'), 'B.member')", "A.user B.user", NO, "a gate takes more than it needs"),
        ("AND('B.member', OR('A.member', 'B.member'))", "A.user B.user", YES, "unless it comes last"),
        ("AND(OR('A.member', 'B.member'), 'B.member')", "A.user B.user B.peer", YES, "or there are enough"),
        ("AND(OutOf(0, 'A.member'), 'A.member')", "A.user", NO, "even a gate that asks for nobody takes"),
        ("OutOf(2, OutOf(1, 'A.member', 'B.member'), OutOf(1, 'B.member', 'C.member'))", "A.user B.user", NO, "both"),
        ("OutOf(2, AND('A.member', 'B.member', 'C.member'), 'A.member', 'C.member')", "A.user C.user", YES, "two"),
        (
            "OutOf(2, AND('A.member', 'B.member', 'C.member'), 'A.member', 'C.member')",
            "A.user C.user B.user",
            NO,
            "one signature more spoils it",
        ),
    ] {
        check(parse(policy).expect(policy), signers, satisfied, why);
    }
}

fn signed_by(index: i32) -> Proto {
    Proto { r#type: Some(Type::SignedBy(index)) }
}

fn out_of(n: i32, rules: Vec<Proto>) -> Proto {
    Proto { r#type: Some(Type::NOutOf(NOutOf { n, rules })) }
}

fn role(role: i32) -> MspPrincipal {
    principal(msp_principal::Classification::Role, MspRole { msp_identifier: "A".into(), role }.encode_to_vec())
}

fn principal(class: msp_principal::Classification, bytes: Vec<u8>) -> MspPrincipal {
    MspPrincipal { principal_classification: class as i32, principal: bytes.into() }
}

fn envelope(rule: Proto, identities: Vec<MspPrincipal>) -> SignaturePolicyEnvelope {
    SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities }
}

#[test]
fn envelopes_that_no_text_makes_have_fabrics_verdicts() {
    let member = || vec![role(0)];
    let identity = || vec![principal(msp_principal::Classification::Identity, CAST.identity("A.user").to_vec())];
    let unread = || vec![principal(msp_principal::Classification::Role, vec![0xff])];
    for (policy, signers, satisfied, why) in [
        (envelope(out_of(0, vec![]), vec![]), "", YES, "Fabric's AcceptAllPolicy"),
        (envelope(out_of(1, vec![]), vec![]), "A.user", NO, "Fabric's RejectAllPolicy"),
        (envelope(out_of(-1, vec![signed_by(0)]), member()), "", YES, "a negative number asks for nobody"),
        (envelope(out_of(5, vec![signed_by(0), signed_by(0)]), member()), "A.user A.peer A.admin", NO, "five of two"),
        (envelope(out_of(i32::MAX, vec![signed_by(0)]), member()), "A.user", NO, "a very large number"),
        (envelope(out_of(i32::MIN, vec![signed_by(0)]), member()), "", YES, "a very small number"),
        (envelope(signed_by(0), member()), "A.user", YES, "a leaf is a whole rule"),
        (envelope(out_of(2, vec![signed_by(0), signed_by(0)]), member()), "A.user", NO, "two leaves of one principal"),
        (
            envelope(out_of(2, vec![signed_by(0), signed_by(0)]), member()),
            "A.user A.peer",
            YES,
            "and two who fill them",
        ),
        (envelope(signed_by(0), vec![role(9)]), "A.admin", NO, "a role that nobody knows"),
        (envelope(signed_by(0), vec![role(-1)]), "A.admin", NO, "a role that nobody can have"),
        (envelope(signed_by(0), unread()), "A.admin", NO, "a principal that cannot be read"),
        (
            envelope(out_of(1, vec![signed_by(0), signed_by(1)]), [unread(), member()].concat()),
            "A.user",
            YES,
            "beside one",
        ),
        (envelope(signed_by(0), identity()), "A.user", YES, "one certain identity"),
        (envelope(signed_by(0), identity()), "A.user^", YES, "whatever its bytes"),
        (envelope(signed_by(0), identity()), "A.admin", NO, "and nobody else"),
        (
            envelope(signed_by(0), vec![principal(msp_principal::Classification::Identity, b"\xff".to_vec())]),
            "A.user",
            NO,
            "an identity that is none",
        ),
    ] {
        check(policy, signers, satisfied, why);
    }
}

#[test]
fn an_envelope_that_makes_no_sense_is_no_policy() {
    let index = |requested, length| PolicyDefinitionError::Index { requested, length };
    for (policy, error) in [
        (envelope(signed_by(0), vec![]), index(0, 0)),
        (envelope(signed_by(1), vec![role(0)]), index(1, 1)),
        (envelope(signed_by(-1), vec![role(0)]), index(-1, 1)),
        (envelope(out_of(1, vec![signed_by(0), signed_by(7)]), vec![role(0)]), index(7, 1)),
        (envelope(out_of(0, vec![out_of(0, vec![signed_by(i32::MIN)])]), vec![role(0)]), index(i32::MIN, 1)),
        (SignaturePolicyEnvelope::default(), PolicyDefinitionError::Empty),
        (envelope(out_of(0, vec![Proto::default()]), vec![]), PolicyDefinitionError::Empty),
        (
            SignaturePolicyEnvelope { version: 1, ..envelope(signed_by(0), vec![role(0)]) },
            PolicyDefinitionError::Version(1),
        ),
    ] {
        let refused = SignaturePolicy::new(policy, CAST.msps.clone()).expect_err("no policy");
        assert_eq!(refused, error);
    }
}
