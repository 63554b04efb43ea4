//! Texts and envelopes: those that Fabric's tools made, and made-up ones.

use proptest::prelude::*;
use prost::Message;
use selvedge_proto::common::msp_role::MspRoleType;
use selvedge_proto::common::signature_policy::{NOutOf, Type};
use selvedge_proto::common::{
    MspPrincipal, MspRole, SerializedIdentity, SignaturePolicy, SignaturePolicyEnvelope, msp_principal,
};

use super::*;
use crate::msp::MspManager;
use crate::policies::SignaturePolicy as Compiled;

mod golden;

fn principal(mspid: &str, role: MspRoleType) -> MspPrincipal {
    let role = MspRole { msp_identifier: mspid.into(), role: role as i32 };
    MspPrincipal { principal_classification: 0, principal: role.encode_to_vec().into() }
}

fn signed_by(index: i32) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(Type::SignedBy(index)) }
}

fn out_of(n: i32, rules: Vec<SignaturePolicy>) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules })) }
}

fn envelope(rule: SignaturePolicy, identities: Vec<MspPrincipal>) -> SignaturePolicyEnvelope {
    SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities }
}

#[test]
fn principals_are_numbered_gate_by_gate_from_the_inside_and_never_shared() {
    use MspRoleType::{Admin, Member};
    let cases = [
        (
            "OR('A.member', AND('B.member', 'C.member'))",
            out_of(1, vec![signed_by(2), out_of(2, vec![signed_by(0), signed_by(1)])]),
            vec![("B", Member), ("C", Member), ("A", Member)],
        ),
        (
            "OR(AND('A.member', 'B.member'), OR('C.admin', 'D.member'))",
            out_of(1, vec![out_of(2, vec![signed_by(0), signed_by(1)]), out_of(1, vec![signed_by(2), signed_by(3)])]),
            vec![("A", Member), ("B", Member), ("C", Admin), ("D", Member)],
        ),
        (
            "AND('A.member', 'A.member', OR('A.member'))",
            out_of(3, vec![signed_by(1), signed_by(2), out_of(1, vec![signed_by(0)])]),
            vec![("A", Member), ("A", Member), ("A", Member)],
        ),
    ];
    for (text, rule, principals) in cases {
        let principals = principals.into_iter().map(|(mspid, role)| principal(mspid, role)).collect();
        assert_eq!(parse(text).expect(text), envelope(rule, principals), "{text}");
    }
}

#[test]
fn gates_have_three_spellings_and_quotes_two() {
    let one = |n| Ok(envelope(out_of(n, vec![signed_by(0)]), vec![principal("A", MspRoleType::Peer)]));
    for gate in ["AND", "And", "and", "OR", "Or", "or"] {
        assert_eq!(parse(&format!("{gate}('A.peer')")), one(1), "{gate}");
    }
    for gate in ["OUTOF", "OutOf", "outof"] {
        for number in ["0", "00", "'0'", "\"0\""] {
            assert_eq!(parse(&format!("{gate}({number}, \"A.peer\")")), one(0), "{gate} {number}");
        }
    }
    assert_eq!(parse("\n OutOf\t( 2 ,\u{a0}'A.peer\" ) \r\n"), one(2), "white space, and quotes of two kinds");
    for gate in ["oR", "aND", "Outof", "NOutOf", "XOR"] {
        let refused = parse(&format!("{gate}('A.peer')"));
        assert_eq!(refused, Err(PolicyLanguageError::Gate(gate.into())));
    }
}

#[test]
fn a_principal_is_an_id_with_dots_and_dashes_and_one_of_five_roles() {
    use MspRoleType::{Admin, Client, Member, Orderer, Peer};
    for (text, mspid, role) in [
        ("MSP.member", "MSP", Member),
        ("MSP.WITH.DOTS.member", "MSP.WITH.DOTS", Member),
        ("MSP-WITH-DASHES.admin", "MSP-WITH-DASHES", Admin),
        ("member.member", "member", Member),
        ("1.client", "1", Client),
        ("..peer", ".", Peer),
        ("-.orderer", "-", Orderer),
    ] {
        let expected = envelope(out_of(1, vec![signed_by(0)]), vec![principal(mspid, role)]);
        assert_eq!(parse(&format!("OR('{text}')")), Ok(expected), "{text}");
    }
    for text in [
        "",
        "A",
        "A.",
        ".member",
        "member",
        "A.Member",
        "A.members",
        "A.member ",
        " A.member",
        "A_B.member",
        "Ä.member",
        "A/B.member",
        "A.member.",
        "A\\.member",
        "A.user",
        "A.member\0",
    ] {
        let refused = parse(&format!("OR('{text}')"));
        assert!(matches!(refused, Err(PolicyLanguageError::Token { .. })), "{text}: {refused:?}");
    }
}

#[test]
fn a_number_is_at_most_one_more_than_the_rules() {
    for (text, fits) in [
        ("-1", false),
        ("0", true),
        ("1", true),
        ("2", true),
        ("3", true),
        ("4", false),
        ("99999999999999999999", false),
        ("-99999999999999999999", false),
    ] {
        match parse(&format!("OutOf({text}, 'A.member', 'B.member')")) {
            Ok(_) => assert!(fits, "{text}"),
            Err(error) => {
                assert_eq!(error, PolicyLanguageError::Threshold { t: text.into(), n: 2 });
                assert!(error.to_string().starts_with(&format!("Invalid t-out-of-n predicate, t {text}, n 2")));
                assert!(!fits, "{text}");
            }
        }
    }
}

/// Fabric's sentence where it has one that helps, and then what to do.
#[test]
fn a_text_that_is_no_policy_is_refused_with_what_to_write() {
    for (text, begins, helps) in [
        ("OR('A.member', Bmember)", "unrecognized token 'Bmember' in policy string", "in quotes"),
        ("OR('A.member', 'Bmember')", "unrecognized token 'Bmember' in policy string", "a '.' and a role"),
        ("Bmember", "unrecognized token 'Bmember' in policy string", "in quotes"),
        ("OR(A.member, B.member)", "unrecognized token 'A.member' in policy string", "a shell takes away"),
        ("OR('A.membre')", "unrecognized token 'A.membre' in policy string", "admin, client, member, orderer or peer"),
        ("OR('A_B.member')", "unrecognized token 'A_B.member' in policy string", "letters, digits"),
        ("", "Unexpected end of expression", "a gate, as in OR"),
        (" \n", "Unexpected end of expression", "a gate, as in OR"),
        ("OR", "Unexpected end of expression", "'('"),
        ("OR(", "Unexpected end of expression", "a principal in quotes"),
        ("OutOf(", "Unexpected end of expression", "a number"),
        ("OR('A.member'", "Unbalanced parenthesis", "a ')' is missing"),
        ("OR('A.member'))", "Unbalanced parenthesis", "after the last gate"),
        (")", "Unbalanced parenthesis", "closes nothing"),
        ("OR('A.member)", "Unclosed string literal", "position 3"),
        ("1", "invalid policy string '1'", "a policy is a gate"),
        ("'1'", "invalid policy string ''1''", "a policy is a gate"),
        ("'A.member'", "invalid policy string ''A.member''", "a policy is a gate"),
        ("OutOf()", "Expected at least two arguments to NOutOf. Given 0", "OutOf a number"),
        ("OutOf(1)", "Expected at least two arguments to NOutOf. Given 1", "OutOf a number"),
        ("AND()", "Expected at least two arguments to NOutOf. Given 1", "a gate needs a principal"),
        ("OutOf(true, 'A.member')", "'true' is not how many", "a whole number"),
        ("OutOf(1.5, 'A.member')", "'1.5' is not how many", "a whole number"),
        ("OutOf('A.member', 'B.member')", "'A.member' is not how many", "a whole number"),
        ("OutOf(OR('A.member'), 'B.member')", "'OR' is not how many", "a whole number"),
        ("OutOf((1), 'B.member')", "'(' is not how many", "a whole number"),
        ("OutOf(1, 2)", "unrecognized token '2' in policy string", "only OutOf has a number"),
        ("OR('A.member', '1')", "unrecognized token '1' in policy string", "a role"),
        ("OR('A.member' 'B.member')", "unexpected 'B.member' at position 14", "',' or ')'"),
        ("OR('A.member',)", "unexpected ')' at position 14", "a principal in quotes"),
        ("OR(,'A.member')", "unexpected ',' at position 3", "a principal in quotes"),
        ("OR(('A.member'))", "unexpected '(' at position 3", "a principal in quotes"),
        ("OR('A.member') OR('B.member')", "unexpected 'OR' at position 15", "one gate holds the whole policy"),
        ("OR 'A.member'", "unexpected 'A.member' at position 3", "'('"),
        ("OR('A' + '.member')", "unrecognized token 'A' in policy string", "a role"),
        ("OR('A.member', 'outof(1, \\'B.member\\')')", "unrecognized token 'outof(1, \\' in policy", "a role"),
        ("\u{1b}[2J('A.member')", "Undefined function \u{fffd}[2J", "AND, OR and OutOf"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.starts_with(begins) && error.contains(helps), "{text}: {error}");
    }
}

#[test]
fn size_is_bounded_and_the_largest_policy_is_one_that_can_be_used() {
    let nested = |depth: usize| format!("{}'A.member'{}", "OR(".repeat(depth), ")".repeat(depth));
    let deepest = parse(&nested(MAX_DEPTH)).expect("as deep as it may be");
    let decoded = SignaturePolicyEnvelope::decode(deepest.encode_to_vec().as_slice()).expect("it can be decoded");
    assert_eq!(decoded, deepest);
    Compiled::new(decoded, MspManager::default().into()).expect("and used");
    assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(PolicyLanguageError::TooDeep));
    assert_eq!(parse(&nested(60_000)), Err(PolicyLanguageError::TooDeep), "and not by the stack");

    let wide = |leaves: usize| format!("OR({})", vec!["'Org1MSP.member'"; leaves].join(","));
    let widest = parse(&wide(4095)).expect("as wide as it may be");
    Compiled::new(widest, MspManager::default().into()).expect("and used");
    assert_eq!(parse(&wide(4096)), Err(PolicyLanguageError::TooManyParts));
    assert_eq!(parse(&" ".repeat(MAX_LENGTH + 1)), Err(PolicyLanguageError::TooLong(MAX_LENGTH + 1)));
    let of_length = |length: usize| parse(&format!("OR('{}.member')", "A".repeat(length)));
    assert_eq!(display(&of_length(MAX_MSPID).expect("a long id")).to_string().len(), MAX_MSPID + 13);
    let refused = of_length(100_000).expect_err("a longer one");
    assert!(refused.to_string().len() < 300, "{refused}");
}

#[test]
fn an_envelope_that_the_language_cannot_say_is_shown_all_the_same() {
    let class = |class: msp_principal::Classification, bytes: Vec<u8>| MspPrincipal {
        principal_classification: class as i32,
        principal: bytes.into(),
    };
    let identity = SerializedIdentity { mspid: "A\nB".into(), ..SerializedIdentity::default() }.encode_to_vec();
    let unknown_role = MspRole { msp_identifier: "A".into(), role: 9 }.encode_to_vec();
    let principals = vec![
        principal("A", MspRoleType::Admin),
        class(msp_principal::Classification::Identity, identity),
        class(msp_principal::Classification::OrganizationUnit, Vec::new()),
        class(msp_principal::Classification::Role, unknown_role),
        class(msp_principal::Classification::Role, vec![0xff]),
    ];
    let rules = vec![
        signed_by(0),
        signed_by(0),
        signed_by(1),
        signed_by(2),
        signed_by(3),
        signed_by(4),
        signed_by(7),
        signed_by(-1),
        out_of(0, vec![]),
        out_of(1, vec![]),
        out_of(-2, vec![signed_by(0)]),
        SignaturePolicy::default(),
    ];
    let shown = display(&envelope(out_of(3, rules), principals)).to_string();
    assert_eq!(
        shown,
        "OutOf(3, 'A.admin', 'A.admin', <one identity of A\u{fffd}B>, <principal of class 1>, <role 9 of A>, \
         <unreadable role>, <principal 7 of 5>, <principal -1 of 5>, OutOf(0), OutOf(1), OutOf(-2, 'A.admin'), <no rule>)"
    );
    assert_eq!(display(&SignaturePolicyEnvelope::default()).to_string(), "<no rule>");
}

/// A policy as somebody might write it.
#[derive(Clone, Debug)]
enum Written {
    Principal { mspid: String, role: usize, quote: char },
    Gate { n: usize, spelling: usize, space: &'static str, parts: Vec<Written> },
}

impl Written {
    fn text(&self) -> String {
        match self {
            Self::Principal { mspid, role, quote } => format!("{quote}{mspid}.{}{quote}", ROLES[*role].0),
            Self::Gate { n, spelling, space, parts } => {
                let number = format!("{n}{space},{space}");
                let (names, number) = match *n {
                    1 if *spelling % 2 == 0 => (["OR", "Or", "or"], String::new()),
                    n if n == parts.len() && *spelling % 2 == 0 => (["AND", "And", "and"], String::new()),
                    _ => (["OUTOF", "OutOf", "outof"], number),
                };
                let parts: Vec<_> = parts.iter().map(Self::text).collect();
                let name = names[*spelling % 3];
                format!("{name}{space}({space}{number}{}{space})", parts.join(&format!("{space},{space}")))
            }
        }
    }

    /// What Fabric makes of it: first the gates inside, then this gate's own principals.
    fn rule(&self, principals: &mut Vec<MspPrincipal>) -> SignaturePolicy {
        let Self::Gate { n, parts, .. } = self else { panic!("only a gate is a rule by itself") };
        let mut rules: Vec<Option<SignaturePolicy>> =
            parts.iter().map(|part| matches!(part, Self::Gate { .. }).then(|| part.rule(principals))).collect();
        for (rule, part) in rules.iter_mut().zip(parts) {
            if let Self::Principal { mspid, role, .. } = part {
                *rule = Some(signed_by(principals.len() as i32));
                principals.push(principal(mspid, ROLES[*role].1));
            }
        }
        out_of(*n as i32, rules.into_iter().flatten().collect())
    }
}

fn gate(part: impl Strategy<Value = Written> + Clone) -> impl Strategy<Value = Written> + Clone {
    let space = prop::sample::select(vec!["", " ", "\n\t"]);
    (prop::collection::vec(part, 1..5), 0usize..6, space, any::<prop::sample::Index>())
        .prop_map(|(parts, spelling, space, n)| Written::Gate { n: n.index(parts.len() + 2), spelling, space, parts })
}

fn written() -> impl Strategy<Value = Written> {
    let leaf = ("[A-Za-z0-9.-]{1,12}", 0usize..5, prop::sample::select(vec!['\'', '"']))
        .prop_map(|(mspid, role, quote)| Written::Principal { mspid, role, quote });
    gate(leaf.prop_recursive(4, 40, 5, gate))
}

proptest! {
    #[test]
    fn every_policy_of_the_language_is_read_and_shown(policy in written()) {
        let mut principals = Vec::new();
        let rule = policy.rule(&mut principals);
        let expected = envelope(rule, principals);
        let parsed = parse(&policy.text());
        prop_assert_eq!(parsed.as_ref(), Ok(&expected), "{}", policy.text());
        prop_assert_eq!(parse(&display(&expected).to_string()), Ok(expected));
    }

    #[test]
    fn random_text_is_refused_or_read_but_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    /// Words of the language in any order come further than random text.
    #[test]
    fn words_in_any_order_are_refused_or_read_but_never_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "OR", "and", "OutOf", "(", ")", ",", "'", "\"", "A.member", "'A.member'", "'Ä.peer'", "2", "-1", " ", "\\",
                "é", "[", "true", ".", "\u{2028}",
            ]),
            0..24,
        )
    ) {
        let text = words.concat();
        if let Ok(read) = parse(&text) {
            prop_assert_eq!(parse(&display(&read).to_string()), Ok(read));
        }
    }
}
