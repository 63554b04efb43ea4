//! Twenty chaincodes in containers side by side, fifty clients at one that does not run yet, and a hundred launches: each
//! chaincode has one container, and nothing becomes more. The engine is this test's own, so that everything on it can be
//! counted; it needs root.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use selvedge::testing::{Code, DockerEngine, DockerPeer, DockerSetting, PrivateEngine, static_program};
use tokio::task::JoinSet;

const CHAINCODES: usize = 20;
const ROUNDS: usize = 5;
const CLIENTS: usize = 50;
/// Threads that wait for work end after ten seconds.
const SETTLED: Duration = Duration::from_secs(20);
const READ: &str = r#"{"Args":["height","mychannel"]}"#;
const INIT: &str = r#"{"Args":[]}"#;

/// Everything that could become more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    containers: usize,
    images: usize,
    layers: usize,
    files: usize,
}

/// What the node holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: usize,
    descriptors: usize,
    tasks: usize,
}

impl Held {
    fn is_within(self, other: Self) -> bool {
        self.threads <= other.threads && self.descriptors <= other.descriptors && self.tasks <= other.tasks
    }
}

struct Scene {
    peer: DockerPeer,
    engine: DockerEngine,
    /// Where the engine keeps the layers of images and containers.
    layers: PathBuf,
}

fn name(index: usize) -> String {
    format!("c{index:02}")
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The files of a folder, at any depth.
fn files(folder: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { files(&entry.path())? } else { 1 };
    }
    Ok(count)
}

impl Scene {
    async fn counts(&self) -> anyhow::Result<Counts> {
        Ok(Counts {
            containers: self.engine.containers().await?.len(),
            images: self.engine.image_count().await?,
            layers: entries(&self.layers),
            files: files(self.peer.node().path())?,
        })
    }

    fn held(&self) -> anyhow::Result<Held> {
        let process = PathBuf::from(format!("/proc/{}", self.peer.process()?));
        let tasks = self.peer.node().metric("tokio_alive_tasks")? as usize;
        Ok(Held { threads: entries(&process.join("task")), descriptors: entries(&process.join("fd")), tasks })
    }

    /// What it holds when nothing is under way.
    async fn least_held(&self) -> anyhow::Result<Held> {
        let mut least = self.held()?;
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.held()?;
            least.threads = least.threads.min(now.threads);
            least.descriptors = least.descriptors.min(now.descriptors);
            least.tasks = least.tasks.min(now.tasks);
        }
        Ok(least)
    }

    async fn install_and_instantiate(&self) -> anyhow::Result<()> {
        let program = static_program("asset")?;
        for index in 0..CHAINCODES {
            self.peer.install(&name(index), "1", Code::Rust(&program)).await?;
        }
        self.each(|tool, name| async move {
            let command =
                ["chaincode", "instantiate", "-C", "mychannel", "-n", &name, "-v", "1", "-c", INIT, "--waitForEvent"];
            tool.done(&[&command[..], &["--waitForEventTimeout", "120s"]].concat()).await.map(drop)
        })
        .await
    }

    /// Does something for every chaincode at once.
    async fn each<F>(&self, work: impl Fn(selvedge::testing::CommandLine, String) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let mut running = JoinSet::new();
        for index in 0..CHAINCODES {
            running.spawn(work(self.peer.tool().clone(), name(index)));
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Kills every container, and has all chaincodes called.
    async fn relaunch(&self) -> anyhow::Result<()> {
        for container in self.engine.containers().await? {
            self.engine.kill_container(&container.id).await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.each(|tool, name| async move {
            tool.done(&["chaincode", "query", "-C", "mychannel", "-n", &name, "-c", READ]).await.map(drop)
        })
        .await?;
        let containers = self.engine.containers().await?;
        ensure!(containers.len() == CHAINCODES, "{containers:?}");
        ensure!(containers.iter().all(|container| container.running), "{containers:?}");
        Ok(())
    }

    async fn many_first_calls(&self) -> anyhow::Result<()> {
        let containers = self.engine.containers().await?;
        let first = containers.iter().find(|container| container.name.ends_with("-c00-1")).context("it runs")?;
        self.engine.kill_container(&first.id).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let since = seconds()?;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let tool = self.peer.tool().clone();
            clients.spawn(async move {
                tool.done(&["chaincode", "query", "-C", "mychannel", "-n", "c00", "-c", READ]).await.map(drop)
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        let made = self.engine.containers_made(since, seconds()? + 1).await?;
        ensure!(made == 1, "{CLIENTS} clients had {made} containers made");
        Ok(())
    }
}

fn seconds() -> anyhow::Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_launches_leave_what_one_leaves() -> anyhow::Result<()> {
    let (folder, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut engine = PrivateEngine::new(folder.path())?;
    let docker = engine.start().await?;
    let driver = docker.storage_driver().await?;
    let setting = DockerSetting::new(env!("CARGO_BIN_EXE_selvedge"), files.path(), "peer0", &docker.endpoint);
    let peer = DockerPeer::started(setting).await?;
    let layers = engine.data_root().join(if driver == "vfs" { "vfs/dir" } else { driver.as_str() });
    ensure!(layers.is_dir(), "this test does not know where {driver} keeps its layers");
    let mut scene = Scene { peer, engine: docker, layers };
    let counted = count(&scene).await;
    let log = scene.peer.node().log()?;
    counted.with_context(|| format!("the node's log:\n{log}"))?;
    scene.peer.stop().await?;
    assert_eq!(scene.engine.containers().await?, []);
    Ok(())
}

async fn count(scene: &Scene) -> anyhow::Result<()> {
    let empty = scene.counts().await?;
    let began = Instant::now();
    scene.install_and_instantiate().await?;
    println!("{CHAINCODES} chaincodes installed and instantiated in {:?}", began.elapsed());
    scene.many_first_calls().await?;
    scene.relaunch().await?;
    let (counts, held) = (scene.counts().await?, scene.least_held().await?);
    let began = Instant::now();
    for _ in 1..ROUNDS {
        scene.relaunch().await?;
    }
    println!("{} launches in {:?}: {counts:?}, {held:?}", (ROUNDS - 1) * CHAINCODES, began.elapsed());
    ensure!(scene.counts().await? == counts, "{counts:?} before, {:?} after", scene.counts().await?);
    let began = Instant::now();
    loop {
        let now = scene.held()?;
        if now.is_within(held) {
            break;
        }
        ensure!(began.elapsed() < SETTLED, "{held:?} before, {now:?} after");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // What an operator removes is gone, down to the layers.
    for verb in ["stop", "rm"] {
        scene
            .each(
                move |tool, name| async move { tool.done(&["chaincode", verb, &format!("{name}:1")]).await.map(drop) },
            )
            .await?;
    }
    let left = scene.counts().await?;
    let engine = |counts: &Counts| (counts.containers, counts.images, counts.layers);
    ensure!(engine(&left) == engine(&empty), "{empty:?} before, {left:?} after");
    Ok(())
}
