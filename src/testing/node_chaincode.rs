//! Chaincode on npm's `fabric-shim` in a process of its own, which dials a peer or serves; and scripts with its packages.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::chaincode_process::{ChaincodeProcess, Output};

/// What the shim logs when the peer has sent READY.
const READY: &str = "State transferred to \"ready\"";
/// How long Node.js may take to load the shim, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running chaincode; killed when dropped. Its methods block the thread.
pub struct NodeChaincode(ChaincodeProcess);

impl NodeChaincode {
    /// Starts one of the folders in `tests/chaincode` as `id` (`name:version`) and waits until the peer, whose chaincode
    /// listener is at `peer`, has taken it.
    ///
    /// # Errors
    /// When it was not installed, or does not register; with what it said.
    pub fn start(folder: &str, id: &str, peer: &str) -> anyhow::Result<Self> {
        Self::dial(folder, id, peer, &[])
    }

    /// The same with further variables. A folder within a folder is one of several sets of packages for the same script.
    ///
    /// # Errors
    /// As for [`NodeChaincode::start`].
    pub fn dial(folder: &str, id: &str, peer: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = program(folder)?;
        command.args(["--peer.address", peer]).env("CORE_CHAINCODE_ID_NAME", id).envs(variables.iter().copied());
        let chaincode = Self::spawn(&mut command)?;
        chaincode.registered().with_context(|| format!("chaincode {id} did not register with {peer}"))?;
        Ok(chaincode)
    }

    /// Starts it as a service and waits until it listens. No peer has it yet.
    ///
    /// # Errors
    /// When it was not installed, or does not listen; with what it said.
    pub fn serve(folder: &str, id: &str, address: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = program(folder)?;
        command.env("CHAINCODE_SERVER_ADDRESS", address).env("CHAINCODE_ID", id).envs(variables.iter().copied());
        let chaincode = Self::spawn(&mut command)?;
        chaincode.0.wait_for("listens on ", PATIENCE)?;
        Ok(chaincode)
    }

    fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        command.env("CORE_CHAINCODE_LOGGING_LEVEL", "info");
        let process = ChaincodeProcess::start(command, Output::Standard);
        Ok(Self(process.context("Node.js is needed; install Node.js 18 or later")?))
    }

    /// Waits until a peer has taken it, the first time or again.
    ///
    /// # Errors
    /// When none does; with what it said.
    pub fn registered(&self) -> anyhow::Result<()> {
        self.0.wait_for(READY, PATIENCE).map(drop)
    }

    /// Sends it SIGKILL and returns without waiting for its end.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.0.kill()?)
    }
}

fn program(folder: &str) -> anyhow::Result<Command> {
    let mut command = Command::new("node");
    command.arg(installed(folder)?);
    Ok(command)
}

/// A call of Node.js for a script that requires the packages which a folder of `tests/chaincode`, or `application` of
/// `examples`, was installed with.
///
/// # Errors
/// When it was not installed.
pub fn node_with_packages_of(folder: &str) -> anyhow::Result<Command> {
    let mut node = Command::new("node");
    node.env("NODE_PATH", installed(folder)?.with_file_name("node_modules")).stdin(Stdio::null());
    Ok(node)
}

/// The folder of a chaincode of `tests/chaincode` with the packages that it needs, ready to be packaged.
///
/// # Errors
/// When it was not installed.
pub fn node_chaincode_folder(folder: &str) -> anyhow::Result<PathBuf> {
    Ok(installed(folder)?.with_file_name(""))
}

pub(super) fn installed(folder: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the running program is unknown")?;
    let places = program.ancestors().skip(1).take(2);
    let folders = places.flat_map(|place| [place.join("chaincode").join(folder), place.join(folder)]);
    let script = format!("{}.js", folder.split('/').next().unwrap_or(folder));
    let mut found = folders.map(|place| place.join(&script));
    match found.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{folder} is not installed beside {}: run `cargo xtask node`", program.display()),
    }
}
