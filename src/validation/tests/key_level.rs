//! Endorsement policies of single keys.

use prost::bytes::Bytes;
use selvedge_proto::protos::TxValidationCode as Code;

use selvedge_proto::protos::ChaincodeId;
use selvedge_proto::protos::chaincode_spec::Type;

use super::fixture::{
    ALPHA, BETA, Channel, Memory, Tx, definition, deployment_spec, lscc, metadata, policy, private_set, set, write,
};
use Code::{EndorsementPolicyFailure, Valid};

/// Key `own` of kv is Beta's alone, and so is the hashed key `h` of its collection c; kvand's `alpha` is Alpha's alone.
fn state() -> Memory {
    let mut state = Memory::new();
    state.protect("kv", "", b"own", policy("OR('BetaMSP.peer')"));
    state.protect("kv", "c", b"h", policy("OR('BetaMSP.peer')"));
    state.protect("kv", "", b"empty", Bytes::new());
    state.protect("kv", "", b"broken", Bytes::from_static(b"\xff"));
    state.protect("kvand", "", b"alpha", policy("OR('AlphaMSP.member')"));
    state
}

#[test]
fn a_key_with_a_policy_is_written_by_whom_it_names_and_the_chaincodes_policy_does_not_count() {
    let (channel, state) = (Channel::newest(), state());
    let kv = |writes: &[&str]| {
        let writes: Vec<_> = writes.iter().map(|key| write(key, b"v")).collect();
        Tx::of("kv").set(set("kv", &writes, &[]))
    };
    let kvand = |writes: &[&str]| {
        let writes: Vec<_> = writes.iter().map(|key| write(key, b"v")).collect();
        Tx::of("kvand").set(set("kvand", &writes, &[]))
    };
    let cases = [
        (kv(&["other"]), Valid),
        (kv(&["own"]), EndorsementPolicyFailure),
        (kv(&["own"]).endorsed_by(&[BETA]), Valid),
        (kv(&["other", "own"]), EndorsementPolicyFailure),
        (kv(&["other", "own"]).endorsed_by(&[ALPHA, BETA]), Valid),
        (kv(&["empty"]), Valid),
        (kv(&["broken"]).endorsed_by(&[ALPHA, BETA]), EndorsementPolicyFailure),
        (kvand(&["alpha"]), Valid),
        (kvand(&["alpha"]).endorsed_by(&[BETA]), EndorsementPolicyFailure),
        (kvand(&["alpha", "other"]), EndorsementPolicyFailure),
        (kvand(&["alpha", "other"]).endorsed_by(&[ALPHA, BETA]), Valid),
        // Changing a key's policy is writing the key.
        (Tx::of("kv").set(set("kv", &[], &[metadata("own")])), EndorsementPolicyFailure),
        (Tx::of("kv").set(set("kv", &[], &[metadata("own")])).endorsed_by(&[BETA]), Valid),
        (Tx::of("kv").set(private_set("kv", &[b"h"], &[])), EndorsementPolicyFailure),
        (Tx::of("kv").set(private_set("kv", &[b"h"], &[])).endorsed_by(&[BETA]), Valid),
        (Tx::of("kv").set(private_set("kv", &[b"other"], &[])), Valid),
        (Tx::of("kv").set(private_set("kv", &[], &[b"h"])), EndorsementPolicyFailure),
        // The keys of another namespace, when the chaincode was called by another.
        (Tx::of("kv").writing("kvand", "alpha"), Valid),
        (Tx::of("kvand").endorsed_by(&[ALPHA, BETA]).writing("kv", "own"), Valid),
    ];
    for (index, (transaction, code)) in cases.into_iter().enumerate() {
        assert_eq!(channel.judge(&state, &[transaction.make()]), [code], "case {index}");
        let older = Channel::with(&["V1_2"]);
        let transaction = transaction.endorsed_by(&[ALPHA, BETA]);
        assert_eq!(older.judge(&state, &[transaction.make()]), [Valid], "case {index} before V1_3");
    }
}

#[test]
fn once_a_key_may_have_another_policy_no_later_transaction_of_the_block_writes_it() {
    let state = state();
    let change = |key: &str| Tx::of("kv").nonce("change").set(set("kv", &[], &[metadata(key)]));
    let write = |key: &str| Tx::of("kv").nonce("write").writing("kv", key);
    let judge = |transactions: &[Tx]| {
        let envelopes: Vec<_> = transactions.iter().map(Tx::make).collect();
        Channel::newest().judge(&state, &envelopes)
    };
    assert_eq!(judge(&[change("k"), write("k")]), [Valid, EndorsementPolicyFailure]);
    assert_eq!(judge(&[write("k"), change("k")]), [Valid, Valid], "the order counts");
    assert_eq!(judge(&[change("k"), write("other")]), [Valid, Valid]);
    let elsewhere = || Tx::of("kvand").nonce("e").endorsed_by(&[ALPHA, BETA]).writing("kvand", "k");
    assert_eq!(judge(&[change("k"), elsewhere()]), [Valid, Valid], "so does the namespace");
    assert_eq!(judge(&[change("own"), write("own").endorsed_by(&[BETA])]), [EndorsementPolicyFailure, Valid]);
    assert_eq!(judge(&[change("k"), change("k")]), [Valid, EndorsementPolicyFailure], "the same transaction again");

    let hashed = |nonce: &str, set| Tx::of("kv").nonce(nonce).set(set);
    let (change_hash, write_hash) = (private_set("kv", &[], &[b"k"]), private_set("kv", &[b"k"], &[]));
    let block = [hashed("a", change_hash.clone()), hashed("b", write_hash), write("k")];
    assert_eq!(judge(&block), [Valid, EndorsementPolicyFailure, Valid], "a hash is no public key");
    assert_eq!(judge(&[hashed("a", change_hash.clone()), hashed("b", change_hash)]), [Valid, EndorsementPolicyFailure]);
}

/// Fabric counts a change by what was found about its namespace, not about the whole transaction.
#[test]
fn a_change_counts_if_its_own_namespace_let_it_pass() {
    let state = state();
    let change = |first: &str, second: &str| {
        let of = |namespace: &str| set(namespace, &[], &[metadata("k")]);
        Tx::of("kv").nonce("change").set(of(first)).set(of(second))
    };
    let later = || {
        [
            Tx::of("kv").nonce("1").writing("kv", "k").make(),
            Tx::of("kvand").nonce("2").endorsed_by(&[ALPHA, BETA]).writing("kvand", "k").make(),
        ]
    };
    let judge = |transaction: &Tx| {
        let [one, two] = later();
        Channel::newest().judge(&state, &[transaction.make(), one, two])
    };
    let halfway = change("kv", "kvand");
    assert_eq!(judge(&halfway), [EndorsementPolicyFailure, EndorsementPolicyFailure, Valid]);
    let whole = halfway.endorsed_by(&[ALPHA, BETA]);
    assert_eq!(judge(&whole), [Valid, EndorsementPolicyFailure, EndorsementPolicyFailure]);
    let unsigned = change("kv", "kvand").envelope(|envelope| envelope.signature.clear());
    assert_eq!(judge(&unsigned), [Code::BadCreatorSignature, Valid, Valid]);
    // The chaincode that was called is asked first, wherever its set stands.
    let called_last = Tx { chaincode: "kvand".into(), ..change("kv", "kvand") };
    assert_eq!(judge(&called_last), [EndorsementPolicyFailure, Valid, Valid]);
}

#[test]
fn an_upgrades_init_changes_policies_as_any_other_transaction() {
    let state = state();
    // In another language than Go, or the call would conflict with the upgrade itself.
    let upgrade = lscc("upgrade", &definition("kv", "2", "OR('AlphaMSP.member')"), None);
    let mut args = upgrade.args.clone();
    let id = ChaincodeId { name: "kv".into(), version: "2".into(), ..ChaincodeId::default() };
    args[2] = deployment_spec(Type::Node, id);
    let upgrade = Tx { args, ..upgrade }.set(set("kv", &[], &[metadata("k")]));
    let later = |key: &str| Tx::of("kv").nonce("later").writing("kv", key).make();
    let judge = |key: &str| Channel::newest().judge(&state, &[upgrade.make(), later(key)]);
    assert_eq!(judge("k"), [Valid, EndorsementPolicyFailure]);
    assert_eq!(judge("other"), [Valid, Valid]);
}
