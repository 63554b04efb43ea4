//! Deploy and upgrade: everything that is wrong with one is an endorsement policy failure.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::SignaturePolicyEnvelope;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::collection_policy_config::Payload as MemberPolicy;
use selvedge_proto::protos::{
    ChaincodeData, ChaincodeDeploymentSpec, ChaincodeId, CollectionConfig, CollectionConfigPackage,
    CollectionPolicyConfig, StaticCollectionConfig, TxValidationCode as Code,
};

use super::fixture::{
    ALPHA, ALPHA_ADMIN, ALPHA_USER, BETA_ADMIN, CHANNEL, Channel, Memory, ORDERER, Tx, definition, deployment_spec,
    lscc, metadata, policy, private_set, set, write,
};
use crate::testing::targz;
use Code::{ChaincodeVersionConflict, DuplicateTxid, EndorsementPolicyFailure as Refused, Valid};

fn new() -> ChaincodeData {
    definition("new", "1", "OR('AlphaMSP.member')")
}

/// The next version of kv.
fn next() -> ChaincodeData {
    definition("kv", "2", "OR('AlphaMSP.member')")
}

fn collection(name: &str) -> StaticCollectionConfig {
    let policy = SignaturePolicyEnvelope::decode(policy("OR('AlphaMSP.member')")).expect("a policy");
    let policy = CollectionPolicyConfig { payload: Some(MemberPolicy::SignaturePolicy(policy)) };
    StaticCollectionConfig {
        name: name.into(),
        member_orgs_policy: Some(policy),
        required_peer_count: 1,
        maximum_peer_count: 2,
        block_to_live: 10,
        ..StaticCollectionConfig::default()
    }
}

fn package(collections: &[StaticCollectionConfig]) -> Bytes {
    let config = |collection: &StaticCollectionConfig| CollectionConfig {
        payload: Some(Payload::StaticCollectionConfig(collection.clone())),
    };
    CollectionConfigPackage { config: collections.iter().map(config).collect() }.encode_to_vec().into()
}

/// A deploy whose lscc writes are these.
fn writing(writes: &[selvedge_proto::kvrwset::KvWrite]) -> Tx {
    Tx { sets: vec![set("lscc", writes, &[])], ..lscc("deploy", &new(), None) }
}

/// A deploy with these arguments after the function.
fn asking(args: Vec<Bytes>) -> Tx {
    let mut transaction = lscc("deploy", &new(), None);
    transaction.args.truncate(1);
    transaction.args.extend(args);
    transaction
}

fn named(name: &str, version: &str) -> ChaincodeId {
    ChaincodeId { name: name.into(), version: version.into(), ..ChaincodeId::default() }
}

fn check(state: &Memory, cases: Vec<(&str, Tx, Code)>) {
    let channel = Channel::newest();
    for (what, transaction, code) in cases {
        assert_eq!(channel.judge(state, &[transaction.make()]), [code], "{what}");
    }
}

#[test]
fn of_lsccs_functions_only_deploy_and_upgrade_are_committed() {
    let deploy = || lscc("deploy", &new(), None);
    let spec =
        |kind, name: &str, version: &str| asking(vec![CHANNEL.into(), deployment_spec(kind, named(name, version))]);
    let code = |kind, file: &str| {
        let empty = ChaincodeDeploymentSpec::decode(deployment_spec(kind, named("new", "1"))).expect("a spec");
        let code_package = targz(&[(file, "")]).expect("an archive").into();
        let spec = ChaincodeDeploymentSpec { code_package, ..empty };
        asking(vec![CHANNEL.into(), spec.encode_to_vec().into()])
    };
    let function = |function: &'static str| Tx { args: vec![Bytes::from_static(function.as_bytes())], ..deploy() };
    let with_args = |count: usize| {
        let mut transaction = deploy();
        transaction.args.resize(count + 1, Bytes::new());
        transaction
    };
    check(
        &Memory::new(),
        vec![
            ("a deploy", deploy(), Valid),
            ("an upgrade", lscc("upgrade", &next(), None), Valid),
            ("of two arguments", with_args(2), Valid),
            ("an install", function("install"), Refused),
            ("a query", function("getccdata"), Refused),
            ("nothing", Tx { args: Vec::new(), ..deploy() }, Refused),
            ("one argument", with_args(1), Refused),
            ("seven arguments", with_args(7), Refused),
            ("no deployment spec", asking(vec![CHANNEL.into(), Bytes::from_static(b"\x0a")]), Refused),
            ("an empty deployment spec", asking(vec![CHANNEL.into(), Bytes::new()]), Refused),
            ("no language", spec(Type::Undefined, "new", "1"), Refused),
            ("another language", spec(Type::Node, "new", "1"), Valid),
            ("code of that language", code(Type::Golang, "src/main.go"), Valid),
            ("code that is none", code(Type::Golang, "bin/main"), Refused),
            ("code that nobody looks at", code(Type::Car, "bin/main"), Valid),
            ("a name that is none", spec(Type::Golang, "new-", "1"), Refused),
            ("another name", spec(Type::Golang, "newer", "1"), Refused),
            ("another version", spec(Type::Golang, "new", "2"), Refused),
            ("a version that is none", spec(Type::Golang, "new", "1 "), Refused),
            ("a system chaincode", lscc("deploy", &definition("vscc", "1", "OR('AlphaMSP.member')"), None), Refused),
            ("no endorsement", deploy().endorsed_by(&[]), Refused),
            ("endorsed by no peer of the channel", deploy().endorsed_by(&[ORDERER]), Refused),
            (
                "a proposal that is none",
                deploy().response(|prp| prp.proposal_hash.clear()),
                Code::InvalidEndorserTransaction,
            ),
        ],
    );
}

#[test]
fn a_definition_is_what_was_asked_for_and_nothing_else_is_written() {
    let key = || write("new", &new().encode_to_vec());
    let data = |change: fn(&mut ChaincodeData)| {
        let mut data = new();
        change(&mut data);
        writing(&[write("new", &data.encode_to_vec())])
    };
    let deploy = || lscc("deploy", &new(), None);
    check(
        &Memory::new(),
        vec![
            ("as it should be", writing(&[key()]), Valid),
            ("no set of lscc", Tx { sets: Vec::new(), ..deploy() }, Refused),
            ("no write", writing(&[]), Refused),
            ("another key", writing(&[write("newer", &new().encode_to_vec())]), Refused),
            ("a delete", writing(&[write("new", b"")]), Refused),
            ("no definition", writing(&[write("new", b"\xff")]), Refused),
            ("of another name", data(|data| data.name = "newer".into()), Refused),
            ("of another version", data(|data| data.version = "2".into()), Refused),
            ("without instantiation policy", data(|data| data.instantiation_policy.clear()), Refused),
            ("with one that is none", data(|data| data.instantiation_policy = "\x0a".into()), Refused),
            ("its own keys too", deploy().writing("new", "k"), Valid),
            ("its own hashes too", deploy().set(private_set("new", &[b"h"], &[b"h"])), Valid),
            ("keys of kv", deploy().writing("kv", "k"), Refused),
            ("keys of kvand", deploy().writing("kvand", "k"), Refused),
            ("keys of cscc", deploy().writing("cscc", "k"), Refused),
            ("hashes that kv's policy allows", deploy().set(private_set("kv", &[b"h"], &[])), Valid),
            ("hashes that kvand's policy forbids", deploy().set(private_set("kvand", &[b"h"], &[])), Refused),
            ("metadata of kvand", deploy().set(set("kvand", &[], &[metadata("k")])), Refused),
            ("a second key", writing(&[key(), write("kv", b"v")]), Refused),
            ("two more keys", writing(&[key(), write("new~collection", b""), write("kv", b"v")]), Refused),
        ],
    );
}

#[test]
fn a_chaincode_is_deployed_once_and_upgraded_to_another_version() {
    let mut state = Memory::new();
    state.put("lscc", "left~collection", package(&[]));
    check(
        &state,
        vec![
            ("deployed again", lscc("deploy", &next(), None), Refused),
            (
                "upgraded to the same version",
                lscc("upgrade", &definition("kv", "1", "OR('AlphaMSP.member')"), None),
                Refused,
            ),
            ("upgraded before it was deployed", lscc("upgrade", &new(), None), Refused),
            (
                "where collections are left",
                lscc("deploy", &definition("left", "1", "OR('AlphaMSP.member')"), None),
                Refused,
            ),
        ],
    );
    state.put("lscc", "kv", Bytes::from_static(b"\xff"));
    let fault = Channel::newest().try_judge(&state, &[lscc("upgrade", &next(), None).make()], 1).expect_err("damaged");
    assert!(fault.to_string().contains("the state of lscc at key kv does not decode"), "{fault}");
    state.put("lscc", "left~collection", Bytes::from_static(b"\xff"));
    let left = lscc("deploy", &definition("left", "1", "OR('AlphaMSP.member')"), None);
    let fault = Channel::newest().try_judge(&state, &[left.make()], 1).expect_err("damaged");
    assert!(fault.to_string().contains("the state of lscc at key left~collection does not decode"), "{fault}");
}

#[test]
fn the_creator_satisfies_the_instantiation_policy_on_an_upgrade_both() {
    let policies = |old: &str, new: &str| {
        let mut state = Memory::new();
        let old = ChaincodeData { instantiation_policy: policy(old), ..definition("kv", "1", "OR('AlphaMSP.member')") };
        state.put("lscc", "kv", old.encode_to_vec().into());
        (state, ChaincodeData { instantiation_policy: policy(new), ..next() })
    };
    let (alpha, beta) = ("OR('AlphaMSP.admin')", "OR('BetaMSP.admin')");
    let cases = [(alpha, alpha, Valid, Valid), (beta, alpha, Refused, Refused), (alpha, beta, Refused, Valid)];
    for (old, new, code, before_v1_1) in cases {
        let (state, next) = policies(old, new);
        let upgrade = lscc("upgrade", &next, None).make();
        assert_eq!(Channel::newest().judge(&state, std::slice::from_ref(&upgrade)), [code], "{old}, then {new}");
        assert_eq!(Channel::with(&[]).judge(&state, &[upgrade]), [before_v1_1], "{old}, then {new}, before V1_1");
    }
    let state = Memory::new();
    let deploy = |who| lscc("deploy", &new(), None).by(who).endorsed_by(&[ALPHA, ALPHA_ADMIN]);
    check(
        &state,
        vec![
            ("an admin", deploy(ALPHA_ADMIN), Valid),
            ("of either organisation", deploy(BETA_ADMIN), Valid),
            ("a user, and an admin endorses", deploy(ALPHA_USER), Refused),
        ],
    );
    let mut state = Memory::new();
    let without =
        ChaincodeData { instantiation_policy: Bytes::new(), ..definition("kv", "1", "OR('AlphaMSP.member')") };
    state.put("lscc", "kv", without.encode_to_vec().into());
    check(&state, vec![("the ledger names none", lscc("upgrade", &next(), None), Refused)]);
}

#[test]
fn collections_are_what_the_arguments_say_and_whole() {
    let deploy = |collections: &[StaticCollectionConfig]| lscc("deploy", &new(), Some(package(collections)));
    let with = |change: fn(&mut StaticCollectionConfig)| {
        let mut collection = collection("c");
        change(&mut collection);
        deploy(&[collection])
    };
    let rule = |text: &str| {
        let envelope = SignaturePolicyEnvelope::decode(policy(text)).expect("a policy");
        let policy = CollectionPolicyConfig { payload: Some(MemberPolicy::SignaturePolicy(envelope)) };
        deploy(&[StaticCollectionConfig { member_orgs_policy: Some(policy), ..collection("c") }])
    };
    let data = write("new", &new().encode_to_vec());
    let written = |key: &str, value: &Bytes| set("lscc", &[data.clone(), write(key, value)], &[]);
    let one = package(&[collection("c")]);
    let asked = || deploy(&[collection("c")]);
    let mut without_argument = asked();
    without_argument.args.pop();
    let unknown = CollectionConfigPackage { config: vec![CollectionConfig { payload: None }] }.encode_to_vec();
    check(
        &Memory::new(),
        vec![
            ("two collections", deploy(&[collection("c"), collection("C_-9")]), Valid),
            ("none", deploy(&[]), Valid),
            ("at another key", Tx { sets: vec![written("new~collections", &one)], ..asked() }, Refused),
            ("others", Tx { sets: vec![written("new~collection", &package(&[]))], ..asked() }, Refused),
            ("not written", Tx { sets: vec![set("lscc", std::slice::from_ref(&data), &[])], ..asked() }, Refused),
            ("not asked for", without_argument, Refused),
            ("no package", lscc("deploy", &new(), Some(Bytes::from_static(b"\x0a\x05"))), Refused),
            ("of an unknown kind", lscc("deploy", &new(), Some(unknown.into())), Refused),
            ("without a name", with(|collection| collection.name.clear()), Refused),
            ("a name that is none", with(|collection| collection.name = "a.b".into()), Refused),
            ("one twice", deploy(&[collection("c"), collection("c")]), Refused),
            ("fewer peers than required", with(|collection| collection.maximum_peer_count = 0), Refused),
            ("fewer than no peers", with(|collection| collection.required_peer_count = -1), Refused),
            ("without members", with(|collection| collection.member_orgs_policy = None), Refused),
            ("members together", rule("AND('AlphaMSP.member','BetaMSP.member')"), Refused),
            ("members together within", rule("OR('AlphaMSP.member',AND('AlphaMSP.member','BetaMSP.member'))"), Refused),
            ("one of one", rule("OR('AlphaMSP.member',OR('BetaMSP.member'))"), Valid),
        ],
    );
}

#[test]
fn an_upgrade_keeps_every_collection_and_how_long_it_lives() {
    let mut state = Memory::new();
    state.put("lscc", "kv~collection", package(&[collection("a"), collection("b")]));
    let upgrade = |collections: &[StaticCollectionConfig]| lscc("upgrade", &next(), Some(package(collections)));
    let mortal = StaticCollectionConfig { block_to_live: 11, ..collection("a") };
    let other = StaticCollectionConfig { member_only_read: true, required_peer_count: 0, ..collection("a") };
    check(
        &state,
        vec![
            ("no word of them", lscc("upgrade", &next(), None), Valid),
            ("the same", upgrade(&[collection("a"), collection("b")]), Valid),
            ("one more", upgrade(&[collection("c"), collection("b"), collection("a")]), Valid),
            ("otherwise changed", upgrade(&[other, collection("b")]), Valid),
            ("one less", upgrade(&[collection("a")]), Refused),
            ("none", upgrade(&[]), Refused),
            ("living longer", upgrade(&[mortal, collection("b")]), Refused),
        ],
    );
    check(&Memory::new(), vec![("the first ones", upgrade(&[collection("a")]), Valid)]);
}

/// Deploys with collections, and upgrades with them, at each level.
#[test]
fn older_channels_have_no_collections() {
    let twice = package(&[collection("c"), collection("c")]);
    let cases: [(&[&str], [Code; 3]); 4] = [
        (&[], [Refused, Refused, Refused]),
        (&["V1_1"], [Refused, Refused, Refused]),
        (&["V1_1", "V1_1_PVTDATA_EXPERIMENTAL"], [Valid, Valid, Refused]),
        (&["V1_2"], [Valid, Refused, Valid]),
    ];
    for (level, [deploy, deploy_twice, upgrade]) in cases {
        let channel = Channel::with(level);
        let state = Memory::new();
        let judge = |transaction: Tx| channel.judge(&state, &[transaction.make()]);
        let one = || Some(package(&[collection("c")]));
        assert_eq!(judge(lscc("deploy", &new(), one())), [deploy], "{level:?}");
        assert_eq!(judge(lscc("deploy", &new(), Some(twice.clone()))), [deploy_twice], "{level:?}: looked into");
        assert_eq!(judge(lscc("upgrade", &next(), one())), [upgrade], "{level:?}");
        assert_eq!(judge(lscc("upgrade", &next(), None)), [Valid], "{level:?}");
        assert_eq!(judge(lscc("deploy", &new(), None)), [Valid], "{level:?}");
    }
}

#[test]
fn an_upgrade_takes_the_chaincode_away_from_the_rest_of_its_block() {
    let state = Memory::new();
    let upgrade = |version: &str| {
        let data = ChaincodeData { version: version.into(), ..next() };
        lscc("upgrade", &data, None).nonce(version).make()
    };
    let call = |nonce: &str, chaincode: &str| {
        Tx::of(chaincode).nonce(nonce).endorsed_by(&[ALPHA, super::fixture::BETA]).make()
    };
    let block = [call("a", "kv"), upgrade("2"), call("b", "kvand"), upgrade("3"), call("c", "kv"), call("c", "kv")];
    let codes = Channel::newest().judge(&state, &block);
    let conflict = ChaincodeVersionConflict;
    assert_eq!(codes, [conflict, conflict, Valid, Valid, conflict, DuplicateTxid]);

    // Fabric knows Go there and no other language: recorded in block 39.
    let mut other = lscc("upgrade", &next(), None);
    other.args[2] = deployment_spec(Type::Node, named("kv", "2"));
    assert_eq!(Channel::newest().judge(&state, &[other.make(), call("a", "kv")]), [Valid, Valid]);
}
