//! ProcessProposal over gRPC, the client in this process on the same processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use selvedge::testing::{Client, Plugin, TestPeer};

use crate::measure::{Better, Row, TURN, TURNS, processor_time, table};

const CALLS: [(&str, &str, &[&str]); 3] = [
    ("qscc GetChainInfo", "qscc", &["GetChainInfo", "mychannel"]),
    ("asset, empty", "asset", &["empty"]),
    ("asset, 10 get + 10 put", "asset", &["ops", "10"]),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let settings = [("CHAINCODE_WASM_INSTANCES", "288")];
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &settings).await?;
        peer.recorder().pause();
        let client = peer.client().await?;
        for in_flight in [1, 16] {
            let mut rates: Vec<_> = CALLS.iter().map(|(name, ..)| Row::new(*name)).collect();
            let mut costs: Vec<_> = CALLS.iter().map(|(name, ..)| Row::new(*name)).collect();
            for _ in 0..TURNS {
                for (index, (_, chaincode, args)) in CALLS.iter().enumerate() {
                    let (rate, cost) = turn(&client, in_flight, chaincode, args).await?;
                    rates[index].add(rate);
                    costs[index].add(cost);
                }
            }
            let title = format!("ProcessProposal, {in_flight} in flight");
            table(&title, "a second", Better::More, &rates);
            table(&format!("{title}: processor time of peer and client for each"), "us", Better::Less, &costs);
        }
        peer.stop().await;
        Ok(())
    })
}

/// Proposals a second, and the processor time of each in microseconds.
async fn turn(
    client: &Client,
    in_flight: usize,
    chaincode: &'static str,
    args: &'static [&'static str],
) -> anyhow::Result<(f64, f64)> {
    let (started, before) = (Instant::now(), processor_time());
    let done = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while started.elapsed() < TURN {
                    client.query(chaincode, args).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let done = done.load(Ordering::Relaxed) as f64;
    let spent = (processor_time() - before).as_secs_f64();
    Ok((done / started.elapsed().as_secs_f64(), spent * 1e6 / done))
}
