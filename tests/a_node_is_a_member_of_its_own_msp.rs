//! A node whose certificate its own organisation does not vouch for does not start, and says what to do.

use std::fs;
use std::path::Path;

use selvedge::msp::development::{self, DevelopmentMsp};
use selvedge::testing::{Golden, TestPeer};

const MSPID: &str = "OwnMSP";

fn organisation(dir: &Path) -> DevelopmentMsp {
    development::ensure(dir, MSPID).expect("an MSP")
}

/// Why a node with that MSP folder does not start.
async fn refusal(folder: &Path, mspid: &str) -> String {
    let place = tempfile::tempdir().expect("a directory");
    let path = folder.to_str().expect("text");
    let settings = [("PEER_MSPCONFIGPATH", path), ("PEER_LOCALMSPID", mspid)];
    match TestPeer::start(place.path(), &[], &settings).await {
        Ok(_) => panic!("the node has started"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let (own, other) = (organisation(&place.path().join("own")), organisation(&place.path().join("other")));
    for file in ["signcerts/cert.pem", "keystore/priv_sk"] {
        fs::copy(other.peer.join(file), own.peer.join(file)).expect("copied");
    }
    let text = refusal(&own.peer, MSPID).await;
    assert!(text.contains("/signcerts is not valid in the node's own MSP (peer.mspConfigPath"), "{text}");
    assert!(text.contains("does not chain to a root of MSP OwnMSP"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let recorded = Golden::V1_4.path("msp");
    for (from, to) in [
        ("alpha-user2-revoked/signcerts", "signcerts"),
        ("alpha-user2-revoked/keystore", "keystore"),
        ("alpha-org/admincerts", "admincerts"),
        ("alpha-org/cacerts", "cacerts"),
        ("alpha-org/crls", "crls"),
    ] {
        fs::create_dir(place.path().join(to)).expect("made");
        for entry in fs::read_dir(recorded.join(from)).expect("recorded") {
            let file = entry.expect("an entry").path();
            fs::copy(&file, place.path().join(to).join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    let text = refusal(place.path(), "AlphaMSP").await;
    assert!(text.contains("/signcerts is not valid") && text.contains("The certificate has been revoked"), "{text}");
}
