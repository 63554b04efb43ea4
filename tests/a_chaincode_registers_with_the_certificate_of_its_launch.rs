//! Over TLS, a chaincode registers with the certificate that the node made for its launch, and under that name only. Whoever
//! has another certificate, or none, is refused, and nobody else notices.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::{CodeSource, ContainerInfo, TransactionParams};
use selvedge::container::{Ccid, Vm, VmType};
use selvedge::platforms::Platform;
use selvedge::testing::{
    Launched, NativeChaincode, ProcessVm, Program, TestPeer, TlsAuthority, TlsPurpose, tls_settings,
};
use selvedge::tls::{ClientTls, Identity, NamedFile, Roots, connect};
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
use selvedge_proto::protos::{ChaincodeDeploymentSpec, ChaincodeId, ChaincodeInput, ChaincodeSpec};
use tonic::transport::Endpoint;

const ID: &str = "asset:1.0";

fn ccid() -> Ccid {
    Ccid::new("asset", "1.0")
}

/// Runs what blocks the thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

async fn start(folder: &Path, settings: &[(&str, &str)], vm: Option<Arc<dyn Vm>>) -> anyhow::Result<TestPeer> {
    let tls = tls_settings(folder)?;
    let all: Vec<_> = tls.iter().map(|(name, value)| (*name, value.as_str())).chain(settings.iter().copied()).collect();
    TestPeer::start_with(folder, &[], &all, vm.into_iter().map(|vm| (VmType::Docker, vm)).collect()).await
}

fn params(peer: &TestPeer, txid: &str) -> anyhow::Result<TransactionParams> {
    let ledger = peer.node().ledgers().get("mychannel").context("the channel")?;
    Ok(TransactionParams {
        txid: txid.to_owned(),
        channel_id: "mychannel".to_owned(),
        simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(txid)?))),
        ..Default::default()
    })
}

/// A transaction on the chaincode, which runs.
async fn assert_serves(peer: &TestPeer, txid: &str) -> anyhow::Result<()> {
    let input = ChaincodeInput { args: vec!["empty".into()], ..Default::default() };
    let executed = peer.node().support().execute(&params(peer, txid)?, &ccid(), input).await?;
    assert_eq!(executed.response.status, 200, "{executed:?}");
    Ok(())
}

/// What a chaincode says that does not stay.
async fn refusal(id: &'static str, peer: &str, launched: &Launched) -> anyhow::Result<String> {
    let (peer, mut launched) = (peer.to_owned(), launched.clone());
    launched.variables.remove("CORE_CHAINCODE_ID_NAME");
    blocking(move || {
        let chaincode = NativeChaincode::start("asset", id, &["--peer.address", &peer], &launched.variables())?;
        let (code, said) = chaincode.end()?;
        assert_eq!(code, Some(1), "{said}");
        Ok(said)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launched_chaincode_serves_and_is_launched_again_after_its_end() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let installed = folder.path().join("data/chaincodes");
    std::fs::create_dir_all(&installed)?;
    for (name, platform) in [("asset", Type::Rust), ("gone", Type::Golang)] {
        let id = ChaincodeId { path: name.into(), name: name.into(), version: "1.0".into() };
        let spec = ChaincodeSpec { r#type: platform.into(), chaincode_id: Some(id), ..Default::default() };
        let code_package = Bytes::from_static(b"code");
        let package = ChaincodeDeploymentSpec { chaincode_spec: Some(spec), code_package, ..Default::default() };
        std::fs::write(installed.join(format!("{name}.1.0")), package.encode_to_vec())?;
    }
    let vm = Arc::new(ProcessVm::new(&folder.path().join("vm"), [("asset", Program::Native("asset".into()))]));
    let peer = start(folder.path(), &[], Some(vm.clone())).await?;
    let support = peer.node().support();
    let info = ContainerInfo { ccid: ccid(), vm: VmType::Docker, code: CodeSource::Package };

    let executed = support.execute_init(&params(&peer, "t1")?, &info, ChaincodeInput::default()).await?;
    assert_eq!(executed.response.status, 200, "{executed:?}");
    assert_serves(&peer, "t2").await?;
    let requests = vm.requests();
    let request = requests.first().context("a request")?;
    assert_eq!(request.args, ["chaincode".to_owned(), format!("-peer.address={}", support.peer_address())]);
    assert_eq!(
        request.code.as_ref().map(|code| (code.platform, &code.bytes[..])),
        Some((Platform::Rust, &b"code"[..]))
    );

    vm.kill(&ccid())?;
    let again = async {
        while support.execute_init(&params(&peer, "t3")?, &info, ChaincodeInput::default()).await.is_err() {}
        assert_serves(&peer, "t4").await
    };
    tokio::time::timeout(Duration::from_secs(60), again).await??;
    assert_eq!(vm.requests().len(), 2);
    assert_ne!(vm.requests()[0].files, vm.requests()[1].files, "each launch has its own certificate");

    let refused = async |name: &str| -> anyhow::Result<String> {
        let info = ContainerInfo { ccid: Ccid::new(name, "1.0"), ..info.clone() };
        let refused = support.execute_init(&params(&peer, name)?, &info, ChaincodeInput::default()).await;
        Ok(refused.err().context("an error")?.to_string())
    };
    let text = refused("missing").await?;
    assert!(text.starts_with("failed to get chaincode package: "), "{text}");
    let text = refused("gone").await?;
    assert_eq!(text, "error starting container: error starting container: there is no program for gone:1.0");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_another_launch_another_authority_and_no_certificate_are_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = start(folder.path(), &[("CHAINCODE_MODE", "dev"), ("CHAINCODE_LOGGING_SHIM", "info")], None).await?;
    let address = peer.node().chaincode_address().to_string();
    assert_eq!(peer.node().support().peer_address(), address);
    let launched = |place: &str, id: &str| peer.launched(&folder.path().join(place), id, Platform::Golang);

    let earlier = launched("earlier", ID)?;
    let good = launched("good", ID)?;
    let registered = blocking({
        let (good, address) = (good.clone(), address.clone());
        move || NativeChaincode::dial("asset", ID, &address, &good.variables())
    });
    let registered = registered.await?;
    assert_serves(&peer, "t1").await?;

    let said = refusal("other:1.0", &address, &good).await?;
    assert!(said.contains("Chaincode other:1.0 with given certificate hash ["), "{said}");
    assert!(said.contains("] belongs to a different chaincode"), "{said}");
    let said = refusal(ID, &address, &earlier).await?;
    assert!(said.contains("] not found in registry"), "{said}");

    // The certificates of another authority, and of another node.
    let pair = TlsAuthority::new(folder.path(), "other")?.issue("stranger", &["asset"], TlsPurpose::Both)?;
    let mut foreign = good.clone();
    foreign.variables.insert("CORE_TLS_CLIENT_KEY_FILE".into(), pair.key.display().to_string());
    foreign.variables.insert("CORE_TLS_CLIENT_CERT_FILE".into(), pair.certificate.display().to_string());
    let said = refusal(ID, &address, &foreign).await?;
    assert!(said.contains("the peer refused chaincode asset:1.0: "), "{said}");
    assert!(!said.contains("certificate hash"), "the handshake fails: {said}");

    let root = NamedFile::new("root", &good.variables["CORE_PEER_TLS_ROOTCERT_FILE"]);
    let roots = Roots::load("root", &[root])?;
    let refused = connect(&address, Some(&ClientTls::new(roots.clone(), None)?)).await.err().context("an error")?;
    assert!(refused.to_string().contains("CertificateRequired"), "{refused}");
    // The certificate of the peer's other port is as foreign here as any.
    let [certificate, key] = ["peer.crt", "peer.key"].map(|name| NamedFile::new("peer", folder.path().join(name)));
    let of_peer = ClientTls::new(roots, Some(&Identity::load(&certificate, &key)?))?;
    assert!(connect(&address, Some(&of_peer)).await.is_err());
    let plain = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let plain = ChaincodeSupportClient::new(plain).register(tokio_stream::pending()).await;
    assert!(plain.is_err(), "without TLS there is nobody");

    assert_serves(&peer, "t2").await?;
    drop(registered);
    peer.stop().await;
    Ok(())
}
