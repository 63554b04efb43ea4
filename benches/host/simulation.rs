//! Simulators while blocks of 500 transactions are committed back to back: a simulator takes a snapshot and waits for
//! nobody.
//!
//! A commit uses all processors, so a simulator gets less of them, as beside any other work. The second row shows that:
//! threads as many as the validator's verify signatures, and nobody commits. What the third row has above it is what
//! commits cost simulators otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use selvedge::ledger::Ledger;
use selvedge_proto::common::Block;

use crate::commit::{Signature, TRANSACTIONS, commit, signatures, verify};
use crate::measure::{Better, Row, TURNS, table};
use crate::network::{CHAINCODE, CHANNEL, KEYS, Network, Peer, key};

/// Blocks that are committed in a turn, while simulators run.
const BLOCKS: usize = 4;
/// Simulations of a turn when nobody commits.
const IDLE: Duration = Duration::from_millis(400);
const ROWS: usize = 50;

/// One simulation: its name and what it does.
type Operation = (&'static str, fn(&Ledger, usize));

const OPERATIONS: [Operation; 3] = [
    ("a simulator gets a key", |ledger, number| {
        let mut simulator = ledger.new_tx_simulator("t").expect("the ledger is open");
        let value = simulator.get_state(CHAINCODE, &key(number)).expect("a read");
        assert!(value.is_some(), "every key has a value");
    }),
    ("a simulator reads a range of 50 keys", |ledger, number| {
        let mut simulator = ledger.new_tx_simulator("t").expect("the ledger is open");
        let first = number.min(KEYS - ROWS);
        let mut rows = simulator.get_state_range(CHAINCODE, &key(first), &key(first + ROWS)).expect("a range");
        let read = std::iter::from_fn(|| simulator.next(&mut rows).expect("a row")).count();
        assert_eq!(read, ROWS);
    }),
    ("a simulator puts a key and gives its results", |ledger, number| {
        let mut simulator = ledger.new_tx_simulator("t").expect("the ledger is open");
        simulator.set_state(CHAINCODE, &key(number), Bytes::from_static(&[b'w'; 200])).expect("a write");
        assert!(!simulator.results().expect("results").public.is_empty());
    }),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let network = Network::new()?;
    let folder = tempfile::tempdir()?;
    let peer = network.peer(&folder.path().join("ledger"))?;
    let mut chain = network.chain(1);
    peer.fill(chain.fill()?)?;
    let sample = chain.blocks(1, TRANSACTIONS)?;
    let bundle = peer.channels.get(CHANNEL).context("the channel is open")?;
    let work = signatures(&sample[0], bundle.msps())?;
    commit(&peer, &sample[0])?;
    for (name, operation) in OPERATIONS {
        let names = ["nobody commits", "nobody commits, signatures are verified", "blocks are committed"];
        let [mut median, mut slow, mut slowest] = [(); 3].map(|()| names.map(Row::new));
        for _ in 0..TURNS {
            let blocks = chain.blocks(BLOCKS, TRANSACTIONS)?;
            let turn = [
                idle(&peer, operation),
                beside(&peer, operation, || busy(&work))?,
                beside(&peer, operation, || commit_all(&peer, &blocks))?,
            ];
            for (row, mut times) in turn.into_iter().enumerate() {
                times.sort();
                let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
                median[row].add(at(0.5));
                slow[row].add(at(0.99));
                slowest[row].add(at(1.0));
            }
        }
        table(&format!("{name}: median"), "us", Better::Less, &median);
        table(&format!("{name}: 99th percentile"), "us", Better::Less, &slow);
        table(&format!("{name}: the slowest of a turn"), "us", Better::Less, &slowest);
    }
    Ok(())
}

fn idle(peer: &Peer, operation: fn(&Ledger, usize)) -> Vec<Duration> {
    let started = Instant::now();
    simulate(&peer.ledger, operation, || started.elapsed() < IDLE)
}

/// Simulates until `work` is done, which happens on other threads.
fn beside(
    peer: &Peer,
    operation: fn(&Ledger, usize),
    work: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<Vec<Duration>> {
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let done = work();
            working.store(false, Ordering::Release);
            done
        });
        let times = simulate(&peer.ledger, operation, || working.load(Ordering::Acquire));
        worker.join().expect("it does not panic")?;
        Ok(times)
    })
}

fn busy(work: &[Signature]) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < IDLE {
        verify(work)?;
    }
    Ok(())
}

fn commit_all(peer: &Peer, blocks: &[Block]) -> anyhow::Result<()> {
    blocks.iter().try_for_each(|block| commit(peer, block).map(drop))
}

/// How long each simulation took, as long as `more`.
fn simulate(ledger: &Arc<Ledger>, operation: fn(&Ledger, usize), more: impl Fn() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut number = 0;
    while times.is_empty() || more() {
        number = (number + 7_919) % KEYS;
        let started = Instant::now();
        operation(ledger, number);
        times.push(started.elapsed());
    }
    times
}
