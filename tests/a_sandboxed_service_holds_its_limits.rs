//! `selvedge ccaas`: what a chaincode does in the sandbox ends its own transaction, whoever the peer is; and what is said
//! when the command line is wrong.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use selvedge::chaincode::TransactionParams;
use selvedge::container::Ccid;
use selvedge::testing::{Service, TestPeer, TlsAuthority, TlsPurpose, connect_service, guest_path};
use selvedge::tls::{ClientTls, NamedFile, Roots, connect};
use selvedge_proto::protos::ChaincodeInput;

const SELVEDGE: &str = env!("CARGO_BIN_EXE_selvedge");
const ID: &str = "mischief:1.0";

async fn serve(folder: &tempfile::TempDir, arguments: &[&str]) -> anyhow::Result<Service> {
    let module = guest_path("mischief")?;
    let mut command = Command::new(SELVEDGE);
    command.arg("ccaas").arg(module).args(["--id", ID, "--address", "127.0.0.1:0"]).args(arguments);
    command.current_dir(folder.path()).env("CORE_CHAINCODE_WASM_LIMITS_TIME", "500ms");
    tokio::task::spawn_blocking(move || Service::start(&mut command)).await?
}

async fn dev_peer(folder: &tempfile::TempDir) -> anyhow::Result<TestPeer> {
    TestPeer::start(folder.path(), &[], &[("CHAINCODE_MODE", "dev")]).await
}

/// What the chaincode answers to the peer.
async fn execute(peer: &TestPeer, txid: &str, args: &[&str]) -> anyhow::Result<String> {
    let ledger = peer.node().ledgers().get("mychannel").context("the channel")?;
    let params = TransactionParams {
        txid: txid.to_owned(),
        channel_id: "mychannel".to_owned(),
        simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(txid)?))),
        ..Default::default()
    };
    let args = args.iter().map(|arg| arg.to_string().into()).collect();
    let input = ChaincodeInput { args, ..Default::default() };
    let executed = peer.node().support().execute(&params, &Ccid::new("mischief", "1.0"), input).await?;
    Ok(String::from_utf8(executed.response.payload.into())?)
}

/// Waits until the peer has taken the chaincode.
async fn registered(peer: &TestPeer) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    while execute(peer, "canary", &["canary"]).await.is_err() {
        anyhow::ensure!(Instant::now() < until, "the chaincode did not register");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn refusal(peer: &TestPeer, args: &[&str]) -> String {
    execute(peer, "mischief", args).await.expect_err("a refusal").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn mischief_ends_only_its_transaction_on_each_of_two_peers() -> anyhow::Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let service = serve(&folders[0], &[]).await?;
    let (first, second) = (dev_peer(&folders[1]).await?, dev_peer(&folders[2]).await?);
    let mut streams = Vec::new();
    for peer in [&first, &second] {
        streams.push(connect_service(peer.node().support(), connect(&service.address, None).await?).await?);
        registered(peer).await?;
    }
    let text = refusal(&first, &["panic", "boom"]).await;
    assert!(text.contains("chaincode mischief:1.0 trapped: panicked at examples/mischief/src/lib.rs:"), "{text}");
    let text = refusal(&first, &["memory"]).await;
    assert!(text.contains("(chaincode.wasm.limits.memory)"), "{text}");
    let (looped, canary) = tokio::join!(refusal(&first, &["loop"]), execute(&second, "beside", &["canary"]));
    assert!(looped.contains("the limit is 500 ms (chaincode.wasm.limits.time)"), "{looped}");
    canary?;
    execute(&first, "after", &["canary"]).await?;

    // A peer that goes in the middle of a transaction is nothing to the other.
    let (looped, ()) = tokio::join!(refusal(&first, &["loop"]), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        streams.swap_remove(0).abort();
    });
    assert!(looped.ends_with("chaincode stream terminated"), "{looped}");
    execute(&second, "alone", &["canary"]).await?;
    drop(service);
    first.stop().await;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_over_tls() -> anyhow::Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let authority = TlsAuthority::new(folders[0].path(), "chaincodes")?;
    let pair = authority.issue("mischief", &["127.0.0.1"], TlsPurpose::Both)?;
    let (certificate, key) = (pair.certificate.display().to_string(), pair.key.display().to_string());
    let service = serve(&folders[0], &["--tls-cert", &certificate, "--tls-key", &key]).await?;
    let peer = dev_peer(&folders[1]).await?;
    let tls = ClientTls::new(Roots::load("test", &[NamedFile::new("test", &authority.certificate)])?, None)?;
    connect_service(peer.node().support(), connect(&service.address, Some(&tls)).await?).await?;
    registered(&peer).await?;
    drop(service);
    peer.stop().await;
    Ok(())
}

#[test]
fn a_wrong_command_line_is_told_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let module = guest_path("mischief")?.display().to_string();
    let qscc = guest_path("qscc")?.display().to_string();
    let cases: [(&[&str], &str); 4] = [
        (&[&module, "--address", "127.0.0.1:0"], "Give its package id with --id (or CHAINCODE_ID)"),
        (&["nothing.wasm", "--address", "127.0.0.1:0", "--id", "a:1"], "chaincode a:1: cannot read nothing.wasm: "),
        (&[&qscc, "--address", "127.0.0.1:0", "--id", "a:1"], "which this host does not offer to chaincode"),
        (
            &[&module, "--address", "nowhere", "--id", "a:1"],
            "cannot listen on nowhere; choose another address with --address",
        ),
    ];
    for (arguments, said) in cases {
        let mut command = Command::new(SELVEDGE);
        command.arg("ccaas").args(arguments).current_dir(folder.path()).stdin(Stdio::null());
        let output = command.env_remove("CHAINCODE_ID").env_remove("CORE_CHAINCODE_ID_NAME").output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(said), "{said:?} is not in: {text}");
    }
    Ok(())
}
