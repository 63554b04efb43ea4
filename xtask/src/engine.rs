//! A Docker engine for the tests: the one that runs on this machine, or one that is installed and started for them.
//!
//! An engine of ours has a folder of its own for everything and touches neither network interfaces nor packet filters
//! (`tests/docker/daemon.json`), so that it disturbs no other engine. It ends with the command that wanted it; its images
//! stay in the target directory for the next one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::setup::{Workspace, run, works};

/// Tells the tests where the engine is, or, as a sentence, why there is none.
pub(crate) const VARIABLE: &str = "SELVEDGE_TEST_DOCKER";

/// Where an engine listens that nobody configured.
const USUAL: &str = "unix:///var/run/docker.sock";
const SCHEME: &str = "unix://";
/// Two seconds are usual; the first start of an engine makes its folders.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// How much of a log is shown.
const LAST_LINES: usize = 15;

/// An engine that answers; one of ours ends when this is dropped.
pub(crate) struct Engine {
    pub(crate) endpoint: String,
    ours: Option<OurEngine>,
}

/// Where an engine of ours has its files.
struct OurEngine {
    /// Images and containers; large.
    data: PathBuf,
    /// Sockets, whose paths must be short, and the number of the process.
    run: PathBuf,
    /// None where an earlier command has left it running.
    process: Option<Child>,
}

impl Engine {
    /// The engine of the machine, or a new one.
    pub(crate) fn find_or_start(workspace: &Workspace) -> Result<Self> {
        let usual = std::env::var("DOCKER_HOST").unwrap_or_else(|_| USUAL.to_owned());
        match ping(&usual) {
            Ok(()) => Ok(Self { endpoint: usual, ours: None }),
            Err(e) => Self::start(workspace).with_context(|| format!("no Docker engine answers at {usual} ({e})")),
        }
    }

    /// What [`VARIABLE`] is to say. The tests that need no engine run all the same.
    pub(crate) fn described(engine: &Result<Self>) -> String {
        match engine {
            Ok(engine) => engine.endpoint.clone(),
            Err(e) => format!("{e:#}"),
        }
    }

    fn start(workspace: &Workspace) -> Result<Self> {
        if fs::metadata("/proc/self").map_or(true, |process| process.uid() != 0) {
            bail!(
                "start one and let this user use it (Debian: apt-get install -y docker.io, adduser {} docker), name it in \
                 DOCKER_HOST, or run this as root, which starts one",
                std::env::var("USER").unwrap_or_else(|_| "USER".to_owned())
            );
        }
        install()?;
        let mut ours = OurEngine::at(&workspace.target)?;
        let endpoint = ours.endpoint();
        if ping(&endpoint).is_err() {
            ours.spawn(&workspace.root.join("tests/docker/daemon.json"))?;
            ours.wait(&endpoint)?;
        }
        Ok(Self { endpoint, ours: Some(ours) })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(ours) = &mut self.ours
            && let Err(e) = ours.stop()
        {
            eprintln!("xtask: the Docker engine at {} goes on: {e:#}", self.endpoint);
        }
    }
}

impl OurEngine {
    fn at(target: &Path) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let run = PathBuf::from(format!("/run/selvedge-tests-{:08x}", hasher.finish() as u32));
        let data = target.join("docker");
        for folder in [&run, &data] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self { data, run, process: None })
    }

    fn endpoint(&self) -> String {
        format!("{SCHEME}{}", self.run.join("docker.sock").display())
    }

    fn log(&self) -> PathBuf {
        self.data.join("dockerd.log")
    }

    fn spawn(&mut self, settings: &Path) -> Result<()> {
        // Of one that was killed, whose containerd has died with it: the numbers may be somebody else's by now, or of
        // processes that nobody has waited for.
        for left in ["pid", "exec/containerd/containerd.pid"] {
            let _ = fs::remove_file(self.run.join(left));
        }
        let mut dockerd = Command::new("dockerd");
        let option = |name: &str, value: &Path| {
            let mut option = OsString::from(name);
            option.push(value);
            option
        };
        dockerd
            .arg(format!("--host={}", self.endpoint()))
            .arg(option("--config-file=", settings))
            .arg(option("--data-root=", &self.data.join("root")))
            // Where a containerd of the machine is used.
            .arg(option("--containerd-namespace=", Path::new(self.run.file_name().unwrap_or_default())))
            .arg(option("--exec-root=", &self.run.join("exec")))
            .arg(option("--pidfile=", &self.run.join("pid")));
        let log = File::create(self.log())?;
        dockerd.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(dockerd.spawn().context("cannot run dockerd")?);
        Ok(())
    }

    fn wait(&mut self, endpoint: &str) -> Result<()> {
        let started = Instant::now();
        while let Err(e) = ping(endpoint) {
            let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || started.elapsed() > PATIENCE {
                self.stop()?;
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
                bail!("dockerd does not serve ({e}); the end of {}:\n{last}", self.log().display());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// SIGTERM: an engine that is killed leaves its containerd behind.
    fn stop(&mut self) -> Result<()> {
        let pid = self.run.join("pid");
        let number = match &self.process {
            Some(process) => process.id().to_string(),
            None => fs::read_to_string(&pid).context("its process is unknown")?,
        };
        // It may have ended by itself.
        // By the shell's own `kill`: the program is in a package (procps) that need not be there.
        works(Command::new("sh").args(["-c", "kill \"$0\"", number.trim()]));
        if let Some(process) = &mut self.process {
            process.wait()?;
        }
        let started = Instant::now();
        while pid.exists() && started.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
        }
        // dockerd leaves the network namespace of containers on the host's network mounted.
        for namespace in fs::read_dir(self.run.join("exec/netns")).into_iter().flatten().flatten() {
            works(Command::new("umount").arg(namespace.path()));
        }
        fs::remove_dir_all(&self.run).with_context(|| format!("cannot remove {}", self.run.display()))
    }
}

fn install() -> Result<()> {
    let present = || works(Command::new("dockerd").arg("--version"));
    if present() {
        return Ok(());
    }
    let needed = "install Docker's engine (Debian: apt-get install -y --no-install-recommends docker.io)";
    if !works(Command::new("apt-get").arg("--version")) {
        bail!("{needed}");
    }
    eprintln!("xtask: there is no dockerd; apt-get install docker.io");
    let apt =
        |arguments: &[&str]| run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments));
    let docker = ["install", "-y", "-q", "--no-install-recommends", "docker.io"];
    // The package would start an engine of the machine, which goes on and writes packet filters.
    let _no_service = NoServices::new()?;
    if apt(&docker).is_err() {
        // The lists of packages may be missing or old.
        apt(&["update", "-q"]).and_then(|()| apt(&docker)).context(needed)?;
    }
    if present() { Ok(()) } else { bail!("{needed}: there is no dockerd in PATH all the same") }
}

/// While it lives, packages that are installed start no services (Debian: invoke-rc.d, policy-rc.d).
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn new() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None));
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {}", policy.display()))?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _ = fs::remove_file(policy);
        }
    }
}

/// Whether an engine answers. One at a network address is not asked: chaincode in its containers would have to reach the
/// loopback interface of this machine.
fn ping(endpoint: &str) -> io::Result<()> {
    let path = endpoint.strip_prefix(SCHEME);
    let path =
        path.ok_or_else(|| io::Error::other("the tests need an engine on this machine, at a unix:// address"))?;
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().next().unwrap_or_default();
    if line.contains(" 200") { Ok(()) } else { Err(io::Error::other(format!("it answers {line:?}"))) }
}
