//! A node that stopped holds neither its ledgers nor the engine of its guests: another one starts in its place.

use std::time::{Duration, Instant};

use anyhow::Context;
use selvedge::testing::{Plugin, TestPeer};

/// The threads of this process that drive the epochs of an engine.
fn epoch_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "wasm-epoch").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_where_another_has_stopped() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    for round in 0..3 {
        let peer = TestPeer::start(folder.path(), &plugins, &[]).await.with_context(|| format!("round {round}"))?;
        peer.client().await?.query("asset", &["empty"]).await?;
        assert_eq!(epoch_threads(), 1, "round {round}");
        peer.stop().await;
        let began = Instant::now();
        while epoch_threads() > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "round {round}: the engine outlives its node");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
