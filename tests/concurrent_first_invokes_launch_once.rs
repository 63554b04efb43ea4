//! A chaincode that does not run is launched once, however many clients want it at the same time; and again after a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use selvedge::container::{Ccid, StopContainer, VmType};
use selvedge::testing::{Direction, Plugin, TestPeer};
use selvedge_proto::protos::chaincode_message::Type;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const CLIENTS: usize = 64;
/// How long stops and invokes go on side by side, and how much longer if the machine has no time for them.
const SIDE_BY_SIDE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test of stops and invokes has come to.
#[derive(Default)]
struct Counts {
    stops: AtomicUsize,
    served: AtomicUsize,
    cut: AtomicUsize,
}

impl Counts {
    fn are_enough(&self) -> bool {
        self.stops.load(Ordering::Relaxed) > 10 && self.served.load(Ordering::Relaxed) > 50
    }

    fn go_on(&self, began: Instant) -> bool {
        began.elapsed() < if self.are_enough() { SIDE_BY_SIDE } else { PATIENCE }
    }
}

fn asset() -> Ccid {
    Ccid::new("asset", "1.0")
}

/// How often the chaincode registered since the last call.
fn registrations(peer: &TestPeer) -> usize {
    let recorded = peer.recorder().take();
    let registers =
        recorded.iter().filter(|one| one.direction == Direction::ToPeer && one.message.r#type() == Type::Register);
    registers.filter(|one| one.chaincode == asset().to_string()).count()
}

async fn start(folder: &tempfile::TempDir) -> anyhow::Result<TestPeer> {
    let settings = [("CHAINCODE_WASM_SYSTEMVERSION", "1.0")];
    TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_share_one_launch() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = start(&folder).await?;
    let client = peer.client().await?;
    assert_eq!(registrations(&peer), 1, "the deployment launched it");

    for round in 0..3 {
        peer.node().controller().stop(VmType::System, &asset(), StopContainer::default()).await?;
        let barrier = Arc::new(Barrier::new(CLIENTS));
        let mut calls = JoinSet::new();
        for _ in 0..CLIENTS {
            let (client, barrier) = (client.clone(), Arc::clone(&barrier));
            calls.spawn(async move {
                barrier.wait().await;
                client.query("asset", &["empty"]).await
            });
        }
        while let Some(call) = calls.join_next().await {
            call??;
        }
        assert_eq!(registrations(&peer), 1, "round {round}");
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_and_invokes_side_by_side_end_in_answers_and_a_running_chaincode() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = start(&folder).await?;
    peer.recorder().pause();
    let client = peer.client().await?;
    let (began, counts) = (Instant::now(), Arc::new(Counts::default()));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (client, counts) = (client.clone(), Arc::clone(&counts));
        clients.spawn(async move {
            while counts.go_on(began) {
                let response = client.call("asset", &["ops", "3"]).await?;
                let count = match response.message.as_str() {
                    "" => &counts.served,
                    text if cut_short(text) => &counts.cut,
                    other => anyhow::bail!("{other}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    while counts.go_on(began) {
        // It may be between two lives, where there is nothing to stop.
        let stopped = peer.node().controller().stop(VmType::System, &asset(), StopContainer::default()).await;
        counts.stops.fetch_add(usize::from(stopped.is_ok()), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let [stops, served, cut] = [&counts.stops, &counts.served, &counts.cut].map(|count| count.load(Ordering::Relaxed));
    println!("{stops} stops; {served} invokes served, {cut} cut short");
    assert!(counts.are_enough(), "{stops} stops, {served} invokes served, {cut} cut short");
    client.query("asset", &["empty"]).await?;
    peer.stop().await;
    Ok(())
}

/// What a client may be told whose chaincode was stopped under it.
fn cut_short(text: &str) -> bool {
    [
        "chaincode stream terminated",
        "has stopped",
        "could not find handler",
        "container exited with",
        // Stopped between its start and the wait for its end.
        "failed to wait on container exit",
    ]
    .iter()
    .any(|expected| text.contains(expected))
}
