//! A node without an engine, with one that dies and comes back, and with one whose disk is full. The engine is this test's
//! own, in a small file system of its own: both need root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use selvedge::testing::{Code, DockerPeer, DockerSetting, PrivateEngine, static_program};

/// Room for the images of two versions, and no more than a moment to fill.
const SIZE: &str = "size=256m";
const PATIENCE: Duration = Duration::from_secs(30);
const CREATE: &str = r#"{"Args":["create","a1","Ada","7"]}"#;
const READ: &str = r#"{"Args":["read","a1"]}"#;
const RECORD: &str = r#"{"id":"a1","owner":"Ada","value":7}"#;
const INIT: &str = r#"{"Args":[]}"#;

/// A file system in memory; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> anyhow::Result<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(folder).status()?;
        ensure!(mounted.success(), "this test mounts a file system, which needs root");
        Ok(Self(folder.to_owned()))
    }

    /// Leaves no room; returns what to remove for there to be some.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        while file.write_all(&[0; 1 << 16]).is_ok() {}
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a command says that has to fail.
async fn told(peer: &DockerPeer, verb: &str, version: &str) -> anyhow::Result<String> {
    let command = ["chaincode", verb, "-C", "mychannel", "-n", "asset", "-v", version, "-c", INIT];
    let ended = peer.run(&command).await?;
    ensure!(ended.code == Some(1), "{verb} should fail: {ended:?}");
    println!("{}", ended.stderr);
    Ok(ended.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_goes_on_whatever_the_engine_does() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (disk, files) = (folder.path().join("e"), folder.path().join("node"));
    std::fs::create_dir(&disk)?;
    std::fs::create_dir(&files)?;
    let small = SmallDisk::mount(&disk)?;
    let mut engine = PrivateEngine::new(&disk)?;
    let endpoint = engine.endpoint();
    let setting = DockerSetting::new(env!("CARGO_BIN_EXE_selvedge"), &files, "peer0", &endpoint);
    let mut peer = DockerPeer::started(setting).await?;
    let went = go(&peer, &mut engine, &small).await;
    let log = peer.node().log()?;
    peer.stop().await?;
    went.with_context(|| format!("the node's log:\n{log}"))
}

async fn go(peer: &DockerPeer, engine: &mut PrivateEngine, disk: &SmallDisk) -> anyhow::Result<()> {
    let program = static_program("asset")?;
    // No engine: the node says so once, installs, and a launch has a clear end.
    peer.install("asset", "1", Code::Rust(&program)).await?;
    for _ in 0..2 {
        let text = told(peer, "instantiate", "1").await?;
        let expected = format!("cannot connect to Docker endpoint {} (vm.endpoint)", engine.endpoint());
        ensure!(text.contains("msg error starting container: error starting container: "), "{text}");
        ensure!(text.contains(&expected), "{expected} is not in {text}");
    }
    let log = peer.node().log()?;
    ensure!(log.matches("Docker chaincode is off").count() == 1, "it should be said once:\n{log}");

    // It comes: no restart is needed.
    let docker = engine.start().await?;
    peer.deploy("instantiate", "asset", "1", INIT).await?;
    peer.invoke("asset", CREATE).await?;

    // It dies: what runs, runs. It comes back, ends what it finds running, and the chaincode is launched again.
    let before = peer.containers(&docker).await?;
    engine.kill()?;
    ensure!(peer.query("asset", READ).await? == RECORD);
    let docker = engine.start().await?;
    let started = Instant::now();
    while peer.query("asset", READ).await.ok().as_deref() != Some(RECORD) {
        ensure!(started.elapsed() < PATIENCE, "the chaincode is not launched again");
    }
    let after = peer.containers(&docker).await?;
    ensure!(before.len() == 1 && after.len() == 1 && after[0].running, "{before:?}, {after:?}");

    // It is stopped, and takes the chaincode along: a call says so, and the next one after its start is served.
    engine.stop()?;
    let query = ["chaincode", "query", "-C", "mychannel", "-n", "asset", "-c", READ];
    let text = peer.run(&query).await?.stderr;
    let expected =
        "could not launch chaincode asset:1: error starting container: error starting container: cannot connect";
    ensure!(text.contains(expected), "{expected} is not in {text}");
    engine.start().await?;
    ensure!(peer.query("asset", READ).await? == RECORD);

    // Its disk is full: the image of a new version cannot be built, and the old version serves on.
    peer.install("asset", "2", Code::Rust(&program)).await?;
    let filler = disk.fill()?;
    let text = told(peer, "upgrade", "2").await?;
    ensure!(text.contains("msg error starting container: ") && text.contains("no space left on device"), "{text}");
    ensure!(peer.query("asset", READ).await? == RECORD);
    std::fs::remove_file(filler)?;
    peer.deploy("upgrade", "asset", "2", INIT).await?;
    ensure!(peer.query("asset", READ).await? == RECORD);
    Ok(())
}
