//! The node as a process of its own, as it runs for an operator.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use selvedge::msp::SigningIdentity;
use selvedge::msp::development::{self, DevelopmentMsp};
use selvedge::testing::{Plugin, core_yaml};

/// What `peer.localMspId` is where it is not set.
const MSPID: &str = "SampleOrg";
const LOG: &str = "node.log";

/// A node that serves.
pub(crate) struct NodeProcess {
    process: Child,
    folder: PathBuf,
    /// Where the endorser is.
    pub(crate) peer: SocketAddr,
    operations: SocketAddr,
    /// From exec to the first 200 of `/healthz`.
    pub(crate) ready_after: Duration,
}

impl NodeProcess {
    /// Starts the program of this build in `folder`. Its log is a file there, as an operator's would be.
    pub(crate) fn start(folder: &Path, plugins: &[Plugin], settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        drop(listeners);
        let yaml = core_yaml(plugins, "ADDRESS")?;
        let yaml = addresses.iter().fold(yaml, |yaml, address| yaml.replacen("ADDRESS", &address.to_string(), 1));
        std::fs::write(folder.join("core.yaml"), yaml)?;
        let log = File::create(folder.join(LOG))?;
        let started = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_selvedge"))
            .args(["node", "start"])
            .current_dir(folder)
            .env_remove("FABRIC_CFG_PATH")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut node = Self {
            process,
            folder: folder.to_owned(),
            peer: addresses[0],
            operations: addresses[2],
            ready_after: Duration::ZERO,
        };
        while !node.is_healthy().unwrap_or(false) {
            if started.elapsed() > Duration::from_secs(60) {
                bail!("the node does not serve; its log:\n{}", node.log());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        node.ready_after = started.elapsed();
        Ok(node)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The identities that the node made for itself.
    pub(crate) fn identities(&self) -> anyhow::Result<DevelopmentMsp> {
        Ok(development::ensure(&self.folder.join("data/development"), MSPID)?)
    }

    /// The ordinary user of the development organisation.
    pub(crate) fn user(&self) -> anyhow::Result<SigningIdentity> {
        Ok(SigningIdentity::load(&self.identities()?.user, MSPID)?)
    }

    /// Changes the levels of the log while the node runs.
    pub(crate) fn log_at(&self, spec: &str) -> anyhow::Result<()> {
        let body = format!("{{\"spec\":\"{spec}\"}}");
        let answer = self.http(&format!("PUT /logspec HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()))?;
        ensure!(answer.contains(" 204 "), "the node does not change its log: {answer}");
        Ok(())
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let told = Command::new("kill").arg(self.id().to_string()).status()?;
        ensure!(told.success(), "the node cannot be stopped");
        let status = self.process.wait()?;
        ensure!(status.success(), "the node ended with {status}; its log:\n{}", self.log());
        Ok(())
    }

    fn is_healthy(&self) -> std::io::Result<bool> {
        Ok(self.http("GET /healthz HTTP/1.0\r\n\r\n")?.contains("200 OK"))
    }

    fn http(&self, request: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.operations)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }
}

impl Drop for NodeProcess {
    /// A bench that fails leaves no node behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
