//! Chaincode on npm's `fabric-shim` in a process of its own, registered in development mode; and scripts with its packages.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::chaincode_process::{ChaincodeProcess, Output};

/// What the shim logs when the peer has sent READY.
const READY: &str = "State transferred to \"ready\"";
/// How long Node.js may take to load the shim, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running chaincode; killed when dropped.
pub struct NodeChaincode {
    _process: ChaincodeProcess,
}

impl NodeChaincode {
    /// Starts one of the folders in `tests/chaincode` as `id` (`name:version`) and waits until the peer, whose chaincode
    /// listener is at `peer`, has taken it. Blocks the thread.
    ///
    /// # Errors
    /// When it was not installed, or does not register; with what it said.
    pub fn start(folder: &str, id: &str, peer: &str) -> anyhow::Result<Self> {
        let mut command = Command::new("node");
        command
            .arg(installed(folder)?)
            .args(["--peer.address", peer])
            .env("CORE_CHAINCODE_ID_NAME", id)
            .env("CORE_CHAINCODE_LOGGING_LEVEL", "info");
        let process = ChaincodeProcess::start(&mut command, Output::Standard)
            .context("Node.js is needed; install Node.js 18 or later")?;
        process.wait_for(READY, PATIENCE).with_context(|| format!("chaincode {id} did not register with {peer}"))?;
        Ok(Self { _process: process })
    }
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
    let mut found = folders.map(|place| place.join(format!("{folder}.js")));
    match found.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{folder} is not installed beside {}: run `cargo xtask node`", program.display()),
    }
}
