//! Too much of everything, and nothing at all.

use std::time::{Duration, Instant};

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{GetState, GetStateByRange, QueryResponse};

use super::foreign::commit_rows;
use super::process::{Process, connect, dev_peer, message, patient_peer};

/// What this process has in memory, in MiB: the node and the hostile side.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_messages_is_worked_off_and_nobody_waits_for_it() -> anyhow::Result<()> {
    const MANY: usize = 20_000;
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let mut flood = Process::registered(&peer, "flood").await?;
    let execution = flood.begin(&peer, "t1").await?;
    let get = Bytes::from(GetState { key: "k".into(), collection: String::new() }.encode_to_vec());
    let before = resident();
    for number in 0..MANY {
        // Of its own transaction, of which one at a time is answered; of nobody's; and what is dropped.
        flood.send(message(Type::GetState, "t1", get.clone()))?;
        flood.send(message(Type::Completed, &format!("nobody{number}"), ""))?;
        flood.send(message(Type::Keepalive, "", ""))?;
    }
    for number in 0..20 {
        good.serve(&peer, &format!("meanwhile{number}")).await?;
    }
    // In order: once this is answered, the flood is over.
    flood.send(message(Type::GetState, "nobody", get))?;
    let mut answered = 0;
    loop {
        let answer = flood.next().await??.expect("an answer");
        if answer.txid == "nobody" {
            break;
        }
        answered += 1;
    }
    assert!((1..=MANY).contains(&answered), "{answered}");
    flood.complete("t1", "served")?;
    assert_eq!(execution.await??, "served");
    println!("{MANY} requests of which {answered} were answered; memory {before} MiB, then {} MiB", resident());
    good.serve(&peer, "last").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iterators_left_open_by_the_thousand_go_with_their_transaction() -> anyhow::Result<()> {
    const OPEN: usize = 5_000;
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "good").await?;
    let mut cc = Process::registered(&peer, "cc").await?;
    commit_rows(&peer)?;
    let range = GetStateByRange { start_key: "k".into(), end_key: "l".into(), ..Default::default() };
    let range = Bytes::from(range.encode_to_vec());
    for round in 0..2 {
        let txid = format!("t{round}");
        let before = resident();
        let execution = cc.begin(&peer, &txid).await?;
        for _ in 0..OPEN {
            cc.send(message(Type::GetStateByRange, &txid, range.clone()))?;
            let batch = QueryResponse::decode(cc.expect(Type::Response).await?.payload)?;
            assert!(batch.has_more);
        }
        good.serve(&peer, &format!("innocent{round}")).await?;
        println!("{OPEN} iterators: memory {before} MiB, then {} MiB", resident());
        cc.complete(&txid, "served")?;
        execution.await??;
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_without_end_leaves_nothing_behind() -> anyhow::Result<()> {
    const STORM: usize = 120;
    let folder = tempfile::tempdir()?;
    let peer = dev_peer(&folder).await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let before = resident();
    for number in 0..STORM {
        // Gone before, while and after it is taken, or refused.
        let process = Process::dial(&peer).await?;
        match number % 4 {
            0 => process.register("storm:1.0")?,
            1 => process.register("cc:1.0")?,
            2 => drop(Process::registered(&peer, &format!("storm{number}")).await?),
            _ => {}
        }
        drop(process);
        if number % 20 == 0 {
            good.serve(&peer, &format!("t{number}")).await?;
        }
    }
    // All over one connection, too.
    let connection = connect(&peer).await?;
    let mut streams = Vec::new();
    for number in 0..STORM {
        let stream = tokio::time::timeout(Duration::from_secs(1), Process::open(connection.clone())).await;
        let Ok(stream) = stream else { break };
        let stream = stream?;
        stream.register(&format!("many{number}:1.0"))?;
        streams.push(stream);
    }
    println!("{} streams of one connection; memory {before} MiB, then {} MiB", streams.len(), resident());
    good.serve(&peer, "amid").await?;
    drop((streams, connection));
    good.serve(&peer, "last").await?;
    // The names are free for whoever comes next.
    for name in ["storm:1.0", "storm2:1.0", "many0:1.0"] {
        let mut process = Process::dial(&peer).await?;
        let began = Instant::now();
        // Who left is taken out a moment after it has closed its socket.
        loop {
            process.register(name)?;
            let next = tokio::time::timeout(Duration::from_millis(100), process.from_peer.message()).await;
            match next {
                Ok(answer) => break assert_eq!(answer?.expect("an answer").r#type(), Type::Registered, "{name}"),
                Err(_) => assert!(began.elapsed() < Duration::from_secs(10), "{name} is not free"),
            }
        }
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_waited_for_as_long_as_a_transaction_may_take() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = patient_peer(&folder, "2s").await?;
    let mut good = Process::registered(&peer, "cc").await?;
    let mut silent = Process::registered(&peer, "silent").await?;
    let execution = silent.begin(&peer, "t1").await?;
    for number in 0..10 {
        good.serve(&peer, &format!("meanwhile{number}")).await?;
    }
    let error = execution.await?.unwrap_err().to_string();
    let timeout = "error sending: timeout expired while executing transaction";
    assert_eq!(error, format!("failed to execute transaction t1: {timeout}"));
    // It is not told, and what it says now is of no transaction.
    silent.assert_silent().await;
    silent.send(message(Type::GetState, "t1", ""))?;
    assert!(silent.expect(Type::Error).await?.payload.ends_with(b"no ledger context"));
    silent.complete("t1", "too late")?;
    silent.serve(&peer, "t2").await?;
    peer.stop().await;
    Ok(())
}
