//! A chaincode that does not run is launched once, however many clients want it at the same time; and again after a stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge::container::{Ccid, StopContainer, VmType};
use selvedge::testing::{Direction, Plugin, TestPeer};
use selvedge_proto::protos::chaincode_message::Type;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const CLIENTS: usize = 64;

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
    let end = Instant::now() + Duration::from_secs(1);
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        clients.spawn(async move {
            let (mut served, mut cut) = (0, 0);
            while Instant::now() < end {
                let response = client.call("asset", &["ops", "3"]).await?;
                match response.message.as_str() {
                    "" => served += 1,
                    text if cut_short(text) => cut += 1,
                    other => anyhow::bail!("{other}"),
                }
            }
            Ok((served, cut))
        });
    }
    let mut stops = 0;
    while Instant::now() < end {
        // It may be between two lives, where there is nothing to stop.
        let stopped = peer.node().controller().stop(VmType::System, &asset(), StopContainer::default()).await;
        stops += usize::from(stopped.is_ok());
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let mut total = (0, 0);
    while let Some(client) = clients.join_next().await {
        let (served, cut): (usize, usize) = client??;
        total = (total.0 + served, total.1 + cut);
    }
    println!("{stops} stops; {} invokes served, {} cut short", total.0, total.1);
    assert!(stops > 10 && total.0 > 50, "{stops} stops, {total:?} invokes");
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
