//! An engine of one test, which may kill it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::DockerEngine;
use crate::testing::Boxed;

/// What `cargo xtask engine` starts its engine with.
const SETTINGS: &str = include_str!("../../../tests/docker/daemon.json");
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// A folder with an engine's images and containers, and the engine while it runs. It ends when this is dropped.
#[derive(Debug)]
pub struct PrivateEngine {
    folder: PathBuf,
    process: Option<Child>,
}

impl PrivateEngine {
    /// The engine of a folder whose path is short (its sockets are there). It does not run yet.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::write(folder.join("daemon.json"), SETTINGS)?;
        Ok(Self { folder: folder.to_owned(), process: None })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    /// Where it keeps images and containers.
    pub fn data_root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Starts it, with what it had when it ended before.
    ///
    /// # Errors
    /// When it does not serve: most probably because this process may not start an engine.
    pub fn start(&mut self) -> Boxed<'_, anyhow::Result<DockerEngine>> {
        Box::pin(async move {
            let place = |name: &str| self.folder.join(name).display().to_string();
            // Of one that was killed, whose containerd has died with it: the numbers may be somebody else's by now, or of
            // processes that nobody has waited for.
            for left in ["pid", "exec/containerd/containerd.pid"] {
                let _ = fs::remove_file(place(left));
            }
            let name = self.folder.file_name().unwrap_or_default().to_string_lossy().replace('.', "");
            let mut dockerd = Command::new("dockerd");
            dockerd
                .arg(format!("--host={}", self.endpoint()))
                .arg(format!("--config-file={}", place("daemon.json")))
                .arg(format!("--data-root={}", self.data_root().display()))
                .arg(format!("--exec-root={}", place("exec")))
                .arg(format!("--pidfile={}", place("pid")))
                .arg(format!("--containerd-namespace={name}"));
            let log = File::options().create(true).append(true).open(place("log"))?;
            dockerd.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let process = dockerd.spawn().context("cannot run dockerd (Debian: apt-get install -y docker.io)")?;
            self.process = Some(process);
            let started = Instant::now();
            loop {
                let error = match DockerEngine::connect(&self.endpoint()).await {
                    Ok(engine) => return Ok(engine),
                    Err(error) => error,
                };
                let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
                if ended.is_some() || started.elapsed() > PATIENCE {
                    let log = fs::read_to_string(place("log")).unwrap_or_default();
                    let last = log.lines().last().unwrap_or_default();
                    bail!(
                        "this test starts a Docker engine of its own, as root, and it does not serve ({error}): {last}"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// SIGKILL. Its containers go on until the engine is started again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the engine does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// SIGTERM, which stops its containers; returns when it has ended.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the engine does not run")?;
        // The shell's own: the program `kill` is in a package (procps) that need not be there.
        Command::new("sh").args(["-c", "kill \"$0\"", &process.id().to_string()]).status()?;
        process.wait()?;
        Ok(())
    }
}

impl PrivateEngine {
    /// An engine that was killed and not started again leaves each container running, and a process that watches it.
    fn end_watchers(&self) {
        let socket = format!("{}/exec/containerd/containerd.sock", self.folder.display());
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            // Only the watchers are told this address.
            if !command.split(|byte| *byte == 0).any(|word| word == socket.as_bytes()) {
                continue;
            }
            let watcher = process.file_name().to_string_lossy().into_owned();
            let container = fs::read_to_string(process.path().join("cwd/init.pid")).unwrap_or_default();
            let status = fs::read_to_string(format!("/proc/{container}/status")).unwrap_or_default();
            // The number of one that has ended may be somebody else's.
            let runs = status.lines().any(|line| line == format!("PPid:\t{watcher}"));
            for id in runs.then_some(&container).into_iter().chain([&watcher]) {
                let _ = Command::new("sh").args(["-c", "kill -9 \"$0\"", id]).status();
            }
        }
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.stop();
        }
        self.end_watchers();
        // One that was killed leaves file systems mounted, and with them the folder cannot be removed.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mounted = mounts.lines().rev().filter_map(|line| line.split(' ').nth(1));
        for path in mounted.filter(|path| Path::new(path).starts_with(&self.folder)) {
            let _ = Command::new("umount").arg("-l").arg(path).status();
        }
    }
}
