//! A node in a process of its own, with TLS on its ports, whose chaincode runs in containers of a test's engine.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::{DockerEngine, Listed};
use crate::testing::{Boxed, CommandLine, Ended, NodeFolder, NodeProcess, TlsAuthority, TlsPurpose};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// An image may be built while a client waits.
const COMMIT: [&str; 3] = ["--waitForEvent", "--waitForEventTimeout", "60s"];

/// What a [`DockerPeer`] is to be.
#[derive(Clone, Copy, Debug)]
pub struct DockerSetting<'a> {
    /// The `selvedge` program.
    pub program: &'a str,
    /// Where the peer's files come.
    pub folder: &'a Path,
    /// `peer.id`, with which the names of its containers begin: `dev-<id>-`.
    pub id: &'a str,
    /// The engine's address.
    pub endpoint: &'a str,
    /// The image that Node chaincode is built and runs in; empty where there is none.
    pub node_image: &'a str,
    /// More `CORE_*` variables, without that prefix.
    pub overrides: &'a [(&'a str, &'a str)],
}

impl<'a> DockerSetting<'a> {
    /// A peer without an image for Node chaincode, and without further variables.
    pub fn new(program: &'a str, folder: &'a Path, id: &'a str, endpoint: &'a str) -> Self {
        Self { program, folder, id, endpoint, node_image: "", overrides: &[] }
    }
}

/// A node with an engine; killed when dropped.
pub struct DockerPeer {
    program: PathBuf,
    node: NodeFolder,
    settings: Vec<(String, String)>,
    process: Option<NodeProcess>,
    tool: CommandLine,
    prefix: String,
}

impl DockerPeer {
    /// A node that serves.
    ///
    /// # Errors
    /// When the guests were not built, or the folder cannot be written; those of [`Self::start`].
    pub fn started(setting: DockerSetting<'_>) -> Boxed<'_, anyhow::Result<Self>> {
        Box::pin(async move {
            let mut peer = Self::new(setting)?;
            peer.start().await?;
            Ok(peer)
        })
    }

    fn new(setting: DockerSetting<'_>) -> anyhow::Result<Self> {
        let DockerSetting { program, folder, id, endpoint, node_image, overrides } = setting;
        let node = NodeFolder::new(folder, &[], "")?;
        let authority = TlsAuthority::new(folder, "ca")?;
        let pair = authority.issue("server", &["127.0.0.1", "localhost"], TlsPurpose::Both)?;
        let text = |path: &Path| path.to_str().context("a path of a test is text").map(ToOwned::to_owned);
        let (certificate, key) = (text(&pair.certificate)?, text(&pair.key)?);
        let ours = [
            ("PEER_ID", id),
            ("PEER_NETWORKID", "dev"),
            ("PEER_TLS_ENABLED", "true"),
            ("PEER_TLS_CERT_FILE", &certificate),
            ("PEER_TLS_KEY_FILE", &key),
            ("VM_ENDPOINT", endpoint),
            ("CHAINCODE_BUILDER", node_image),
            ("CHAINCODE_NODE_RUNTIME", node_image),
        ];
        let settings = ours.iter().chain(overrides).map(|(name, value)| (format!("CORE_{name}"), (*value).to_owned()));
        let tool = CommandLine::new(program, folder, node.peer_address().to_owned())
            .with("CORE_PEER_TLS_ENABLED", "true")
            .with("CORE_PEER_TLS_ROOTCERT_FILE", &text(&authority.certificate)?);
        Ok(Self {
            program: program.into(),
            node,
            settings: settings.collect(),
            process: None,
            tool,
            prefix: format!("dev-{id}-"),
        })
    }

    /// Starts it again and waits until it serves.
    ///
    /// # Errors
    /// When it ends, or does not serve in time; with its log.
    pub fn start(&mut self) -> Boxed<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let mut command = Command::new(&self.program);
            command.args(["node", "start"]).envs(self.settings.iter().map(|(name, value)| (name, value)));
            let process = self.process.insert(self.node.start(command)?);
            let started = Instant::now();
            while TcpStream::connect(self.node.peer_address()).is_err() {
                if process.has_ended()? || started.elapsed() > PATIENCE {
                    bail!("the node does not serve: {}", self.node.log()?);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        })
    }

    /// The node's folder.
    pub fn node(&self) -> &NodeFolder {
        &self.node
    }

    /// The number of its process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self) -> anyhow::Result<u32> {
        Ok(self.process.as_ref().context("the node does not run")?.id())
    }

    /// SIGKILL: what it was doing is left as it is.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the node does not run")?.kill()
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop(&mut self) -> Boxed<'_, anyhow::Result<ExitStatus>> {
        Box::pin(async move {
            let process = self.process.take().context("the node does not run")?;
            tokio::task::spawn_blocking(move || process.terminate()).await?
        })
    }

    /// Stops it, and removes its images. Its containers must be gone by then.
    ///
    /// # Errors
    /// When it does not stop as it should, or leaves a container behind; the engine's.
    pub fn end<'a>(&'a mut self, engine: &'a DockerEngine) -> Boxed<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let status = self.stop().await?;
            let left = self.containers(engine).await?;
            // Whatever it was, nobody asks for the images again.
            engine.remove_images(&self.prefix).await?;
            ensure!(status.success(), "the node ended with {status}: {}", self.node.log()?);
            ensure!(left.is_empty(), "a peer that has stopped leaves containers: {left:?}");
            Ok(())
        })
    }

    /// The command line, as its operator has it.
    pub fn tool(&self) -> &CommandLine {
        &self.tool
    }

    /// `selvedge chaincode install`.
    ///
    /// # Errors
    /// What the command says.
    pub fn install<'a>(&'a self, name: &'a str, version: &'a str, code: Code<'a>) -> Boxed<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let (language, path) = match code {
                Code::Node(path) => ("node", path),
                Code::Rust(path) => ("rust", path),
                Code::Wasm(path) => ("wasm", path),
            };
            let brings_modules = path.join("node_modules").is_dir();
            let path = path.to_str().context("a path of a test is text")?;
            let mut arguments = vec!["chaincode", "install", "-n", name, "-v", version, "-l", language, "-p", path];
            if brings_modules {
                arguments.push("--node-modules");
            }
            self.tool.done(&arguments).await.map(drop)
        })
    }

    /// `selvedge chaincode instantiate` or `upgrade`, as `verb` says; waits for the commit.
    ///
    /// # Errors
    /// What the command says.
    pub fn deploy<'a>(
        &'a self,
        verb: &'a str,
        name: &'a str,
        version: &'a str,
        arguments: &'a str,
    ) -> Boxed<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let command = ["chaincode", verb, "-C", "mychannel", "-n", name, "-v", version, "-c", arguments];
            self.tool.done(&[&command[..], &COMMIT].concat()).await.map(drop)
        })
    }

    /// `selvedge chaincode invoke`; waits for the commit.
    ///
    /// # Errors
    /// What the command says.
    pub fn invoke<'a>(&'a self, name: &'a str, arguments: &'a str) -> Boxed<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let command = ["chaincode", "invoke", "-C", "mychannel", "-n", name, "-c", arguments];
            self.tool.done(&[&command[..], &COMMIT].concat()).await.map(drop)
        })
    }

    /// What `selvedge chaincode query` prints.
    ///
    /// # Errors
    /// What the command says.
    pub fn query<'a>(&'a self, name: &'a str, arguments: &'a str) -> Boxed<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let command = ["chaincode", "query", "-C", "mychannel", "-n", name, "-c", arguments];
            Ok(self.tool.done(&command).await?.0.trim_end().to_owned())
        })
    }

    /// What a command ends with that need not succeed.
    ///
    /// # Errors
    /// When the program does not start.
    pub fn run<'a>(&'a self, arguments: &'a [&'a str]) -> Boxed<'a, anyhow::Result<Ended>> {
        self.tool.run_with(arguments, &[])
    }

    /// The peer's containers, by name.
    ///
    /// # Errors
    /// The engine's.
    pub fn containers<'a>(&'a self, engine: &'a DockerEngine) -> Boxed<'a, anyhow::Result<Vec<Listed>>> {
        Box::pin(async move {
            let mut listed = engine.containers().await?;
            listed.retain(|container| container.name.starts_with(&self.prefix));
            Ok(listed)
        })
    }
}

/// A chaincode's code on this machine.
#[derive(Clone, Copy, Debug)]
pub enum Code<'a> {
    /// A folder with `package.json` and, where it needs any, `node_modules`.
    Node(&'a Path),
    /// A static program.
    Rust(&'a Path),
    /// A module, which runs in no container.
    Wasm(&'a Path),
}
