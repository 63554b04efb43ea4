//! Installing a large package costs the node about twice its bytes, and nothing that stays: the request holds them once and
//! the message to lscc once more. They never enter the guest, whose memory is a fraction of them.

use std::fs;
use std::process::Command;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use selvedge::chaincode::packages::ChaincodePackage;
use selvedge::testing::{NodeFolder, PeakMemory, chaincode_package};
use selvedge_proto::Message;
use selvedge_proto::protos::ChaincodeDeploymentSpec;

const SIZE: usize = 50_000_000;
const SMALL: &[(&str, &str)] = &[("src/package.json", "{}")];

/// A package of a file that does not become smaller.
fn large(name: &str) -> anyhow::Result<Bytes> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, content) in [("src/package.json", vec![b' '; 2]), ("src/data", vec![0; SIZE])] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, &content[..])?;
    }
    let mut spec = ChaincodeDeploymentSpec::decode(chaincode_package(name, "1", SMALL)?)?;
    spec.code_package = archive.into_inner()?.finish()?.into();
    Ok(spec.encode_to_vec().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_holds_a_package_about_twice() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = NodeFolder::new(folder.path(), &[], "")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command.args(["node", "start"]).env("CORE_CHAINCODE_WASM_LIMITS_MEMORY", "8 MiB");
    let mut process = node.start(command)?;
    node.connect(&mut process, "mychannel").await?;
    assert_eq!(node.install(chaincode_package("small", "1", SMALL)?).await?.status, 200, "once, to load what it needs");

    let package = large("large")?;
    let memory = PeakMemory::of(process.id())?;
    let answer = node.install(package.clone()).await?;
    let needed = memory.needed()?;
    assert_eq!((answer.status, answer.payload.as_ref()), (200, &b"OK"[..]), "{answer:?}");
    eprintln!("an install of {} bytes took {needed}", package.len());
    assert!(needed < package.len() * 9 / 4, "an install of {} bytes took {needed}", package.len());

    let stored = Bytes::from(fs::read(folder.path().join("data/chaincodes/large.1"))?);
    assert_eq!(
        ChaincodePackage::parse_installed(&stored)?.fingerprint(),
        ChaincodePackage::parse(&package)?.fingerprint()
    );
    assert!(stored == package, "byte for byte");
    process.kill()
}
