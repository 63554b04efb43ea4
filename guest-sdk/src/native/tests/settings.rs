//! Arguments and variables, and what is said of wrong ones.

use super::super::settings::{Mode, Settings};
use super::*;

fn environment(arguments: &[&str], variables: &[(&str, &str)]) -> Environment {
    Environment {
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

const ID: (&str, &str) = ("CORE_CHAINCODE_ID_NAME", "asset:1.0");

fn load(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(String, Mode), String> {
    let settings = Settings::load(&environment(arguments, variables)).map_err(|error| error.to_string())?;
    Ok((settings.shim.id, settings.mode))
}

fn peer(arguments: &[&str], variables: &[(&str, &str)]) -> (String, String, bool) {
    match load(arguments, variables) {
        Ok((id, Mode::Dial(peer))) => (id, peer.address, peer.tls.is_some()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_peers_address_is_found_in_all_its_forms() {
    let expected = ("asset:1.0".to_owned(), "peer0:7052".to_owned(), false);
    for arguments in [
        &["--peer.address", "peer0:7052"][..],
        &["-peer.address", "peer0:7052"],
        &["--peer.address=peer0:7052"],
        &["-peer.address=peer0:7052"],
        &["--peer.address", "grpc://peer0:7052"],
    ] {
        let address = peer(arguments, &[ID, ("CORE_PEER_ADDRESS", "elsewhere:1")]).1;
        assert_eq!(address, "peer0:7052", "{arguments:?}");
        assert_eq!(peer(arguments, &[ID, ("CHAINCODE_SERVER_ADDRESS", "0.0.0.0:9999")]).1, "peer0:7052");
    }
    assert_eq!(peer(&[], &[ID, ("CORE_PEER_ADDRESS", "peer0:7052"), ("CORE_PEER_TLS_ENABLED", "false")]), expected);
    let by_argument = ["--chaincode-id-name", "asset:1.0", "--peer.address", "peer0:7052"];
    assert_eq!(peer(&by_argument, &[("CORE_CHAINCODE_ID_NAME", "other:2")]), expected);
    assert_eq!(peer(&["--peer.address", "[::1]:7052"], &[ID]).1, "[::1]:7052");
}

#[test]
fn a_service_is_asked_for_by_its_address() {
    let variables = [("CHAINCODE_ID", "asset_1.0:abc"), ("CHAINCODE_SERVER_ADDRESS", "0.0.0.0:9999")];
    let with = |more: &[(&'static str, &'static str)]| load(&[], &[&variables[..], more].concat());
    match with(&[("CORE_PEER_ADDRESS", "peer0:7052")]) {
        Ok((id, Mode::Serve(service))) => {
            assert_eq!((id.as_str(), service.address.as_str()), ("asset_1.0:abc", "0.0.0.0:9999"));
            assert!(service.tls.is_none());
        }
        other => panic!("{other:?}"),
    }
    let needs = "is not set: TLS needs it, a PEM file; or set CHAINCODE_TLS_DISABLED=true";
    assert_eq!(with(&[("CHAINCODE_TLS_DISABLED", "false")]).unwrap_err(), format!("CHAINCODE_TLS_KEY {needs}"));
    assert_eq!(with(&[("CHAINCODE_TLS_KEY", "k")]).unwrap_err(), format!("CHAINCODE_TLS_CERT {needs}"));
    assert!(with(&[("CHAINCODE_TLS_KEY", "k"), ("CHAINCODE_TLS_DISABLED", "true")]).is_ok());
}

/// Arguments, variables, and the beginning of what is said.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

#[test]
fn what_is_missing_or_wrong_is_named() {
    const ADDRESS: (&str, &str) = ("CORE_PEER_ADDRESS", "peer0:7052");
    let cases: [Case; 10] = [
        (&[], &[ADDRESS], "CORE_CHAINCODE_ID_NAME is not set: "),
        (&[], &[ID], "--peer.address is not set: "),
        (&["--peer.adress", "x"], &[ID], "argument --peer.adress: there is no such argument"),
        (&["--peer.address"], &[ID], "argument --peer.address: it has no value"),
        (&["--peer.address", "peer0"], &[ID], "--peer.address=peer0: it is no address; write host:port"),
        (&[], &[ID, ("CORE_PEER_ADDRESS", "http://x:1")], "CORE_PEER_ADDRESS=http://x:1: it is no address"),
        (&[], &[ID, ("CORE_PEER_ADDRESS", "grpcs://x:1")], "CORE_PEER_ADDRESS=grpcs://x:1: its scheme and"),
        (&[], &[ID, ADDRESS, ("CORE_PEER_TLS_ENABLED", "yes")], "CORE_PEER_TLS_ENABLED=yes: it must be true or false"),
        (&[], &[ID, ADDRESS, ("CORE_PEER_TLS_ENABLED", "true")], "CORE_PEER_TLS_ROOTCERT_FILE is not set: "),
        (&[], &[ID, ADDRESS, ("CORE_CHAINCODE_CONCURRENCY", "0")], "CORE_CHAINCODE_CONCURRENCY=0: it must be a number"),
    ];
    for (arguments, variables, expected) in cases {
        let text = load(arguments, variables).unwrap_err();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_wrong_file_is_named_with_its_variable() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")?;
    let variables = |key: (&str, &str), root: &str| {
        let tls = [("CORE_PEER_ADDRESS", "peer0:7052"), ("CORE_PEER_TLS_ENABLED", "true")];
        let files = [key, ("CORE_TLS_CLIENT_CERT_PATH", &path("pem")), ("CORE_PEER_TLS_ROOTCERT_FILE", root)];
        load(&[], &[&[ID][..], &tls, &files].concat()).unwrap_err()
    };
    let missing = path("missing");
    let text = variables(("CORE_TLS_CLIENT_KEY_PATH", &missing), &missing);
    assert!(text.starts_with(&format!("CORE_PEER_TLS_ROOTCERT_FILE: cannot read {missing}: ")), "{text}");
    let text = variables(("CORE_TLS_CLIENT_KEY_PATH", &missing), &path("pem"));
    assert!(text.starts_with(&format!("CORE_PEER_TLS_ROOTCERT_FILE: {}: ", path("pem"))), "{text}");
    Ok(())
}
