//! What a transaction may use is one allowance for all of its executions: calling other chaincode gains nothing.

use anyhow::Context;
use selvedge::testing::{Client, Plugin, TestPeer};

const ROUNDS: &str = "2000000";

async fn peer(folder: &tempfile::TempDir, limits: &[(&str, &str)]) -> anyhow::Result<TestPeer> {
    let plugins = [Plugin::guest("one", "mischief")?, Plugin::guest("two", "mischief")?];
    TestPeer::start(folder.path(), &plugins, limits).await
}

/// What the client is told when `two` does something as often as said, in calls of `one`.
async fn repeated(client: &Client, times: &str, call: &[&str]) -> anyhow::Result<String> {
    let args: Vec<_> = ["repeat", times, "two"].iter().chain(call).copied().collect();
    let response = client.call("one", &args).await?;
    Ok(if response.status == 200 { "fine".to_owned() } else { response.message })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuel_that_a_callee_burns_is_gone_for_its_caller() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = peer(&folder, &[("CHAINCODE_WASM_LIMITS_FUEL", "60000000")]).await?;
    let client = peer.client().await?;
    client.query("two", &["spin", ROUNDS]).await.context("one spin is within the limit")?;
    assert_eq!(repeated(&client, "1", &["spin", ROUNDS]).await?, "fine");
    let out = repeated(&client, "100", &["spin", ROUNDS]).await?;
    assert!(out.contains("used up its fuel of 60000000 (chaincode.wasm.limits.fuel)"), "{out}");
    peer.stop().await;
    Ok(())
}
