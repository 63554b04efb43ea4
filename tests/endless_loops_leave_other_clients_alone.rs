//! More endless loops than worker threads, beside an innocent client: its requests all succeed, each offender is told
//! the cause and the key, and the memory they took is given back.

use std::time::{Duration, Instant};

use selvedge::testing::{Plugin, TestPeer};

const WORKERS: usize = 2;
const LIMIT: &str = "5s";
/// Resident memory may stay this much above its level before: what allocators and the pool's slots keep warm.
const TOLERANCE: u64 = 48 << 20;

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_endless_loops_than_workers() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("mischief", "mischief")?, Plugin::guest("asset", "asset")?];
    let limits = [("CHAINCODE_WASM_WORKERS", "2"), ("CHAINCODE_WASM_LIMITS_TIME", LIMIT)];
    let peer = TestPeer::start(folder.path(), &plugins, &limits).await?;
    // What is recorded stays in memory, which is measured here.
    peer.recorder().pause();
    let innocent = peer.client().await?;
    for _ in 0..50 {
        innocent.query("asset", &["ops", "10"]).await?;
    }
    let before = resident();

    let offenders: Vec<_> = (0..WORKERS + 2)
        .map(|_| {
            let client = innocent.clone();
            tokio::spawn(async move { client.call("mischief", &["loop"]).await })
        })
        .collect();
    let mut latencies = Vec::new();
    while !offenders.iter().all(tokio::task::JoinHandle::is_finished) {
        let started = Instant::now();
        innocent.query("asset", &["ops", "10"]).await?;
        latencies.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for offender in offenders {
        let response = offender.await??;
        assert_eq!(response.status, 500);
        assert!(response.message.contains("(chaincode.wasm.limits.time)"), "{}", response.message);
    }
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    println!(
        "{} innocent requests beside {} endless loops on {WORKERS} workers: p50 {:?}, p99 {:?}, slowest {:?}",
        latencies.len(),
        WORKERS + 2,
        at(50),
        at(99),
        at(100)
    );
    assert!(latencies.len() > 20, "the innocent client made only {} requests", latencies.len());

    let after = resident();
    println!("resident memory: {} MiB before, {} MiB after", before >> 20, after >> 20);
    assert!(after < before + TOLERANCE, "{before} bytes before, {after} after, {TOLERANCE} more are tolerated");
    peer.stop().await;
    Ok(())
}
