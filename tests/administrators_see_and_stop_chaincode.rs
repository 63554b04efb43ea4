//! `selvedge chaincode ps|stop|rm|logs`: what an administrator of the peer's organisation sees of running chaincode and does
//! to it, and what nobody else does.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use prost::Message;
use selvedge::client::create_signed_envelope;
use selvedge::msp::Signer;
use selvedge::testing::{CommandLine, Deployment, NativeChaincode, TestPeer, guest_path, wasm_package};
use selvedge_proto::Timestamp;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader};
use selvedge_proto::containers::containers_client::ContainersClient;
use selvedge_proto::containers::operation::Operation as Call;
use selvedge_proto::containers::{ListChaincodes, Operation, StopChaincode};
use tonic::Code;

const PROGRAM: &str = env!("CARGO_BIN_EXE_selvedge");

fn list() -> Operation {
    Operation { operation: Some(Call::List(ListChaincodes {})) }
}

fn stop(chaincode: &str) -> Operation {
    Operation { operation: Some(Call::Stop(StopChaincode { chaincode: chaincode.into() })) }
}

fn signed(operation: &Operation, signer: &dyn Signer) -> Envelope {
    create_signed_envelope(HeaderType::PeerAdminOperation, "", operation, signer).expect("a key that signs")
}

/// What an administrator asked for an hour ago.
fn stale(operation: &Operation, signer: &dyn Signer) -> Envelope {
    let channel_header = ChannelHeader {
        r#type: HeaderType::PeerAdminOperation as i32,
        timestamp: Some(Timestamp::from(SystemTime::now() - Duration::from_secs(3600))),
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { creator: signer.serialize(), nonce: "nonce".into() };
    let header = Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    let payload = Payload { header: Some(header), data: operation.encode_to_vec().into() }.encode_to_vec();
    Envelope { signature: signer.sign(&payload).expect("a key that signs"), payload: payload.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrators_fresh_request_is_answered() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let (admin, user) = (peer.admin()?, peer.user()?);
    let mut client = ContainersClient::new(peer.connection().await?);

    let chaincodes = client.list(signed(&list(), &*admin)).await?.into_inner().chaincodes;
    let shown: Vec<_> = chaincodes.iter().map(|one| (&*one.vm, &*one.state, one.transactions)).collect();
    assert_eq!(shown, [("SYSTEM", "ready", 0); 3], "{chaincodes:?}");

    let forged = Envelope { signature: "signature".into(), ..signed(&list(), &*admin) };
    let wrong_type = create_signed_envelope(HeaderType::Message, "", &list(), &*admin)?;
    let refusals = [
        (signed(&list(), &*user), Code::PermissionDenied, "administrators of the peer's own organisation"),
        (forged, Code::PermissionDenied, "administrators of the peer's own organisation"),
        (stale(&list(), &*admin), Code::InvalidArgument, "peer.authentication.timewindow"),
        (wrong_type, Code::InvalidArgument, "PEER_ADMIN_OPERATION"),
        (signed(&stop("qscc:1"), &*admin), Code::InvalidArgument, "another operation"),
        (signed(&Operation::default(), &*admin), Code::InvalidArgument, "asks for nothing"),
        (Envelope { payload: "\x0a\x05k".into(), ..Envelope::default() }, Code::InvalidArgument, "not an envelope"),
    ];
    for (request, code, text) in refusals {
        let refusal = client.list(request).await.unwrap_err();
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.message().contains(text), "{refusal}");
    }
    let qscc = chaincodes.last().context("qscc is the last")?.chaincode.clone();
    let refusal = client.stop(signed(&stop(&qscc), &*admin)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal}");
    assert_eq!(client.list(signed(&list(), &*admin)).await?.into_inner().chaincodes, chaincodes, "nothing was stopped");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chaincode_in_the_sandbox_is_stopped_read_and_launched_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // No engine is asked of what none runs.
    let peer = TestPeer::start(folder.path(), &[], &[("VM_ENDPOINT", "tcp://127.0.0.1:1")]).await?;
    let command = CommandLine::new(PROGRAM, folder.path(), peer.node().peer_address().to_string());
    let package = wasm_package("mischief", "1.0", &std::fs::read(guest_path("mischief")?)?, &[])?;
    let installed = peer.install(&package).await?;
    anyhow::ensure!(installed.status == 200, "{installed:?}");
    peer.instantiate(&Deployment::new("mischief", "1.0")).await?;

    let row = async || -> anyhow::Result<Option<String>> {
        let (table, _) = command.done(&["chaincode", "ps"]).await?;
        Ok(table.lines().find(|row| row.starts_with("mischief:1.0")).map(str::to_owned))
    };
    let shown = row().await?.context("it runs")?;
    assert!(shown.contains("SYSTEM  ready"), "{shown}");
    let client = peer.client().await?;
    client.query("mischief", &["log", "3", "5"]).await?;
    let (lines, _) = command.done(&["chaincode", "logs", "mischief:1.0", "--tail", "2"]).await?;
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("INFO ")), "{lines}");

    let refusal = command.refusal(&["chaincode", "logs", "mischief:1.0", "--previous"], &[]).await?;
    assert!(refusal.contains("no earlier run is remembered"), "{refusal}");
    let refusal = command.refusal(&["chaincode", "rm", "mischief:1.0"], &[]).await?;
    assert!(refusal.contains("stop it first"), "{refusal}");
    command.done(&["chaincode", "stop", "mischief:1.0"]).await?;
    assert_eq!(row().await?, None, "it was stopped");
    let refusal = command.refusal(&["chaincode", "rm", "mischief:1.0"], &[]).await?;
    assert!(refusal.contains("WASM runs in no container"), "{refusal}");
    for gone in ["mischief:1.0", "none:1"] {
        let refusal = command.refusal(&["chaincode", "logs", gone], &[]).await?;
        assert!(refusal.contains(&format!("there is no chaincode {gone} here")), "{refusal}");
    }
    client.query("mischief", &["log", "1", "5"]).await?;
    assert!(row().await?.is_some(), "a call launched it again");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chaincode_that_was_started_by_hand_is_shown_and_left_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[("CHAINCODE_MODE", "dev")]).await?;
    let command = CommandLine::new(PROGRAM, folder.path(), peer.node().peer_address().to_string());
    let address = peer.node().chaincode_address().to_string();
    let asset =
        tokio::task::spawn_blocking(move || NativeChaincode::dial("asset", "asset:1.0", &address, &[])).await??;

    let (table, _) = command.done(&["chaincode", "ps"]).await?;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = table.lines().map(words).collect();
    assert_eq!(rows[0], ["CHAINCODE", "VM", "STATE", "SINCE", "MEMORY", "TRANSACTIONS"], "{table}");
    assert_eq!(rows[1][..3], ["asset:1.0", "-", "ready"], "{table}");
    assert_eq!(rows.len(), 5, "{table}");

    for (arguments, text) in [
        (["chaincode", "stop", "asset:1.0"], "whoever started it"),
        (["chaincode", "logs", "asset:1.0"], "whoever started it"),
        (["chaincode", "rm", "asset:1.0"], "whoever started it"),
        (["chaincode", "stop", "none:1"], "there is no chaincode none:1 here"),
        (["chaincode", "logs", "qscc:1"], "qscc is a system chaincode of this peer"),
        (["chaincode", "stop", "asset"], "NAME:VERSION"),
    ] {
        let refusal = command.refusal(&arguments, &[]).await?;
        assert!(refusal.contains(text), "{arguments:?}: {refusal}");
    }
    assert_eq!(command.done(&["chaincode", "ps"]).await?.0, table, "it goes on");
    peer.stop().await;
    let (code, said) = tokio::task::spawn_blocking(move || asset.end()).await??;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the peer stops"), "a stream that is only cut would hold the peer up: {said}");
    Ok(())
}
