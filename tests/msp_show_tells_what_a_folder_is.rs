//! `selvedge msp show` on folders of a recorded network, whole and damaged.

use std::path::{Path, PathBuf};
use std::process::Command;

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4/msp").join(folder)
}

/// Whether the command says that the MSP can be used, and what it prints.
fn show(folder: &Path, mspid: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_selvedge"))
        .args(["msp", "show"])
        .arg(folder)
        .args(["--mspid", mspid])
        .output()
        .expect("it runs");
    (output.status.success(), String::from_utf8(output.stdout).expect("text"))
}

fn copy(folder: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    copy_into(&golden(folder), place.path());
    place
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            std::fs::create_dir(&target).expect("made");
            copy_into(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

fn expect(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "'{line}' is missing in:\n{text}");
    }
}

#[test]
fn whole_folders_have_no_problem() {
    let (usable, text) = show(&golden("alpha-org"), "AlphaMSP");
    assert!(usable && !text.contains("problem:"), "{text}");
    expect(
        &text,
        &[
            "MSP AlphaMSP in ",
            "cacerts/ca.alpha.example-cert.pem, ECDSA P-256, valid from 2026-11-21T10:09:00Z until 2036-11-18T10:0",
            "Intermediate CAs: none",
            "CN=Admin@alpha.example",
            "NodeOUs: not enabled",
            "crls/crl.pem: 1 serial(s), issued by CN=ca.alpha.example",
            "tlscacerts/tlsca.alpha.example-cert.pem",
            "Signing certificate: none",
        ],
    );
    for (folder, mspid, expected) in [
        ("beta-peer0", "BetaMSP", ["organisational units: peer", "roles: MEMBER, PEER", "  peer: peer, by CN=ca.beta"]),
        ("beta-admin", "BetaMSP", ["units: admin", "roles: MEMBER, ADMIN", "private key: keystore/0981f08f"]),
        ("alpha-admin", "AlphaMSP", ["units: none", "roles: MEMBER, ADMIN", "private key: keystore/c8c42b7f"]),
        ("orderer0", "OrdererMSP", ["units: none", "roles: MEMBER\n", "private key: keystore/2846c05c"]),
    ] {
        let (usable, text) = show(&golden(folder), mspid);
        assert!(usable && !text.contains("problem:"), "{text}");
        expect(&text, &expected);
    }
}

#[test]
fn every_problem_is_told() {
    let folder = copy("alpha-user2-revoked");
    let within = |path: &str| folder.path().join(path);
    std::fs::create_dir(within("crls")).expect("made");
    std::fs::copy(golden("extra/crl.pem"), within("crls/crl.pem")).expect("copied");
    std::fs::write(within("cacerts/notes.txt"), "no PEM").expect("written");
    std::fs::copy(golden("extra/rogueca.pem"), within("cacerts/z.pem")).expect("copied");
    std::fs::remove_dir_all(within("keystore")).expect("removed");
    let (usable, text) = show(folder.path(), "AlphaMSP");
    assert!(!usable, "{text}");
    expect(
        &text,
        &[
            "revokes CN=User2@alpha.example",
            "private key: none",
            "problem: cacerts/notes.txt is passed over: there is no PEM block in it",
            "problem: signcerts/User2@alpha.example-cert.pem has been revoked by crls/crl.pem",
            "The certificate has been revoked",
            "no private key in it belongs to",
        ],
    );
}

#[test]
fn an_expired_identity_and_a_certifier_that_is_not_there_are_told() {
    let folder = copy("alpha-user1");
    let certificate = folder.path().join("signcerts/User1@alpha.example-cert.pem");
    std::fs::copy(golden("extra/expired.pem"), certificate).expect("copied");
    let keystore = folder.path().join("keystore");
    std::fs::copy(golden("extra/expired.key"), keystore.join("expired_sk")).expect("copied");
    let (usable, text) = show(folder.path(), "AlphaMSP");
    assert!(!usable, "{text}");
    expect(&text, &["EXPIRED since 2026-11-21T10:09:32Z", "private key: keystore/expired_sk", "problem: "]);

    let folder = copy("beta-user1");
    let settings = folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&settings).expect("readable");
    std::fs::write(&settings, text.replacen("cacerts/", "elsewhere/", 1)).expect("written");
    let (usable, text) = show(folder.path(), "BetaMSP");
    assert!(usable, "Fabric allows it:\n{text}");
    expect(
        &text,
        &["client: client, by any authority", "problem: config.yaml names elsewhere/", "roles: MEMBER, CLIENT"],
    );
}
