//! Whatever a chaincode does to itself, its client gets an error that says what happened, and the node goes on.

use std::time::Duration;

use anyhow::Context;
use selvedge::testing::{Plugin, TestPeer};

/// Each way to misbehave, and what the client is told.
const TABLE: &[(&[&str], &[&str])] = &[
    (&["panic", "boom"], &["transaction returned with failure: chaincode mischief:", "panicked at", "lib.rs:", "boom"]),
    (&["exit", "3"], &["exit(3)"]),
    (&["loop"], &["ran for", "the limit is 300 ms (chaincode.wasm.limits.time)"]),
    (&["memory"], &["bytes of memory, the limit is 33554432 (chaincode.wasm.limits.memory)"]),
    (&["recurse"], &["used up its stack of 524288 bytes (chaincode.wasm.limits.stack)"]),
    (&["stack"], &["trapped"]),
    (&["value", "3000000"], &["a value of 3000000 bytes, the limit is 2097152 (chaincode.wasm.limits.value)"]),
    (&["event", "3000000"], &["an event of 3000000 bytes, the limit is 2097152 (chaincode.wasm.limits.value)"]),
    (
        &["payload", "3000000"],
        &["returned a response of 3000000 bytes, the limit is 2097152 (chaincode.wasm.limits.value)"],
    ),
    (
        &["payload", "9000000"],
        &["more than 4194304 bytes in one call of the host (chaincode.wasm.limits.hostCallBytes)"],
    ),
    (&["garble"], &["chaincode mischief:", "utf-8"]),
    (&["lie"], &["chaincode mischief:"]),
    (&["no such thing"], &["no such mischief: no such thing"]),
];

const LIMITS: &[(&str, &str)] = &[
    ("CHAINCODE_WASM_LIMITS_TIME", "300ms"),
    ("CHAINCODE_WASM_LIMITS_MEMORY", "32 MiB"),
    ("CHAINCODE_WASM_LIMITS_VALUE", "2 MiB"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_misbehave_gets_its_error_and_the_next_transaction_is_served() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("mischief", "mischief")?, Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, LIMITS).await?;
    let client = peer.client().await?;
    for (args, expected) in TABLE {
        let response = client.call("mischief", args).await.with_context(|| format!("{args:?}"))?;
        assert_eq!(response.status, 500, "{args:?}: {response:?}");
        for part in *expected {
            assert!(
                response.message.to_lowercase().contains(&part.to_lowercase()),
                "{args:?} should tell {part:?}, and tells: {}",
                response.message
            );
        }
        client.query("asset", &["empty"]).await.with_context(|| format!("after {args:?}"))?;
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_cannot_swallow_what_other_endorsers_might_not_see() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("mischief", "mischief")?, Plugin::guest("other", "mischief")?];
    let peer = TestPeer::start(folder.path(), &plugins, LIMITS).await?;
    let client = peer.client().await?;

    let panicked = client.query("mischief", &["swallow", "other", "panic", "boom"]).await?;
    let panicked = String::from_utf8_lossy(&panicked);
    assert!(panicked.contains("boom"), "a panic is the same on every endorser, so a caller may go on: {panicked}");

    let timed_out = client.call("mischief", &["swallow", "other", "loop"]).await?;
    assert_eq!(timed_out.status, 500, "a callee's time depends on the machine: {timed_out:?}");
    assert!(timed_out.message.contains("chaincode.wasm.limits.time"), "{timed_out:?}");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_and_randomness_follow_from_the_proposal() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("mischief", "mischief")?], &[]).await?;
    let client = peer.client().await?;
    let proposal = client.proposal("mischief", &["clock"])?;
    let first = client.endorse(&proposal).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = client.endorse(&proposal).await?;
    assert_eq!(first.payload, again.payload, "one proposal, two endorsements");
    let other = client.endorse(&client.proposal("mischief", &["clock"])?).await?;
    assert_ne!(first.response, other.response, "another transaction sees other numbers");
    peer.stop().await;
    Ok(())
}
