//! A node in a process of its own, for tests that kill it or let it fail.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use selvedge_proto::common::HeaderType;
use selvedge_proto::protos::Response;
use selvedge_proto::protos::endorser_client::EndorserClient;
use tonic::transport::Endpoint;

use super::channels::genesis;
use super::{Boxed, Client, Plugin, core_yaml};
use crate::client::NewProposal;
use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{Signer, SigningIdentity};

/// How long a node may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks at a node that starts.
const PAUSE: Duration = Duration::from_millis(3);

/// The folder of a node with its configuration; its data and its log come here.
#[derive(Clone, Debug)]
pub struct NodeFolder {
    folder: PathBuf,
    /// Of the peer, of chaincode and of operations.
    addresses: [String; 3],
}

/// A running node; killed when dropped.
#[derive(Debug)]
pub struct NodeProcess(Child);

impl NodeFolder {
    /// Writes the configuration of a node on ports that are free now. `more` is appended to its core.yaml.
    ///
    /// # Errors
    /// When the guests were not built, or the folder cannot be written.
    pub fn new(folder: &Path, plugins: &[Plugin], more: &str) -> anyhow::Result<Self> {
        let listeners = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0"));
        let mut addresses = Vec::new();
        for listener in listeners {
            addresses.push(listener?.local_addr()?.to_string());
        }
        let yaml = core_yaml(plugins, "ADDRESS")?;
        let yaml = addresses.iter().fold(yaml, |yaml, address| yaml.replacen("ADDRESS", address, 1));
        fs::write(folder.join("core.yaml"), format!("{yaml}{more}"))?;
        // In the order of core.yaml: peer, chaincode, operations.
        let addresses = <[String; 3]>::try_from(addresses).map_err(|_| anyhow::anyhow!("three addresses"))?;
        Ok(Self { folder: folder.to_owned(), addresses })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the ledgers are.
    pub fn ledgers(&self) -> PathBuf {
        self.folder.join("data/ledgers")
    }

    /// What the node has written to its log, over all its starts.
    ///
    /// # Errors
    /// When it was never started.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.join("log"))?).into_owned())
    }

    /// Starts `selvedge node start`, or whatever `command` is that does so in the end.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(&self, mut command: Command) -> anyhow::Result<NodeProcess> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.env("FABRIC_LOGGING_SPEC", "warning");
        Ok(NodeProcess(command.spawn().context("the node cannot be started")?))
    }

    /// A client on a channel, once the node serves. The node that is `ours` must not end before.
    ///
    /// # Errors
    /// When it does, or does not serve in time.
    pub fn connect<'a>(&'a self, ours: &'a mut NodeProcess, channel: &'a str) -> Boxed<'a, anyhow::Result<Client>> {
        Box::pin(async move {
            let started = Instant::now();
            loop {
                let tried = async {
                    let made = self.development()?;
                    let signer: Arc<dyn Signer> = Arc::new(SigningIdentity::load(&made.user, &made.mspid)?);
                    Client::connect(&self.addresses[0], signer, channel).await
                };
                let error = match tried.await {
                    Ok(client) => return Ok(client),
                    Err(error) => error,
                };
                if let Some(status) = ours.0.try_wait()? {
                    bail!("the node ended ({status}): {}", self.log()?);
                }
                if started.elapsed() > START_TIMEOUT {
                    bail!("the node does not serve {channel}: {error:#}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// Has the node join a channel of the development organisation, ordered by it.
    ///
    /// # Errors
    /// When the node is not there, or the endorser refuses.
    pub fn join<'a>(&'a self, channel: &'a str) -> Boxed<'a, anyhow::Result<Response>> {
        Box::pin(async move {
            let args = vec![Bytes::from_static(b"JoinChain"), genesis(&self.development()?, channel)?];
            let proposal = NewProposal { args, header_type: HeaderType::Config, ..NewProposal::new("", "cscc") };
            self.as_administrator(proposal).await
        })
    }

    /// Has the node install a package.
    ///
    /// # Errors
    /// When the node is not there, or the endorser refuses.
    pub fn install(&self, package: Bytes) -> Boxed<'_, anyhow::Result<Response>> {
        let args = vec![Bytes::from_static(b"install"), package];
        Box::pin(self.as_administrator(NewProposal { args, ..NewProposal::new("", "lscc") }))
    }

    async fn as_administrator(&self, proposal: NewProposal<'_>) -> anyhow::Result<Response> {
        let made = self.development()?;
        let admin = SigningIdentity::load(&made.admin, &made.mspid)?;
        let connection = Endpoint::from_shared(format!("http://{}", self.addresses[0]))?.connect().await?;
        let signed = proposal.sign(&admin)?.signed;
        let answer = EndorserClient::new(connection).process_proposal(signed).await?;
        Ok(answer.into_inner().response.unwrap_or_default())
    }

    /// Where the node serves clients.
    pub fn peer_address(&self) -> &str {
        &self.addresses[0]
    }

    /// What `/healthz` answers, head and body.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn health(&self) -> anyhow::Result<String> {
        self.operations("/healthz")
    }

    /// The sum of a metric of `/metrics`, over all labels.
    ///
    /// # Errors
    /// When nobody listens, or there is no such metric.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let answer = self.operations("/metrics")?;
        let labelled = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let values: Vec<_> = answer.lines().filter(labelled).filter_map(|line| line.rsplit(' ').next()).collect();
        anyhow::ensure!(!values.is_empty(), "there is no metric {name}: {answer}");
        values.into_iter().map(|value| Ok(value.parse::<f64>()?)).sum()
    }

    fn operations(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.addresses[2])?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn development(&self) -> anyhow::Result<DevelopmentMsp> {
        let folder = self.folder.join("data/development");
        // Otherwise it would be made here.
        anyhow::ensure!(folder.exists(), "the node has no identity yet");
        Ok(development::ensure(&folder, "SampleOrg")?)
    }
}

impl NodeProcess {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGTERM, as an operator stops a node; its exit code.
    ///
    /// # Errors
    /// When there is no `kill`, or the process goes on for a minute.
    pub fn terminate(self) -> anyhow::Result<ExitStatus> {
        Command::new("kill").arg(self.id().to_string()).status().context("cannot run `kill`")?;
        self.end()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When it goes on for a minute.
    pub fn end(mut self) -> anyhow::Result<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(PAUSE);
        }
        bail!("the process goes on")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
