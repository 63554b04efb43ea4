//! Chaincode that ends, and chaincode that does not answer: whose transactions fail, with which words, and when.

use std::time::{Duration, Instant};

use selvedge::testing::{Client, NodeChaincode};

use super::network::{Cell, Form, Network, Shim};

const CELLS: [Cell; 2] =
    [Cell::new("victim", Shim::V2_5, Form::Dials), Cell::new("bystander", Shim::V2_2, Form::Dials)];
const SERVED: [Cell; 2] =
    [Cell::new("victim", Shim::V2_2, Form::Serves), Cell::new("bystander", Shim::V2_5, Form::Serves)];
/// Transactions of the victim when it is killed.
const IN_FLIGHT: usize = 4;
const KILLS: usize = 3;

/// What the client of a chaincode gets, without the transaction's id.
async fn answer(client: &Client, chaincode: &str, args: &[&str]) -> anyhow::Result<Result<String, String>> {
    let proposal = client.proposal(chaincode, args)?;
    let answer = client.endorse(&proposal).await?.response.unwrap_or_default();
    Ok(match answer.status {
        200 => Ok(String::from_utf8_lossy(&answer.payload).into_owned()),
        _ => Err(answer.message.replace(&proposal.txid, "TXID")),
    })
}

/// Kills the victim amid its transactions. Returns when the last of its clients had its answer.
async fn kill(network: &Network, mut victim: NodeChaincode) -> anyhow::Result<Duration> {
    let client = network.client().await?;
    let calls: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                Ok::<_, anyhow::Error>((answer(&client, "victim", &["wait", "60000"]).await?, Instant::now()))
            })
        })
        .collect();
    let others = tokio::spawn({
        let client = client.clone();
        async move { answer(&client, "bystander", &["wait", "700"]).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(calls.iter().all(|call| !call.is_finished()), "they are under way");
    let killed = Instant::now();
    victim.kill()?;
    let mut last = Duration::ZERO;
    for call in calls {
        let (answer, at) = call.await??;
        let text = "failed to execute transaction TXID: error sending: chaincode stream terminated";
        assert_eq!(answer, Err(text.to_owned()));
        last = last.max(at - killed);
    }
    assert!(last < Duration::from_secs(10), "{last:?}, when a transaction may take 30 s");
    assert_eq!(others.await??, Ok(String::new()), "a transaction of another goes on");
    assert_eq!(answer(&client, "bystander", &["empty"]).await?, Ok(String::new()));
    Ok(last)
}

async fn killed_and_started_again(cells: &[Cell; 2]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut network = Network::start(folder.path(), cells, &[]).await?;
    let client = network.client().await?;
    let mut times = Vec::new();
    for _ in 0..KILLS {
        let victim = network.take(&cells[0]);
        times.push(kill(&network, victim).await?);
        network.start_again(&cells[0]).await?;
        assert_eq!(answer(&client, "victim", &["empty"]).await?, Ok(String::new()));
    }
    times.sort();
    println!("{:?}: {IN_FLIGHT} clients had their answer after {times:?}", cells[0].form);
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_chaincode_that_is_killed_learns_it_at_once() -> anyhow::Result<()> {
    killed_and_started_again(&CELLS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_service_that_is_killed_learns_it_at_once() -> anyhow::Result<()> {
    killed_and_started_again(&SERVED).await
}

/// The shims answer nothing in place of a chaincode whose exception escapes, and go on.
#[tokio::test(flavor = "multi_thread")]
async fn an_exception_that_escapes_is_a_timeout_and_the_chaincode_lives_on() -> anyhow::Result<()> {
    const CELLS: [Cell; 4] = [
        Cell::new("dials25", Shim::V2_5, Form::Dials),
        Cell::new("dials22", Shim::V2_2, Form::Dials),
        Cell::new("serves25", Shim::V2_5, Form::Serves),
        Cell::new("serves22", Shim::V2_2, Form::Serves),
    ];
    let folder = tempfile::tempdir()?;
    let network = Network::start(folder.path(), &CELLS, &[("CHAINCODE_EXECUTETIMEOUT", "4s")]).await?;
    let client = network.client().await?;
    let escaped = CELLS.map(|cell| {
        let client = client.clone();
        tokio::spawn(async move { answer(&client, cell.name, &["escape", "nobody catches this"]).await })
    });
    // Others of the same chaincode are served meanwhile.
    for cell in &CELLS {
        assert_eq!(answer(&client, cell.name, &["empty"]).await?, Ok(String::new()));
    }
    for (cell, escaped) in CELLS.iter().zip(escaped) {
        let text = "failed to execute transaction TXID: error sending: timeout expired while executing transaction";
        assert_eq!(escaped.await??, Err(text.to_owned()), "{}", cell.name);
        assert_eq!(answer(&client, cell.name, &["get", "escaped"]).await?, Ok(r#""""#.to_owned()));
    }
    network.stop().await
}
