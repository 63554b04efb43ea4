//! Chaincode on our SDK in a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::chaincode_process::{ChaincodeProcess, Output};

/// How long it may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the programs of `examples/` that needs no library.
///
/// # Errors
/// When it was not built.
pub fn static_program(program: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the running program is unknown")?;
    let mut places = this.ancestors().skip(1).take(2).map(|folder| folder.join("static").join(program));
    let Some(path) = places.find(|path| path.is_file()) else {
        bail!("there is no static {program} beside {}: run `cargo xtask static`", this.display());
    };
    Ok(path)
}

/// A running chaincode; killed when dropped. Its methods block the thread.
pub struct NativeChaincode(ChaincodeProcess);

impl NativeChaincode {
    /// Starts one of the programs of `examples/`, as `id`, with these variables beside that and no others of Fabric's.
    ///
    /// # Errors
    /// When it was not built.
    pub fn start(program: &str, id: &str, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Command::new(built(program)?);
        command.args(arguments).env_clear().env("CORE_CHAINCODE_ID_NAME", id).envs(variables.iter().copied());
        ChaincodeProcess::start(&mut command, Output::Error).map(Self)
    }

    /// Starts it, and waits until the peer whose chaincode listener is at `peer` has taken it.
    ///
    /// # Errors
    /// When it was not built or does not register; with what it said.
    pub fn dial(program: &str, id: &str, peer: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let chaincode = Self::start(program, id, &["--peer.address", peer], variables)?;
        chaincode.registered()?;
        Ok(chaincode)
    }

    /// Starts it as a service on a free port; returns its address.
    ///
    /// # Errors
    /// When it was not built or does not listen; with what it said.
    pub fn serve(program: &str, id: &str, variables: &[(&str, &str)]) -> anyhow::Result<(Self, String)> {
        let variables = [&[("CHAINCODE_SERVER_ADDRESS", "127.0.0.1:0")], variables].concat();
        let chaincode = Self::start(program, id, &[], &variables)?;
        let line = chaincode.0.wait_for("listens on ", PATIENCE)?;
        let address = line.split("listens on ").nth(1).and_then(|rest| rest.split(' ').next());
        Ok((chaincode, address.context("an address")?.to_owned()))
    }

    /// Waits until a peer has taken it.
    ///
    /// # Errors
    /// When none does; with what it said.
    pub fn registered(&self) -> anyhow::Result<()> {
        self.says("the peer has registered chaincode").map(drop)
    }

    /// Waits for a line with this text in it, and returns it.
    ///
    /// # Errors
    /// When there is none; with what it said.
    pub fn says(&self, text: &str) -> anyhow::Result<String> {
        self.0.wait_for(text, PATIENCE)
    }

    /// Sends it SIGTERM.
    ///
    /// # Errors
    /// When there is no `kill`.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().context("cannot run `kill`")?;
        anyhow::ensure!(sent.success(), "kill -TERM {id} failed");
        Ok(())
    }

    /// Its exit code and what it said last, once it has ended by itself.
    ///
    /// # Errors
    /// When it does not.
    pub fn end(mut self) -> anyhow::Result<(Option<i32>, String)> {
        self.0.end(PATIENCE)
    }
}

/// One of the programs of `examples/`.
pub(super) fn built(program: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the running program is unknown")?;
    let mut places = this.ancestors().skip(1).take(2).map(|folder| folder.join(program));
    match places.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("chaincode {program} was not built beside {}: run `cargo xtask build`", this.display()),
    }
}
