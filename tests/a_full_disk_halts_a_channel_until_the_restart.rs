//! A disk that takes no more, under the real program: the channel that needs it halts and says so everywhere, the others go
//! on, and after a restart nothing is lost. What fails beside the ledgers, the cache of modules and the log, stops nothing.
//!
//! The disk is made full by the limit on the size of a file, which anybody may set: a write beyond it fails with EFBIG as one
//! on a full disk does with ENOSPC.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use selvedge::testing::{Client, NodeFolder, NodeProcess, Plugin};
use selvedge_proto::common::Status;
use selvedge_proto::protos::TxValidationCode;

/// Bytes in one of the shell's units.
const UNIT: u64 = 512;
/// Of each asset, in its value and in its index.
const OWNER: usize = 100_000;
const FULL: &str = "the ledger's database failed: I/O error: File too large (os error 27)";

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command.args(["node", "start"]);
    command
}

/// The node where no file may become longer.
fn limited(bytes: u64) -> Command {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" node start", bytes.div_ceil(UNIT));
    command.args(["-c", &script, env!("CARGO_BIN_EXE_selvedge")]);
    command
}

async fn create(client: &Client, id: &str, owner: &str) -> anyhow::Result<TxValidationCode> {
    client.submit("asset", &["create", id, owner, "1"]).await
}

async fn health(node: &NodeFolder) -> String {
    let node = node.clone();
    tokio::task::spawn_blocking(move || node.health().unwrap_or_default()).await.unwrap_or_default()
}

async fn serve<'a>(node: &'a NodeFolder, process: &'a mut NodeProcess) -> anyhow::Result<(Client, Client)> {
    let first = node.connect(process, "mychannel").await?;
    Ok((first, node.connect(process, "second").await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_without_room_halts_and_the_others_go_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let more = "network:\n  development:\n    batchTimeout: 5ms\n";
    let node = NodeFolder::new(folder.path(), &[Plugin::guest("asset", "asset")?], more)?;
    let owner = "x".repeat(OWNER);
    let mut process = node.start(program())?;
    let client = node.connect(&mut process, "mychannel").await?;
    assert_eq!(node.join("second").await?.status, 200);
    let mut committed = Vec::new();
    for number in 0..10 {
        let id = format!("before{number}");
        assert_eq!(create(&client, &id, &owner).await?, TxValidationCode::Valid);
        committed.push(id);
    }
    assert!(health(&node).await.starts_with("HTTP/1.1 200"));
    process.kill()?;

    let size = fs::metadata(node.ledgers().join("mychannel.redb"))?.len();
    let mut process = node.start(limited(size))?;
    let (client, second) = serve(&node, &mut process).await?;
    let (_, late) = client.transaction("asset", &["create", "late", &owner, "1"]).await?;
    let failed = loop {
        let id = format!("after{}", committed.len());
        match create(&client, &id, &owner).await {
            Ok(code) => assert_eq!(code, TxValidationCode::Valid, "what cannot be stored is not invalid"),
            Err(error) => break error.to_string(),
        }
        committed.push(id);
        assert!(committed.len() < 1000, "the disk is never full");
    };
    assert!(failed.starts_with("the stream of blocks ended before the commit"), "it was ordered: {failed}");
    // The orderer learns of it a moment after those who wait for the block.
    let refused = loop {
        let answer = client.broadcast(late.clone()).await?;
        if answer.status() != Status::Success {
            break answer;
        }
    };
    assert_eq!(refused.status(), Status::ServiceUnavailable);
    assert_eq!(refused.info, format!("the orderer of channel mychannel has stopped: {FULL}"));
    // What is in memory can be read; the database reads nothing more.
    match client.query("asset", &["read", &committed[0]]).await {
        Ok(record) => assert!(record.len() > OWNER),
        Err(error) => {
            assert!(error.to_string().contains("the ledger's database is closed since its disk failed"), "{error}")
        }
    }
    let told = health(&node).await;
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(
        told.contains(&format!(r#"{{"component":"ledger","reason":"channel mychannel is halted: {FULL}"}}"#)),
        "{told}"
    );
    assert!(
        told.contains(r#"{"component":"orderer","reason":"channel mychannel: the ledger's database failed"#),
        "{told}"
    );
    assert!(node.log()?.contains("the channel is halted"), "{}", node.log()?);
    for number in 0..5 {
        assert_eq!(create(&second, &format!("other{number}"), "ada").await?, TxValidationCode::Valid);
    }
    process.kill()?;

    let mut process = node.start(program())?;
    let (client, second) = serve(&node, &mut process).await?;
    assert!(health(&node).await.starts_with("HTTP/1.1 200"));
    for id in &committed {
        let record = client.query("asset", &["read", id]).await?;
        assert!(record.len() > OWNER, "{id} is whole");
    }
    assert_eq!(create(&client, "at-last", &owner).await?, TxValidationCode::Valid);
    assert_eq!(create(&second, "at-last", "ada").await?, TxValidationCode::Valid);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_module_cache_and_a_full_log_stop_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = NodeFolder::new(folder.path(), &[Plugin::guest("asset", "asset")?], "")?;
    let mut process = node.start(program())?;
    node.connect(&mut process, "mychannel").await?;
    process.kill()?;
    let cache = folder.path().join("data/wasm-cache");
    let modules = || {
        let files = fs::read_dir(&cache).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|kind| kind != "key")).count()
    };
    assert!(modules() > 0, "there is a cache");
    fs::remove_dir_all(&cache)?;

    // Enough for the key, not for a module.
    let mut process = node.start(limited(100_000))?;
    let client = node.connect(&mut process, "mychannel").await?;
    assert_eq!(client.query("asset", &["list", "a", "z"]).await?, "[]");
    assert_eq!(modules(), 0, "half a module is not kept");
    assert!(node.log()?.contains("File too large"), "{}", node.log()?);
    process.kill()?;

    // Every line of the log fails with ENOSPC.
    let mut full = Command::new("sh");
    full.args(["-c", "exec \"$0\" node start 2>/dev/full", env!("CARGO_BIN_EXE_selvedge")]).stdout(Stdio::null());
    let mut process = node.start(full)?;
    let client = node.connect(&mut process, "mychannel").await?;
    assert_eq!(create(&client, "b", "ada").await?, TxValidationCode::Valid);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(health(&node).await.starts_with("HTTP/1.1 200"));
    Ok(())
}
