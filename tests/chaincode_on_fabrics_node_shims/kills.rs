//! Chaincode that ends, and chaincode that does not answer: whose transactions fail, with which words, and when.

use std::time::{Duration, Instant};

use selvedge::testing::Client;

use super::network::{Cell, Form, Network, Shim, Transport};
use super::{PLAIN, TLS};

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
async fn kill(network: &mut Network, victim: &Cell) -> anyhow::Result<Duration> {
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
    network.kill(victim)?;
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

async fn killed_and_started_again(transport: Transport, victim: Cell, bystander: Cell) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut network = Network::start(folder.path(), transport, &[victim, bystander], &[]).await?;
    let client = network.client().await?;
    let mut times = Vec::new();
    for _ in 0..KILLS {
        times.push(kill(&mut network, &victim).await?);
        if victim.form != Form::Launched {
            network.start_again(&victim).await?;
        }
        assert_eq!(answer(&client, "victim", &["empty"]).await?, Ok(String::new()), "the next call finds it again");
    }
    times.sort();
    println!("{:?} {transport:?}: {IN_FLIGHT} clients had their answer after {times:?}", victim.form);
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_chaincode_that_is_killed_learns_it_at_once() -> anyhow::Result<()> {
    let victim = Cell::new("victim", Shim::V2_5, Form::ByHand);
    killed_and_started_again(Transport::Plain, victim, Cell::new("bystander", Shim::V2_2, Form::Service)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launched_chaincode_that_is_killed_is_launched_again() -> anyhow::Result<()> {
    let victim = Cell::new("victim", Shim::V2_2, Form::Launched);
    killed_and_started_again(Transport::Tls, victim, Cell::new("bystander", Shim::V2_5, Form::Launched)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_is_dialled_again() -> anyhow::Result<()> {
    let victim = Cell::new("victim", Shim::V2_2, Form::Service);
    killed_and_started_again(Transport::Plain, victim, Cell::new("bystander", Shim::V2_5, Form::ByHand)).await
}

/// The shims answer nothing in place of a chaincode whose exception escapes, and go on.
async fn an_exception_escapes(transport: Transport, cells: [Cell; 4]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let network = Network::start(folder.path(), transport, &cells, &[("CHAINCODE_EXECUTETIMEOUT", "4s")]).await?;
    let client = network.client().await?;
    let escaped = cells.map(|cell| {
        let client = client.clone();
        tokio::spawn(async move { answer(&client, cell.name, &["escape", "nobody catches this"]).await })
    });
    // Others of the same chaincode are served meanwhile.
    for cell in &cells {
        assert_eq!(answer(&client, cell.name, &["empty"]).await?, Ok(String::new()));
    }
    for (cell, escaped) in cells.iter().zip(escaped) {
        let text = "failed to execute transaction TXID: error sending: timeout expired while executing transaction";
        assert_eq!(escaped.await??, Err(text.to_owned()), "{}", cell.name);
        assert_eq!(answer(&client, cell.name, &["get", "escaped"]).await?, Ok(r#""""#.to_owned()));
    }
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_that_escapes_is_a_timeout_and_the_chaincode_lives_on() -> anyhow::Result<()> {
    an_exception_escapes(Transport::Plain, PLAIN).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_that_escapes_with_tls_is_the_same() -> anyhow::Result<()> {
    an_exception_escapes(Transport::Tls, TLS).await
}
