//! Definitions and endorsement policies: who has to endorse what, at each level of capabilities.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeData, TxValidationCode as Code};

use super::fixture::{
    ALPHA, ALPHA_USER, BETA, BETA_USER, Channel, Memory, ORDERER, REVOKED, Tx, definition, metadata, private_set, set,
    write,
};
use crate::validation::ValidationError;
use Code::{EndorsementPolicyFailure, ExpiredChaincode, IllegalWriteset, InvalidOtherReason, Valid};

/// The newest capability of peers, from none on.
const LEVELS: [&[&str]; 5] = [&[], &["V1_1"], &["V1_2"], &["V1_3"], &["V1_4_2"]];

#[test]
fn a_policy_is_satisfied_by_those_it_names_and_nobody_counts_twice() {
    let state = Memory::new();
    let cases: [(&[_], Code); 9] = [
        (&[ALPHA, BETA], Valid),
        (&[BETA, ALPHA], Valid),
        (&[ALPHA, BETA, ALPHA], Valid),
        (&[ORDERER, ALPHA, BETA], Valid),
        (&[ALPHA], EndorsementPolicyFailure),
        (&[ALPHA, ALPHA], EndorsementPolicyFailure),
        (&[ALPHA, BETA_USER], EndorsementPolicyFailure),
        (&[REVOKED, BETA], EndorsementPolicyFailure),
        (&[], EndorsementPolicyFailure),
    ];
    for level in LEVELS {
        let channel = Channel::with(level);
        for (endorsers, code) in cases {
            let transaction = Tx::of("kvand").endorsed_by(endorsers).writing("kvand", "k").make();
            assert_eq!(channel.judge(&state, &[transaction]), [code], "{level:?}, {endorsers:?}");
        }
    }
}

#[test]
fn a_signature_that_does_not_fit_counts_for_nothing_and_takes_its_owners_place() {
    let (channel, state) = (Channel::newest(), Memory::new());
    let spoilt = Tx::of("kv").endorsed(|endorsed| endorsed.endorsements[0].signature = Bytes::from_static(b"x"));
    assert_eq!(channel.judge(&state, &[spoilt.make()]), [EndorsementPolicyFailure]);
    let spoilt_first = Tx::of("kv").endorsed_by(&[ALPHA, ALPHA]).endorsed(|endorsed| {
        endorsed.endorsements[0].signature = Bytes::from_static(b"x");
    });
    assert_eq!(
        channel.judge(&state, &[spoilt_first.make()]),
        [EndorsementPolicyFailure],
        "the first occurrence counts"
    );
    let of_other_results = Tx::of("kv").writing("kv", "k").endorsed(|endorsed| {
        let changed = [&endorsed.proposal_response_payload[..], &[0x1a, 0]].concat();
        endorsed.proposal_response_payload = changed.into();
    });
    assert_eq!(channel.judge(&state, &[of_other_results.make()]), [EndorsementPolicyFailure]);
}

/// Before V1_3 an endorsement by something that is no identity spoils the transaction, from then on it counts for nothing.
#[test]
fn an_endorser_that_does_not_decode_is_judged_by_the_channels_level() {
    let state = Memory::new();
    let transaction = Tx::of("kv").writing("kv", "k").endorsed(|endorsed| {
        let mut other = endorsed.endorsements[0].clone();
        other.endorser = Bytes::from_static(b"\x0a");
        endorsed.endorsements.push(other);
    });
    for level in LEVELS {
        let code = if level == ["V1_3"] || level == ["V1_4_2"] { Valid } else { EndorsementPolicyFailure };
        assert_eq!(Channel::with(level).judge(&state, &[transaction.make()]), [code], "{level:?}");
    }
}

#[test]
fn every_written_namespace_has_its_say() {
    let (channel, state) = (Channel::newest(), Memory::new());
    let both = || Tx::of("kv").writing("kv", "k").writing("kvand", "k");
    let read_only = Tx::of("kv").set(set("kvand", &[], &[]));
    let cases = [
        (both(), EndorsementPolicyFailure),
        (both().endorsed_by(&[ALPHA, BETA]), Valid),
        (read_only, Valid),
        (Tx::of("kv").set(private_set("kvand", &[b"h"], &[])), EndorsementPolicyFailure),
        (Tx::of("kv").set(private_set("kvand", &[], &[b"h"])), EndorsementPolicyFailure),
        (Tx::of("kv").set(set("kvand", &[], &[metadata("k")])), EndorsementPolicyFailure),
        (Tx::of("kv").writing("ghost", "k"), InvalidOtherReason),
        (Tx::of("kv").writing("", "k"), InvalidOtherReason),
        (Tx::of("kv").writing("qscc", "k"), Valid),
    ];
    for (index, (transaction, code)) in cases.into_iter().enumerate() {
        assert_eq!(channel.judge(&state, &[transaction.make()]), [code], "case {index}");
    }
}

/// What counts as a write, and whether the chaincode that was called is asked although it wrote nothing.
#[test]
fn older_channels_look_at_less() {
    let state = Memory::new();
    let cases: [(&str, Tx, [Code; 5]); 5] = [
        (
            "nothing",
            Tx::of("kvand"),
            [Valid, Valid, EndorsementPolicyFailure, EndorsementPolicyFailure, EndorsementPolicyFailure],
        ),
        (
            "nothing, of none",
            Tx::of("ghost"),
            [Valid, Valid, InvalidOtherReason, InvalidOtherReason, InvalidOtherReason],
        ),
        (
            "a hash elsewhere",
            Tx::of("kv").set(private_set("kvand", &[b"h"], &[])),
            [Valid, Valid, EndorsementPolicyFailure, EndorsementPolicyFailure, EndorsementPolicyFailure],
        ),
        (
            "metadata elsewhere",
            Tx::of("kv").set(set("kvand", &[], &[metadata("k")])),
            [Valid, Valid, Valid, EndorsementPolicyFailure, EndorsementPolicyFailure],
        ),
        (
            "hashed metadata elsewhere",
            Tx::of("kv").set(private_set("kvand", &[], &[b"h"])),
            [Valid, Valid, Valid, EndorsementPolicyFailure, EndorsementPolicyFailure],
        ),
    ];
    for (what, transaction, codes) in cases {
        for (level, code) in LEVELS.into_iter().zip(codes) {
            assert_eq!(Channel::with(level).judge(&state, &[transaction.make()]), [code], "{what}, {level:?}");
        }
    }
    let experiment = Channel::with(&["V1_1", "V1_1_PVTDATA_EXPERIMENTAL"]);
    let hashed = Tx::of("kv").set(private_set("kvand", &[b"h"], &[])).make();
    assert_eq!(experiment.judge(&state, &[hashed]), [EndorsementPolicyFailure]);
}

#[test]
fn a_version_that_is_not_the_defined_one_has_expired() {
    let (channel, state) = (Channel::newest(), Memory::new());
    let old = |namespace| Tx { version: "0".into(), ..Tx::of("kv").writing(namespace, "k") };
    assert_eq!(channel.judge(&state, &[old("kv").make()]), [ExpiredChaincode]);
    assert_eq!(channel.judge(&state, &[old("kvand").make()]), [ExpiredChaincode], "before the other's policy");
    let old_scc = Tx { version: "1.0.0".into(), ..Tx::of("qscc") };
    assert_eq!(channel.judge(&state, &[old_scc.make()]), [Valid], "system chaincodes have their peer's version");
    let writes_nothing = Tx { version: "0".into(), ..Tx::of("kv") };
    assert_eq!(Channel::with(&["V1_1"]).judge(&state, &[writes_nothing.make()]), [Valid]);
}

#[test]
fn a_definition_that_cannot_be_used_is_none_and_a_policy_that_cannot_be_used_is_satisfied_by_nobody() {
    let channel = Channel::newest();
    let whole = || definition("kv", "1", "OR('AlphaMSP.member')");
    let cases = [
        (ChaincodeData { vscc: String::new(), ..whole() }, InvalidOtherReason),
        (ChaincodeData { policy: Bytes::new(), ..whole() }, InvalidOtherReason),
        (ChaincodeData { policy: Bytes::from_static(b"\xff"), ..whole() }, EndorsementPolicyFailure),
        (ChaincodeData { policy: Bytes::from_static(b"\x08\x01"), ..whole() }, EndorsementPolicyFailure),
        (whole(), Valid),
    ];
    for (definition, code) in cases {
        let mut state = Memory::new();
        state.put("lscc", "kv", definition.encode_to_vec().into());
        assert_eq!(channel.judge(&state, &[Tx::of("kv").writing("kv", "k").make()]), [code], "{definition:?}");
    }
    let mut state = Memory::new();
    state.put("lscc", "kv", Bytes::from_static(b"\xff"));
    assert_eq!(channel.judge(&state, &[Tx::of("kv").make()]), [InvalidOtherReason]);
}

#[test]
fn a_plugin_that_this_node_lacks_stops_the_channel() {
    let mut state = Memory::new();
    let other = ChaincodeData { vscc: "custom".into(), ..definition("kv", "1", "OR('AlphaMSP.member')") };
    state.put("lscc", "kv", other.encode_to_vec().into());
    let fault = Channel::newest().try_judge(&state, &[Tx::of("kv").make()], 1).expect_err("no such plugin");
    assert!(matches!(fault, ValidationError::Transaction { number: 7, index: 0, .. }), "{fault:?}");
    assert_eq!(
        fault.to_string(),
        "transaction 0 of block 7 cannot be judged: plugin with name custom couldn't be used: plugin with name custom \
         wasn't found; chaincode kv asks for it, this node has vscc: let a peer that has the plugin serve the channel"
    );
}

#[test]
fn a_system_chaincode_is_endorsed_by_any_member_and_opens_no_other_namespace() {
    let state = Memory::new();
    for level in LEVELS {
        let channel = Channel::with(level);
        let cases = [
            (Tx::of("qscc"), Valid),
            (Tx::of("qscc").endorsed_by(&[ALPHA_USER]), Valid),
            (Tx::of("qscc").endorsed_by(&[ORDERER]), EndorsementPolicyFailure),
            (Tx::of("qscc").endorsed_by(&[]), EndorsementPolicyFailure),
            (Tx::of("qscc").writing("qscc", "k"), Valid),
            (Tx::of("qscc").writing("kvand", "k"), EndorsementPolicyFailure),
            (Tx::of("qscc").writing("kvand", "k").endorsed_by(&[ALPHA, BETA]), Valid),
            (Tx::of("qscc").writing("lscc", "kv"), IllegalWriteset),
            (Tx::of("qscc").writing("cscc", "k"), IllegalWriteset),
        ];
        for (index, (transaction, code)) in cases.into_iter().enumerate() {
            assert_eq!(channel.judge(&state, &[transaction.make()]), [code], "{level:?}, case {index}");
        }
    }
}

#[test]
fn a_definition_is_read_once_for_a_block() {
    let state = Memory::new();
    let block: Vec<_> = (0..20)
        .map(|index| Tx::of("kv").nonce(&index.to_string()).set(set("kv", &[write("k", b"v")], &[])).make())
        .collect();
    assert_eq!(Channel::newest().judge(&state, &block), [Valid; 20]);
    assert_eq!(state.values_read.get(), 1);
}
