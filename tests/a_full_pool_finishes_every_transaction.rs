//! A pool of eight instances under a thousand concurrent transactions, each with chaincode calling chaincode three deep:
//! all finish, and none sees what another left in memory.

use selvedge::testing::{Plugin, TestPeer};
use tokio::task::JoinSet;

const TRANSACTIONS: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_transactions_three_deep_in_a_pool_of_eight() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [
        Plugin::guest("one", "mischief")?,
        Plugin::guest("two", "mischief")?,
        Plugin::guest("three", "mischief")?,
        Plugin::guest("four", "mischief")?,
    ];
    let limits = [
        ("CHAINCODE_WASM_INSTANCES", "8"),
        ("CHAINCODE_WASM_LIMITS_CALLDEPTH", "3"),
        ("CHAINCODE_EXECUTETIMEOUT", "120s"),
    ];
    let peer = TestPeer::start(folder.path(), &plugins, &limits).await?;
    peer.recorder().pause();
    let client = peer.client().await?;
    let mut transactions = JoinSet::new();
    for _ in 0..TRANSACTIONS {
        let client = client.clone();
        transactions.spawn(async move { client.query("one", &["chain", "10", "two", "three", "four"]).await });
    }
    while let Some(answer) = transactions.join_next().await {
        let answer = answer??;
        assert_eq!(String::from_utf8_lossy(&answer), "clean clean clean clean");
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_deeper_than_the_limit_is_an_error_that_names_the_key() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins =
        [Plugin::guest("one", "mischief")?, Plugin::guest("two", "mischief")?, Plugin::guest("three", "mischief")?];
    let limits = [("CHAINCODE_WASM_LIMITS_CALLDEPTH", "1")];
    let peer = TestPeer::start(folder.path(), &plugins, &limits).await?;
    let client = peer.client().await?;
    let refused = client.call("one", &["chain", "1", "two", "three"]).await?;
    assert_eq!(refused.status, 500);
    assert!(refused.message.contains("chaincode.wasm.limits.callDepth"), "{}", refused.message);
    peer.stop().await;
    Ok(())
}
