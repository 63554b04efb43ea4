//! Our end of a chaincode stream against a peer that shares no code with it: `tests/scripts/peer.js`, on the protocol
//! definitions that Hyperledger generates for Node.js, on grpc-js and OpenSSL. `examples/asset` as a process that dials, as a
//! service, and as a service in the sandbox (`selvedge ccaas`), with TLS and without, does the same with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use selvedge::testing::{
    NativeChaincode, Service, TlsAuthority, TlsPair, TlsPurpose, guest_path, node_with_packages_of,
};
use serde_json::{Value, json};

const SELVEDGE: &str = env!("CARGO_BIN_EXE_selvedge");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/peer.js");
const ID: &str = "asset_1.0:cafe";
/// Rows of a range, which come in three batches.
const ROWS: usize = 250;

/// Certificates of one authority: of the peer, and of the chaincode.
struct Tls {
    root: String,
    pair: TlsPair,
}

impl Tls {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let authority = TlsAuthority::new(folder, "ca")?;
        let pair = authority.issue("both", &["localhost", "127.0.0.1"], TlsPurpose::Both)?;
        Ok(Self { root: text(&authority.certificate)?, pair })
    }

    fn files(&self) -> anyhow::Result<Value> {
        Ok(json!({"root": self.root, "cert": text(&self.pair.certificate)?, "key": text(&self.pair.key)?}))
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).context("a path of text")
}

fn calls() -> Vec<Vec<&'static str>> {
    let mut calls = vec![
        vec![],
        vec!["create", "c1", "Cy", "5"],
        vec!["create", "a1", "Cy", "5"],
        vec!["read", "a1"],
        vec!["read", "nobody"],
        vec!["update", "a1", "9"],
        vec!["transfer", "a1", "Bob"],
        vec!["delete", "a2"],
        vec!["list", "r", "s"],
        vec!["page", "r", "s", "120", "r0100"],
        vec!["ownedBy", "Ada"],
        vec!["history", "a1"],
        vec!["ops", "10"],
        vec!["height", "mychannel"],
        vec!["no such function"],
    ];
    // They wait for each other nowhere.
    calls.extend((0..100).map(|_| vec!["ops", "25"]));
    calls
}

fn plan(how: &str, address: &str, tls: Option<&Tls>) -> anyhow::Result<Value> {
    let asset = |id: &str, owner: &str, value: u64| json!({"id": id, "owner": owner, "value": value}).to_string();
    let mut state = serde_json::Map::new();
    state.insert("a1".into(), asset("a1", "Ada", 1).into());
    state.insert("a2".into(), asset("a2", "Ada", 2).into());
    state.insert("\0owner~id\0Ada\0a1\0".into(), "\0".into());
    state.insert("\0owner~id\0Ada\0a2\0".into(), "\0".into());
    for row in 0..ROWS {
        let key = format!("r{row:04}");
        state.insert(key.clone(), asset(&key, "Ops", 0).into());
    }
    let mut plan = json!({
        "id": ID, "calls": calls(), "state": state,
        "history": {"a1": [asset("a1", "Ada", 0), asset("a1", "Ada", 1)]},
    });
    plan[how] = address.into();
    if let Some(tls) = tls {
        plan["tls"] = tls.files()?;
    }
    Ok(plan)
}

/// Starts the other peer with this plan.
fn start(plan: &Value) -> anyhow::Result<Child> {
    let mut node = node_with_packages_of("kv")?;
    let mut peer = node.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Closed when written.
    peer.stdin.take().context("its input")?.write_all(plan.to_string().as_bytes())?;
    Ok(peer)
}

fn outcome(peer: Child) -> anyhow::Result<Value> {
    let ended = peer.wait_with_output()?;
    ensure!(ended.status.success(), "the peer failed: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(serde_json::from_slice(&ended.stdout)?)
}

fn dialling(tls: Option<&Tls>) -> anyhow::Result<Value> {
    let mut peer = start(&plan("listen", "127.0.0.1:0", tls)?)?;
    let mut errors = BufReader::new(peer.stderr.take().context("its errors")?);
    let mut line = String::new();
    errors.read_line(&mut line)?;
    let Some(port) = line.trim().strip_prefix("listens on ") else {
        errors.read_to_string(&mut line)?;
        anyhow::bail!("the peer does not listen: {line}");
    };
    let pair = tls.map(|tls| anyhow::Ok([text(&tls.pair.key)?, text(&tls.pair.certificate)?])).transpose()?;
    let variables = match (&pair, tls) {
        (Some([key, certificate]), Some(tls)) => vec![
            ("CORE_PEER_TLS_ENABLED", "true"),
            ("CORE_PEER_TLS_ROOTCERT_FILE", &*tls.root),
            ("CORE_TLS_CLIENT_KEY_FILE", &**key),
            ("CORE_TLS_CLIENT_CERT_FILE", &**certificate),
        ],
        _ => Vec::new(),
    };
    let _chaincode = NativeChaincode::dial("asset", ID, &format!("localhost:{port}"), &variables)?;
    outcome(peer)
}

fn service(tls: Option<&Tls>) -> anyhow::Result<Value> {
    let pair = tls.map(|tls| anyhow::Ok([text(&tls.pair.key)?, text(&tls.pair.certificate)?])).transpose()?;
    let variables = match (&pair, tls) {
        (Some([key, certificate]), Some(tls)) => vec![
            ("CHAINCODE_TLS_DISABLED", "false"),
            ("CHAINCODE_TLS_KEY", &**key),
            ("CHAINCODE_TLS_CERT", &**certificate),
            ("CHAINCODE_TLS_CLIENT_CACERT", &*tls.root),
        ],
        _ => Vec::new(),
    };
    let (_chaincode, address) = NativeChaincode::serve("asset", ID, &variables)?;
    outcome(start(&plan("connect", &address, tls)?)?)
}

fn sandboxed_service(tls: Option<&Tls>) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(SELVEDGE);
    command.arg("ccaas").arg(guest_path("asset")?).args(["--id", ID, "--address", "127.0.0.1:0"]);
    if let Some(tls) = tls {
        command.arg("--tls-cert").arg(&tls.pair.certificate).arg("--tls-key").arg(&tls.pair.key);
        command.args(["--tls-client-ca", &tls.root]);
    }
    let service = Service::start(command.current_dir(folder.path()))?;
    outcome(start(&plan("connect", &service.address, tls)?)?)
}

#[test]
fn a_peer_on_hyperledgers_own_definitions_gets_the_same_of_every_form() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let tls = Tls::new(folder.path())?;
    let expected = service(None)?;
    is_right(&expected)?;
    for (form, outcome) in [
        ("a service with TLS", service(Some(&tls))?),
        ("a process that dials", dialling(None)?),
        ("a process that dials, with TLS", dialling(Some(&tls))?),
        ("a sandboxed service", sandboxed_service(None)?),
        ("a sandboxed service with TLS", sandboxed_service(Some(&tls))?),
    ] {
        let results = |outcome: &Value| outcome["results"].as_array().cloned().unwrap_or_default();
        for ((call, one), other) in calls().iter().zip(results(&expected)).zip(results(&outcome)) {
            assert_eq!(one, other, "{call:?} of a service and of {form}");
        }
        assert_eq!(expected, outcome, "{form}");
    }
    Ok(())
}

/// What they have in common is right.
fn is_right(outcome: &Value) -> anyhow::Result<()> {
    assert_eq!(outcome["registered"], ID);
    assert_eq!(outcome["errors"], json!(["keepalive"]), "a KEEPALIVE comes back, once");
    let results = outcome["results"].as_array().context("results")?;
    let calls = calls();
    assert_eq!(results.len(), calls.len());
    let of = |call: &[&str]| {
        let place = calls.iter().position(|args| args == call);
        place.and_then(|place| results.get(place)).with_context(|| format!("the result of {call:?}"))
    };
    let status = |call: &[&str]| anyhow::Ok((of(call)?["type"].clone(), of(call)?["status"].clone()));
    let completed = |status: i32| (Value::from("COMPLETED"), Value::from(status));
    assert_eq!(status(&[])?, completed(200), "INIT");
    let created = of(&["create", "c1", "Cy", "5"])?;
    assert_eq!(created["event"], "created");
    assert_eq!(created["writes"]["c1"], r#"{"id":"c1","owner":"Cy","value":5}"#);
    assert_eq!(status(&["create", "a1", "Cy", "5"])?.1, 500);
    assert_eq!(of(&["read", "nobody"])?["message"], "asset nobody does not exist");
    let listed = of(&["list", "r", "s"])?;
    let rows: Vec<Value> = serde_json::from_str(listed["payload"].as_str().unwrap_or_default())?;
    assert_eq!((rows.len(), &listed["asked"]["QUERY_STATE_NEXT"]), (ROWS, &json!(2)), "in three batches");
    assert_eq!(of(&["delete", "a2"])?["writes"], json!({"a2": null, "\0owner~id\0Ada\0a2\0": null}));
    assert_eq!(of(&["ops", "25"])?["asked"], json!({"GET_STATE": 25, "PUT_STATE": 25}));
    assert_eq!(status(&["height", "mychannel"])?.1, 500, "this peer calls no other chaincode");
    assert_eq!(of(&["no such function"])?["message"], "there is no function no such function of 0 parameters");
    Ok(())
}
