//! Definitions as they come to be and to change, and why they do not. Package `kv` is installed in versions 1 and 2, `ours`
//! with an instantiation policy of its own.

use prost::Message;
use selvedge_sdk::mock::{MockPackage, MockPolicies, MockStub};
use selvedge_sdk::{ChannelCapabilities, CollectionsError, PackageForm, Response};

use crate::Lscc;
use crate::message::{ChaincodeData, ChaincodeDeploymentSpec, ChaincodeId, ChaincodeSpec};

const CHANNEL: &str = "mychannel";

fn package(name: &str, version: &str) -> MockPackage {
    MockPackage {
        name: name.into(),
        version: version.into(),
        path: "src".into(),
        input: None,
        form: PackageForm::Plain,
        data: format!("hashes of {name}:{version}").into_bytes(),
        id: b"id".to_vec(),
        deployment_spec: Vec::new(),
        instantiation_policy: None,
    }
}

fn peer() -> MockStub {
    let peer = MockStub::new(Lscc);
    for version in ["1", "2"] {
        peer.install("kv", version, package("kv", version));
    }
    let ours = MockPackage { instantiation_policy: Some(b"only us".to_vec()), ..package("ours", "1") };
    peer.install("ours", "1", ours);
    peer
}

fn spec(name: &str, version: &str) -> Vec<u8> {
    let chaincode_id = Some(ChaincodeId { name: name.into(), version: version.into() });
    ChaincodeDeploymentSpec { chaincode_spec: Some(ChaincodeSpec { chaincode_id }) }.encode_to_vec()
}

/// Calls `function` for a chaincode with what follows its specification.
fn call(peer: &MockStub, function: &str, (name, version): (&str, &str), more: &[&str]) -> Response {
    let spec = spec(name, version);
    let mut args: Vec<&[u8]> = vec![function.as_bytes(), CHANNEL.as_bytes(), &spec];
    args.extend(more.iter().map(|arg| arg.as_bytes()));
    peer.invoke(&args)
}

fn defined(peer: &MockStub, function: &str, chaincode: (&str, &str), more: &[&str]) -> ChaincodeData {
    let response = call(peer, function, chaincode, more);
    assert!(response.is_success(), "{response:?}");
    let payload = response.payload_bytes();
    assert_eq!(peer.state(chaincode.0).as_ref(), Some(&payload), "what is written is what is answered");
    ChaincodeData::decode(&*payload).unwrap()
}

fn refusal(peer: &MockStub, function: &str, chaincode: (&str, &str), more: &[&str]) -> String {
    let before = peer.state(chaincode.0);
    let response = call(peer, function, chaincode, more);
    assert_eq!((response.status, peer.state(chaincode.0)), (500, before), "{response:?}");
    assert_eq!(peer.event(), None);
    response.message
}

#[test]
fn a_definition_is_the_package_and_the_arguments_or_their_defaults() {
    let peer = peer();
    let expected = |version: &str| ChaincodeData {
        name: "kv".into(),
        version: version.into(),
        escc: "escc".into(),
        vscc: "vscc".into(),
        policy: b"any member".to_vec(),
        data: format!("hashes of kv:{version}").into_bytes(),
        id: b"id".to_vec(),
        instantiation_policy: b"any administrator".to_vec(),
    };
    assert_eq!(defined(&peer, "deploy", ("kv", "1"), &[]), expected("1"));
    assert_eq!((peer.event(), peer.state("kv~collection")), (None, None));

    let policies = MockPolicies { default_instantiation: b"somebody".to_vec(), ..MockPolicies::default() };
    peer.set_policies(policies);
    let upgraded = ChaincodeData {
        escc: "own-escc".into(),
        vscc: "own-vscc".into(),
        policy: b"policy".to_vec(),
        instantiation_policy: b"somebody".to_vec(),
        ..expected("2")
    };
    let more = ["policy", "own-escc", "own-vscc", "collections"];
    assert_eq!(defined(&peer, "upgrade", ("kv", "2"), &more), upgraded);
    assert_eq!(peer.event(), Some(("upgrade".into(), b"\x0a\x02kv".to_vec())));
    assert_eq!(peer.state("kv~collection").as_deref(), Some(&b"collections"[..]));

    // Back to a lower version; the collections stay.
    let downgraded = ChaincodeData { instantiation_policy: b"somebody".to_vec(), ..expected("1") };
    assert_eq!(defined(&peer, "upgrade", ("kv", "1"), &["", "", "", ""]), downgraded);
    assert_eq!(peer.state("kv~collection").as_deref(), Some(&b"collections"[..]));
    assert_eq!(defined(&peer, "deploy", ("ours", "1"), &[]).instantiation_policy, b"only us");
}

#[test]
fn both_instantiation_policies_are_asked_and_that_of_the_ledger_first() {
    let peer = peer();
    defined(&peer, "deploy", ("kv", "1"), &[]);
    let violated = |policy: &'static [u8]| {
        peer.on_instantiation(move |asked| match asked == policy {
            true => Err(format!("{} is not satisfied", String::from_utf8_lossy(policy))),
            false => Ok(()),
        });
    };
    violated(b"only us");
    assert_eq!(refusal(&peer, "deploy", ("ours", "1"), &[]), "only us is not satisfied");
    violated(b"any administrator");
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "any administrator is not satisfied");
    let policies = MockPolicies { default_instantiation: b"new".to_vec(), ..MockPolicies::default() };
    peer.set_policies(policies);
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "any administrator is not satisfied");
    peer.on_instantiation(|asked| Err(String::from_utf8_lossy(asked).into_owned()));
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "any administrator", "the ledger's first");
    violated(b"new");
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "new is not satisfied");
    // What stands on the ledger is told before what the client may.
    assert_eq!(refusal(&peer, "deploy", ("kv", "1"), &[]), "chaincode with name 'kv' already exists");
    assert_eq!(refusal(&peer, "upgrade", ("kv", "1"), &[]), "version already exists for chaincode with name 'kv'");
}

#[test]
fn what_cannot_be_deployed_says_why() {
    let peer = peer();
    let name = |name: &str| {
        format!(
            "invalid chaincode name '{name}'. Names must start with an alphanumeric character and can only consist of \
             alphanumerics, '_', and '-'"
        )
    };
    for bad in ["", "-kv", "k.v", "kv-", "a--b", "k v"] {
        assert_eq!(refusal(&peer, "deploy", (bad, "1"), &[]), name(bad));
    }
    let version = |version: &str| {
        format!(
            "invalid chaincode version '{version}'. Versions must not be empty and can only consist of alphanumerics, '_',  \
             '-', '+', and '.'"
        )
    };
    for bad in ["", "1/2", "1 "] {
        assert_eq!(refusal(&peer, "deploy", ("kv", bad), &[]), version(bad));
    }
    for function in ["deploy", "upgrade"] {
        let text = "cannot get package for chaincode (kv:3)";
        assert_eq!(refusal(&peer, function, ("kv", "3"), &[]), text);
    }
    assert_eq!(refusal(&peer, "upgrade", ("kv", "1"), &[]), "could not find chaincode with name 'kv'");

    let args = |spec: &'static [u8]| peer.invoke(&[b"deploy", CHANNEL.as_bytes(), spec]).message;
    assert_eq!(args(b"\x0a\xff"), "error unmarshaling ChaincodeDeploymentSpec: unexpected EOF");
    assert_eq!(args(b""), name(""), "a specification of nothing");
    let refused = peer.invoke(&[&b"deploy"[..], CHANNEL.as_bytes(), &spec("kv", "1"), b"", b"\xff"]);
    assert_eq!(refused.message, "the name of the escc is no UTF-8");
}

#[test]
fn what_stands_on_the_ledger_has_to_be_a_definition_with_a_policy() {
    let peer = peer();
    peer.set_state("kv", [0x0a, 9]);
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "error while marshalling: kv");
    let before = |name: &str| ChaincodeData { name: name.into(), version: "1".into(), ..ChaincodeData::default() };
    peer.set_state("kv", before("other").encode_to_vec());
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "chaincode name mismatch: kv!=other");
    peer.set_state("kv", before("kv").encode_to_vec());
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &[]), "instantiation policy missing");
}

#[test]
fn the_channel_is_the_transactions_own() {
    let peer = peer();
    assert_eq!(peer.invoke(&["deploy", "", "spec"]).message, "invalid channel name: ");
    let text = peer.invoke(&["upgrade", "elsewhere", "spec"]).message;
    assert_eq!(text, "invalid channel name: elsewhere (the proposal's is 'mychannel')");
    peer.set_channel("");
    let text = peer.invoke(&["deploy", CHANNEL, "spec"]).message;
    assert_eq!(text, "invalid channel name: mychannel (the proposal's is '')");
}

#[test]
fn collections_need_the_capability_and_policies_that_name_members() {
    let peer = peer();
    let with = ["", "", "", "collections"];
    let allow = |private_channel_data, collection_upgrade| {
        let capabilities = ChannelCapabilities { private_channel_data, collection_upgrade };
        peer.set_policies(MockPolicies { capabilities, ..MockPolicies::default() });
    };
    peer.on_collections(|collections| match collections {
        b"garbage" => Err(CollectionsError::Undecodable),
        b"nobody" => Err(CollectionsError::Refused("collection member policy check failed: nobody".into())),
        _ => Ok(()),
    });
    let garbage = refusal(&peer, "deploy", ("kv", "1"), &["", "", "", "garbage"]);
    assert_eq!(garbage, "invalid collection configuration supplied for chaincode kv:1");
    let nobody = refusal(&peer, "deploy", ("kv", "1"), &["", "", "", "nobody"]);
    assert_eq!(nobody, "collection member policy check failed: nobody");

    allow(false, false);
    let missing = "as V1_2 or later capability is not enabled, private channel collections and data are not available";
    assert_eq!(refusal(&peer, "deploy", ("kv", "1"), &with), missing);
    let too_many = ["", "", "", "", ""];
    assert_eq!(refusal(&peer, "deploy", ("kv", "1"), &too_many), missing);
    allow(true, false);
    assert_eq!(refusal(&peer, "deploy", ("kv", "1"), &too_many), "invalid number of arguments to lscc: 8");
    defined(&peer, "deploy", ("kv", "1"), &with);
    assert_eq!(peer.state("kv~collection").as_deref(), Some(&b"collections"[..]));
    let text = "as V1_2 capability is not enabled, collection upgrades are not allowed";
    assert_eq!(refusal(&peer, "upgrade", ("kv", "2"), &with), text);
    defined(&peer, "upgrade", ("kv", "2"), &["", "", "", ""]);
}
