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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_node_holds_for_a_transaction_is_limited_in_all() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = peer(&folder, &[("CHAINCODE_WASM_LIMITS_HOSTMEMORY", "4 MiB")]).await?;
    let client = peer.client().await?;
    let full = "the limit is 4194304 (chaincode.wasm.limits.hostMemory)";
    for (what, call) in [
        ("large writes", ["values", "100", "100000"]),
        ("many small writes", ["values", "100000", "1"]),
        ("reads of long keys", ["keys", "100", "100000"]),
    ] {
        let response = client.call("one", &call).await?;
        assert!(response.status == 500 && response.message.contains(full), "{what}: {}", response.message);
    }
    client.query("two", &["values", "20", "100000"]).await.context("half of it is fine")?;
    assert_eq!(repeated(&client, "1", &["values", "20", "100000"]).await?, "fine");
    let callees = repeated(&client, "3", &["values", "20", "100000"]).await?;
    assert!(callees.contains(full), "what callees write counts too: {callees}");

    let code = client.submit("one", &["values", "20", "100000"]).await?;
    assert_eq!(code.as_str_name(), "VALID");
    let response = client.call("one", &["queries", "100"]).await?;
    assert!(response.message.contains(full), "rows of open queries: {}", response.message);
    peer.stop().await;
    Ok(())
}
