//! Every function and every text, on a peer of which the golden network's chaincode `kv` is a part.

use prost::Message;
use selvedge_sdk::mock::{MockPackage, MockStub};
use selvedge_sdk::{AccessQuery, LocalPolicy, PackageForm, Response};

use super::*;

const NAMES: [(&str, &str); 6] = [
    ("getid", "ChaincodeExists"),
    ("getdepspec", "GetDeploymentSpec"),
    ("getccdata", "GetChaincodeData"),
    ("getchaincodes", "GetChaincodes"),
    ("getinstalledchaincodes", "GetInstalledChaincodes"),
    ("getcollectionsconfig", "GetCollectionsConfig"),
];

fn hashes(signature: &[u8]) -> Vec<u8> {
    PackageHashes { code: b"code".to_vec(), metadata: b"metadata".to_vec(), signature: signature.to_vec() }
        .encode_to_vec()
}

fn defined(name: &str) -> ChaincodeData {
    ChaincodeData {
        name: name.into(),
        version: "1".into(),
        escc: "escc".into(),
        vscc: "vscc".into(),
        policy: vec![0x12, 0],
        data: hashes(b""),
        id: b"id".to_vec(),
        instantiation_policy: b"p".to_vec(),
    }
}

fn package(name: &str) -> MockPackage {
    let args = vec![b"init".to_vec()];
    MockPackage {
        name: name.into(),
        version: "1".into(),
        path: "src".into(),
        input: Some(ChaincodeInput { args, ..Default::default() }.encode_to_vec()),
        form: PackageForm::Plain,
        data: hashes(b""),
        id: b"id".to_vec(),
        deployment_spec: format!("spec of {name}").into_bytes(),
        instantiation_policy: None,
    }
}

/// `kv` is installed and instantiated, with collections; `gone` is instantiated and `idle` installed only. On the channel
/// `closed` nobody may anything.
fn peer() -> MockStub {
    let peer = MockStub::new(Lscc);
    peer.set_state("kv", defined("kv").encode_to_vec());
    peer.set_state("kv~collection", "collections");
    peer.set_state("gone", defined("gone").encode_to_vec());
    peer.install("idle", "1", package("idle"));
    peer.install("kv", "1", package("kv"));
    peer.on_access(|query| match query {
        AccessQuery::Resource { channel: "closed", .. } => Err("no policy".into()),
        _ => Ok(()),
    });
    peer
}

fn payload(peer: &MockStub, args: &[&str]) -> Vec<u8> {
    let response = peer.invoke(args);
    assert!(response.is_success(), "{args:?}: {response:?}");
    response.payload_bytes()
}

fn refusal(peer: &MockStub, args: &[&str]) -> String {
    let Response { status, message, .. } = peer.invoke(args);
    assert_eq!(status, 500, "{args:?}: {message}");
    message
}

#[test]
fn init_does_nothing_on_any_channel() {
    let peer = peer();
    for channel in ["", "mychannel"] {
        peer.set_channel(channel);
        assert!(peer.init(&[""; 0]).is_success());
    }
}

#[test]
fn a_query_answers_under_both_of_its_names() {
    let peer = peer();
    for (short, long) in NAMES {
        let args: &[&str] = match short {
            "getchaincodes" | "getinstalledchaincodes" => &[],
            "getcollectionsconfig" => &["kv"],
            _ => &["other-channel", "kv"],
        };
        let answer = |name| payload(&peer, &[&[name], args].concat());
        assert_eq!(answer(short), answer(long), "{short}");
        let expected = match short {
            "getid" => b"kv".to_vec(),
            "getdepspec" => b"spec of kv".to_vec(),
            "getccdata" => defined("kv").encode_to_vec(),
            "getcollectionsconfig" => b"collections".to_vec(),
            _ => continue,
        };
        assert_eq!(answer(short), expected, "{short}");
    }
}

#[test]
fn what_is_instantiated_has_no_id_and_a_path_only_if_it_is_installed() {
    let response = ChaincodeQueryResponse::decode(&*payload(&peer(), &["getchaincodes"])).unwrap();
    let info = |name: &str, path: &str, input: &str| ChaincodeInfo {
        name: name.into(),
        version: "1".into(),
        path: path.into(),
        input: input.into(),
        escc: "escc".into(),
        vscc: "vscc".into(),
        id: vec![],
    };
    assert_eq!(response.chaincodes, [info("gone", "", ""), info("kv", "src", "args:\"init\" ")]);
}

#[test]
fn what_is_installed_has_name_version_path_and_id() {
    let response = ChaincodeQueryResponse::decode(&*payload(&peer(), &["getinstalledchaincodes"])).unwrap();
    let info = |name: &str| ChaincodeInfo {
        name: name.into(),
        version: "1".into(),
        path: "src".into(),
        id: b"id".to_vec(),
        ..Default::default()
    };
    assert_eq!(response.chaincodes, [info("idle"), info("kv")]);
}

#[test]
fn the_number_of_arguments_is_checked_first() {
    let peer = peer();
    peer.set_channel("x");
    peer.on_access(|_| Err("nobody".into()));
    assert_eq!(refusal(&peer, &[]), "invalid number of arguments to lscc: 0");
    assert_eq!(refusal(&peer, &["invoke", "x"]), "invalid function to lscc: invoke");
    let table: [(&str, &[usize]); 9] = [
        ("install", &[1]),
        ("deploy", &[1, 2, 8]),
        ("upgrade", &[1, 2, 8]),
        ("getid", &[1, 2, 4]),
        ("getdepspec", &[1, 2, 4]),
        ("getccdata", &[1, 2, 4]),
        ("getchaincodes", &[2, 3]),
        ("getinstalledchaincodes", &[2, 3]),
        ("getcollectionsconfig", &[1, 3]),
    ];
    for (function, counts) in table {
        let long = NAMES.iter().find(|(short, _)| *short == function).map_or(function, |(_, long)| long);
        for (name, count) in [function, long].into_iter().flat_map(|name| counts.iter().map(move |count| (name, count)))
        {
            let args: Vec<_> = std::iter::once(name).chain(std::iter::repeat_n("x", count - 1)).collect();
            assert_eq!(refusal(&peer, &args), format!("invalid number of arguments to lscc: {count}"), "{name}");
        }
    }
}

#[test]
fn access_is_checked_on_the_channel_that_is_named_and_on_the_one_that_is_read_by_the_functions_resource() {
    let peer = peer();
    for (function, resource) in [
        ("getid", "lscc/ChaincodeExists"),
        ("GetDeploymentSpec", "lscc/GetDeploymentSpec"),
        ("getccdata", "lscc/GetChaincodeData"),
    ] {
        peer.on_access(move |query| match query {
            AccessQuery::Resource { resource: asked, channel: "closed" } if asked == resource => Err("no".into()),
            _ => Ok(()),
        });
        // Even for a chaincode that is not there.
        let text = format!("access denied for [{function}][closed]: no");
        assert_eq!(refusal(&peer, &[function, "closed", "nothing"]), text);
        payload(&peer, &[function, "mychannel", "kv"]);
        // What is read is the proposal's channel, whatever the argument says.
        peer.set_channel("closed");
        assert_eq!(refusal(&peer, &[function, "mychannel", "kv"]), text);
        peer.set_channel("mychannel");
    }

    peer.on_access(|query| match query {
        AccessQuery::Resource { resource, channel } => Err(format!("{resource} on {channel}")),
        AccessQuery::Local(LocalPolicy::Admins) => Err("not an admin".into()),
        AccessQuery::Local(LocalPolicy::Members) => Ok(()),
    });
    for (args, text) in [
        (&["getchaincodes"][..], "[getchaincodes][mychannel]: lscc/GetInstantiatedChaincodes on mychannel"),
        (&["GetCollectionsConfig", "kv"], "[GetCollectionsConfig]: lscc/GetCollectionsConfig on mychannel"),
        (&["GetInstalledChaincodes"], "[GetInstalledChaincodes]: not an admin"),
        (&["install", "package"], "[install]: not an admin"),
    ] {
        assert_eq!(refusal(&peer, args), format!("access denied for {text}"));
    }
}

#[test]
fn what_is_not_on_the_channel_is_not_found() {
    let peer = peer();
    for function in ["getid", "getdepspec", "getccdata"] {
        let text = "could not find chaincode with name 'nothing'";
        assert_eq!(refusal(&peer, &[function, "mychannel", "nothing"]), text);
    }
    let text = "collections config not defined for chaincode gone";
    assert_eq!(refusal(&peer, &["getcollectionsconfig", "gone"]), text);
}

#[test]
fn an_entry_must_be_readable_and_bear_its_own_name() {
    let peer = peer();
    peer.set_state("broken", [0x0a, 9]);
    peer.set_state("alias", defined("kv").encode_to_vec());
    for function in ["getid", "getdepspec"] {
        let broken = refusal(&peer, &[function, "mychannel", "broken"]);
        assert_eq!(broken, "error while marshalling: broken", "{function}");
        let alias = refusal(&peer, &[function, "mychannel", "alias"]);
        assert_eq!(alias, "chaincode name mismatch: alias!=kv", "{function}");
    }
    assert_eq!(payload(&peer, &["getccdata", "mychannel", "broken"]), [0x0a, 9], "the entry as it is");
    assert_eq!(refusal(&peer, &["getchaincodes"]), "unexpected EOF");
    peer.set_state("broken", [0x0a, 1, 0xff]);
    let text = refusal(&peer, &["getchaincodes"]);
    assert!(text.starts_with("proto: ") && text.contains("name"), "{text}");
    // The hashes in the entry.
    peer.set_state("kv", ChaincodeData { data: vec![0x0a, 9], ..defined("kv") }.encode_to_vec());
    let text = "chaincode fingerprint mismatch: unexpected EOF";
    assert_eq!(refusal(&peer, &["getdepspec", "mychannel", "kv"]), text);
}

#[test]
fn code_is_handed_out_only_if_it_is_what_was_instantiated() {
    let peer = peer();
    let get = || refusal(&peer, &["getdepspec", "mychannel", "kv"]);
    let text = "invalid deployment spec: open chaincodes/gone.1: no such file or directory";
    assert_eq!(refusal(&peer, &["getdepspec", "mychannel", "gone"]), text);

    peer.install("kv", "1", MockPackage { data: vec![], ..package("kv") });
    assert_eq!(get(), "chaincode fingerprint mismatch: data mismatch");
    peer.install("kv", "1", MockPackage { form: PackageForm::Signed, data: hashes(b"s"), ..package("kv") });
    assert_eq!(get(), "chaincode fingerprint mismatch: data mismatch");
    peer.install("kv", "1", MockPackage { version: "2".into(), ..package("kv") });
    assert_eq!(
        get(),
        concat!(
            "chaincode fingerprint mismatch: invalid chaincode data ",
            r#"name:"kv" version:"1" escc:"escc" vscc:"vscc" policy:"\022\000" data:"\n\004code\022\010metadata" "#,
            r#"id:"id" instantiation_policy:"p"  (path:"src" name:"kv" version:"2" )"#
        )
    );
}

#[test]
fn installing_is_the_hosts_and_the_package_stays_there() {
    let peer = peer();
    let installed = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = std::rc::Rc::clone(&installed);
    peer.on_install(move |package| match package {
        b"exists" => Err("error installing chaincode code kv:1(chaincode kv.1 exists)".into()),
        _ => {
            seen.borrow_mut().push(package.to_vec());
            Ok(())
        }
    });
    assert_eq!(payload(&peer, &["install", "package"]), b"OK");
    assert_eq!(payload(&peer, &["install", "another", "of", "three"]), b"OK");
    assert_eq!(*installed.borrow(), [&b"package"[..], b"another"]);
    let text = "error installing chaincode code kv:1(chaincode kv.1 exists)";
    assert_eq!(refusal(&peer, &["install", "exists"]), text);
    peer.on_access(|query| match query {
        AccessQuery::Local(LocalPolicy::Admins) => Err("no administrator".into()),
        _ => Ok(()),
    });
    assert_eq!(refusal(&peer, &["install", "package"]), "access denied for [install]: no administrator");
    assert_eq!(installed.borrow().len(), 2);
}
