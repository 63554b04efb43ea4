//! Transactions through the Handler and the channels, with a signed proposal and a real ledger behind them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context;
use prost::Message;
use selvedge::chaincode::{ChaincodeSupport, TransactionParams};
use selvedge::container::Ccid;
use selvedge::ledger::Ledger;
use selvedge::testing::{Client, Plugin, TestPeer};
use selvedge_proto::protos::{ChaincodeInput, Proposal, SignedProposal};
use tokio::runtime::Handle;

use crate::measure::{Better, Row, TURN, TURNS, serial, table};
use crate::native::Native;

/// Transactions at a time, where it is many.
pub(crate) const IN_FLIGHT: usize = 64;

/// What a transaction needs, but for its id.
#[derive(Clone)]
pub(crate) struct Caller {
    support: ChaincodeSupport,
    ledger: Arc<Ledger>,
    signed: Arc<SignedProposal>,
    proposal: Arc<Proposal>,
    count: Arc<AtomicU64>,
}

impl Caller {
    /// On the development channel of a node.
    fn new(peer: &TestPeer, client: &Client) -> anyhow::Result<Self> {
        let proposal = client.proposal("asset", &["empty"])?;
        Ok(Self {
            support: peer.node().support().clone(),
            ledger: peer.node().ledgers().get("mychannel").context("mychannel")?,
            proposal: Arc::new(Proposal::decode(proposal.proposal.clone())?),
            signed: Arc::new(proposal.signed),
            count: Arc::default(),
        })
    }

    /// One execution, from the signed proposal to the response.
    pub(crate) async fn execute(&self, ccid: &Ccid, args: &[&'static str]) {
        let txid = format!("{:064x}", self.count.fetch_add(1, Ordering::Relaxed));
        let simulator = self.ledger.new_tx_simulator(&txid).expect("the ledger is open");
        let params = TransactionParams {
            txid,
            channel_id: self.ledger.channel_id().to_owned(),
            signed_proposal: Some(Arc::clone(&self.signed)),
            proposal: Some(Arc::clone(&self.proposal)),
            simulator: Some(Arc::new(Mutex::new(simulator))),
            ..Default::default()
        };
        let input = ChaincodeInput { args: args.iter().map(|arg| (*arg).into()).collect(), ..Default::default() };
        let executed = self.support.execute(&params, ccid, input).await.expect("the chaincode answers");
        assert_eq!(executed.response.status, 200, "{:?}", executed.response);
    }

    /// [`IN_FLIGHT`] executions at a time, for one turn; microseconds for each of them.
    pub(crate) async fn execute_in_flight(
        &self,
        ccid: &Ccid,
        args: &'static [&'static str],
        work: &Handle,
    ) -> anyhow::Result<f64> {
        let started = Instant::now();
        let done = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (caller, ccid, done) = (self.clone(), ccid.clone(), Arc::clone(&done));
                work.spawn(async move {
                    while started.elapsed() < TURN {
                        caller.execute(&ccid, args).await;
                        done.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok(started.elapsed().as_secs_f64() * 1e6 / done.load(Ordering::Relaxed) as f64)
    }

    /// What the store alone costs: the simulator, and the same reads and writes.
    fn store(&self, count: usize) {
        let mut simulator = self.ledger.new_tx_simulator("t").expect("the ledger is open");
        for index in 0..count {
            let key = format!("ops{index}");
            let _ = simulator.get_state("asset", &key).expect("a read");
            simulator.set_state("asset", &key, vec![b'x'; 100].into()).expect("a write");
        }
    }
}

/// A node in development mode with room for what is in flight, whose `asset` has the keys that `ops` reads. `folder` need not
/// be there.
pub(crate) async fn start(folder: &Path, more: &[(&str, &str)]) -> anyhow::Result<(TestPeer, Caller)> {
    std::fs::create_dir_all(folder)?;
    let settings = [&[("CHAINCODE_MODE", "dev"), ("CHAINCODE_WASM_INSTANCES", "576")], more].concat();
    let peer = TestPeer::start(folder, &[Plugin::guest("asset", "asset")?], &settings).await?;
    peer.recorder().pause();
    let client = peer.client().await?;
    client.submit("asset", &["ops", "10"]).await?;
    let caller = Caller::new(&peer, &client)?;
    Ok((peer, caller))
}

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let (peer, caller) = start(folder.path(), &[]).await?;
        let version = env!("CARGO_PKG_VERSION");
        Native::register(peer.node().support(), &format!("native:{version}"))?;
        let (native, wasm) = (Ccid::new("native", version), Ccid::new("asset", version));
        let work = peer.node().work();
        let serially = caller.clone();
        let (n, w) = (native.clone(), wasm.clone());
        work.spawn(async move { one_at_a_time(&serially, &n, &w).await }).await?;
        in_flight(&caller, &wasm, &work).await?;
        peer.stop().await;
        Ok(())
    })
}

async fn one_at_a_time(caller: &Caller, native: &Ccid, wasm: &Ccid) {
    let mut empty = [Row::new("native in-process SCC"), Row::new("wasm SCC, fresh instance").must(12.0)];
    let mut ops = [
        Row::new("native in-process SCC"),
        Row::new("wasm SCC, fresh instance").must(50.0),
        Row::new("the store alone: simulator, 10 get + 10 put"),
    ];
    for _ in 0..TURNS {
        empty[0].add(serial(|| caller.execute(native, &["empty"])).await);
        empty[1].add(serial(|| caller.execute(wasm, &["empty"])).await);
        ops[0].add(serial(|| caller.execute(native, &["ops", "10"])).await);
        ops[1].add(serial(|| caller.execute(wasm, &["ops", "10"])).await);
        ops[2].add(serial(|| async { caller.store(10) }).await);
    }
    table("Empty transaction through the Handler, one at a time", "us", Better::Less, &empty);
    table("10 get + 10 put of 100 bytes through the Handler, one at a time", "us", Better::Less, &ops);
}

async fn in_flight(caller: &Caller, wasm: &Ccid, work: &Handle) -> anyhow::Result<()> {
    let mut rows = [Row::new("wasm SCC, empty").must(120.0), Row::new("wasm SCC, 10 get + 10 put").must(35.0)];
    for _ in 0..TURNS {
        rows[0].add(1e3 / caller.execute_in_flight(wasm, &["empty"], work).await?);
        rows[1].add(1e3 / caller.execute_in_flight(wasm, &["ops", "10"], work).await?);
    }
    table(&format!("{IN_FLIGHT} transactions in flight, all processors"), "thousands a second", Better::More, &rows);
    Ok(())
}
