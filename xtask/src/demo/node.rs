//! The demo's node and the command line that talks to it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Afterwards;
use crate::setup::{Built, shown};

/// Compiling three modules on a busy machine takes a while the first time.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A node in a directory of its own, on ports that were free.
pub(super) struct Demo {
    pub(super) directory: PathBuf,
    pub(super) operations: String,
    address: String,
    client: Client,
    afterwards: Afterwards,
    child: Option<Child>,
}

/// Runs the command line against the node.
#[derive(Clone)]
pub(super) struct Client {
    selvedge: PathBuf,
    directory: PathBuf,
}

/// What a command answered.
pub(super) struct Answer {
    pub(super) success: bool,
    /// Standard output without the line end.
    pub(super) output: String,
    /// Standard error.
    pub(super) errors: String,
    pub(super) elapsed: Duration,
}

impl Answer {
    /// Runs the command to its end.
    pub(super) fn of(command: &mut Command) -> Result<Self> {
        let start = Instant::now();
        let output = command.output().with_context(|| format!("cannot run {}", shown(command)))?;
        Ok(Self {
            success: output.status.success(),
            output: String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            elapsed: start.elapsed(),
        })
    }

    /// The output, if the command succeeded.
    pub(super) fn succeeded(&self) -> Result<&str> {
        ensure!(self.success, "the command failed: {}", self.errors.trim());
        Ok(&self.output)
    }
}

impl Demo {
    pub(super) fn prepare(built: &Built, afterwards: Afterwards) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("selvedge-demo-{}", std::process::id()));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let [listen, chaincode, operations] = free_addresses()?;
        let core = core_yaml(&listen, &chaincode, &operations, &built.chaincodes);
        fs::write(directory.join("core.yaml"), core).context("cannot write core.yaml")?;
        let client = Client { selvedge: built.selvedge.clone(), directory: directory.clone() };
        Ok(Self { directory, operations, address: listen, client, afterwards, child: None })
    }

    pub(super) fn core_yaml(&self) -> Result<String> {
        fs::read_to_string(self.directory.join("core.yaml")).context("cannot read core.yaml")
    }

    /// Where clients reach the node.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Starts the node and waits until it is healthy.
    pub(super) fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path()).context("cannot write the log")?;
        let mut command = self.client.command(&["node", "start"]);
        command.stdout(log.try_clone().context("cannot share the log")?).stderr(log);
        if self.afterwards == Afterwards::Keep {
            // A group of its own outlives the terminal's ^C.
            command.process_group(0);
        }
        self.child = Some(command.spawn().context("cannot start the node")?);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            self.ensure_running()?;
            if is_healthy(&self.operations) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the node was not healthy within {} s", START_TIMEOUT.as_secs());
            sleep(Duration::from_millis(20));
        }
    }

    /// Asks the node to end and expects exit 0, which it returns.
    pub(super) fn stop(&mut self) -> Result<String> {
        let mut child = self.child.take().context("no node is running")?;
        let asked =
            Command::new("kill").args(["-TERM", &child.id().to_string()]).status().context("cannot run kill")?;
        ensure!(asked.success(), "kill -TERM failed");
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            if let Some(status) = child.try_wait().context("cannot wait for the node")? {
                ensure!(status.success(), "the node ended with {status}");
                return Ok(status.code().unwrap_or_default().to_string());
            }
            if Instant::now() > deadline {
                self.child = Some(child);
                bail!("the node had not ended {} s after SIGTERM", STOP_TIMEOUT.as_secs());
            }
            sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn ensure_running(&mut self) -> Result<()> {
        let child = self.child.as_mut().context("no node is running")?;
        match child.try_wait().context("cannot look at the node")? {
            None => Ok(()),
            Some(status) => bail!("the node is gone ({status})"),
        }
    }

    /// Resident memory in bytes (`VmRSS`).
    pub(super) fn resident_memory(&self) -> Result<u64> {
        let child = self.child.as_ref().context("no node is running")?;
        let path = format!("/proc/{}/status", child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let kibibytes: u64 = kibibytes.and_then(|number| number.parse().ok()).context("the status has no VmRSS")?;
        Ok(kibibytes << 10)
    }

    /// Leaves the node to the reader. Returns what he can do with it.
    pub(super) fn keep(&mut self) -> String {
        let pid = self.child.take().map_or(0, |child| child.id());
        let programs = self.client.selvedge.parent().unwrap_or(Path::new(".")).display();
        let (directory, log, operations) = (self.directory.display(), self.log_path(), &self.operations);
        // There only where the step with the application was not left out.
        let application = match self.directory.join("connection.json").is_file() {
            true => format!(
                "(cd {programs}/application; node application.js $FABRIC_CFG_PATH/connection.json \
                 $FABRIC_CFG_PATH/{} asset update a1 9)\n",
                super::application::USER
            ),
            false => String::new(),
        };
        let call = |verb: &str, chaincode: &str, args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
            format!(
                "selvedge chaincode {verb} -C {} -n {chaincode} -c '{{\"Args\":[{}]}}'",
                super::CHANNEL,
                args.join(",")
            )
        };
        format!(
            "\nThe node goes on as process {pid}. Commands to try:\n\n\
             export FABRIC_CFG_PATH={directory} PATH={programs}:$PATH\n\
             selvedge scc list\n\
             {create} --waitForEvent\n\
             {list}\n\
             {history}\n\
             {forever}\n\
             {application}\
             curl -s http://{operations}/metrics | grep shim_requests_completed\n\
             tail -n 20 {log}\n\
             \nAnd in the end:\n\n\
             kill -TERM {pid}; while kill -0 {pid} 2>&-; do sleep 0.1; done; rm -r {directory}",
            create = call("invoke", "asset", &["create", "a2", "Bob", "3"]),
            list = call("query", "asset", &["list", "", ""]),
            history = call("query", "asset", &["history", "a1"]),
            forever = call("query", "mischief", &["loop"]),
            log = log.display(),
        )
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.directory.join("node.log")
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_else(|e| format!("(no log: {e})"))
    }

    pub(super) fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Demo {
    /// Nothing of a failed demo goes on running.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Client {
    pub(super) fn run(&self, args: &[String]) -> Result<Answer> {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        Answer::of(&mut self.command(&words))
    }

    /// In an environment without settings of the reader's own.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.selvedge);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CORE_") {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(&self.directory).env("FABRIC_CFG_PATH", &self.directory);
        command.env_remove("FABRIC_LOGGING_SPEC");
        command
    }
}

/// The wall time is shorter than the default so that nobody has to watch an endless loop for long.
fn core_yaml(listen: &str, chaincode: &str, operations: &str, modules: &Path) -> String {
    let plugin = |name: &str| {
        let path = modules.join(format!("{name}.wasm"));
        let path = path.display();
        format!("    - {{enabled: true, name: {name}, path: {path}, invokableExternal: true, invokableCC2CC: true}}\n")
    };
    format!(
        "peer:\n  listenAddress: {listen}\n  chaincodeListenAddress: {chaincode}\n  fileSystemPath: data\n\
         operations:\n  listenAddress: {operations}\n\
         chaincode:\n  system: {{qscc: enable, asset: enable, mischief: enable}}\n  systemPlugins:\n{}{}  \
         wasm:\n    limits:\n      time: 2s\n",
        plugin("asset"),
        plugin("mischief"),
    )
}

/// Three that nobody listened on a moment ago.
fn free_addresses() -> Result<[String; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0").context("no port is free");
    let listeners = [bind()?, bind()?, bind()?];
    let mut addresses = [const { String::new() }; 3];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr().context("a listener without an address")?.to_string();
    }
    Ok(addresses)
}

fn is_healthy(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream
            .write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
