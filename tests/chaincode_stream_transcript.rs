//! The messages at the ChaincodeStream, in types, order, fields and payloads, beside transcripts that were checked
//! against the protocol. `SELVEDGE_BLESS=1` writes them anew; read the difference before committing it.

use std::path::PathBuf;

use anyhow::Context;
use selvedge::testing::{Plugin, Recorded, TestPeer, transcript};

fn check(name: &str, recorded: &[Recorded]) -> anyhow::Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stream").join(format!("{name}.txt"));
    let found = transcript(recorded);
    if std::env::var_os("SELVEDGE_BLESS").is_some() {
        std::fs::write(&path, &found)?;
    }
    let expected = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    assert_eq!(found, expected, "\n{name} is:\n{found}\nand should be:\n{expected}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_an_invoke_a_range_and_a_call_of_another_chaincode() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let settings = [("CHAINCODE_WASM_SYSTEMVERSION", "1.4.12"), ("NETWORK_DEVELOPMENT_BATCHTIMEOUT", "2ms")];
    let peer = TestPeer::start(folder.path(), &plugins, &settings).await?;
    let recorder = peer.recorder();
    let mut launch = recorder.take();
    launch.retain(|recorded| recorded.chaincode.starts_with("asset"));
    check("launch", &launch)?;

    let client = peer.client().await?;
    recorder.take();
    client.submit("asset", &["create", "a1", "Ada", "7"]).await?;
    check("create-with-event", &recorder.take())?;
    client.query("asset", &["ops", "3"]).await?;
    check("three-puts", &recorder.take())?;

    for number in 0..101 {
        client.submit("asset", &["create", &format!("r{number:03}"), "Ada", "1"]).await?;
    }
    recorder.take();
    client.query("asset", &["list", "r", "s"]).await?;
    check("range-of-101", &recorder.take())?;

    client.query("asset", &["height", "mychannel"]).await?;
    check("call-of-qscc", &recorder.take())?;
    peer.stop().await;
    Ok(())
}
