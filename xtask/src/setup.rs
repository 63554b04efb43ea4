//! Where things are, what the machine must have, and how a command is run and timed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{guests, node_programs, rust_shim};

/// This repository and where it is built.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

/// The examples as processes of their own: their crates leave that out unless it is asked for.
pub(crate) const NATIVE: [&str; 2] = ["--features", "asset/native"];

/// What the node and the chaincodes were built into.
pub(crate) struct Built {
    /// The node and command line.
    pub(crate) selvedge: PathBuf,
    /// The folder with the chaincodes' modules.
    pub(crate) chaincodes: PathBuf,
}

impl Workspace {
    pub(crate) fn locate() -> Result<Self> {
        // Asked at run time: a target directory may be shared by several clones.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask is not in a workspace")?.to_owned();
        // Relative to the current directory, as cargo takes it.
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(target).context("CARGO_TARGET_DIR is no path")?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// `cargo` in this repository, with the release profile's target directory.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).args(args);
        cargo
    }

    /// The modules of `scc/` and `examples/`, beside the node's program.
    pub(crate) fn build_guests(&self) -> Result<Vec<PathBuf>> {
        guests::build(&self.root, &self.release())
    }

    /// Everything that a node needs to run, and the examples as processes.
    pub(crate) fn build_all(&self) -> Result<Built> {
        require_compiler()?;
        self.build_guests()?;
        // Together, so that what both depend on is built once.
        let programs = ["-p", "selvedge", "-p", "asset", "--bin", "selvedge", "--bin", "asset"];
        run(self.cargo(&["build", "--release", "--locked"]).args(programs).args(NATIVE))?;
        Ok(Built { selvedge: self.release().join("selvedge"), chaincodes: self.release().join("scc") })
    }

    /// The same and every test, in one resolution of features: what tests alone depend on asks more of shared dependencies, so
    /// that after [`Self::build_all`] cargo would build these and the library once more.
    pub(crate) fn build_tests(&self) -> Result<()> {
        require_compiler()?;
        self.build_guests()?;
        let targets = ["--workspace", "--bins", "--tests"];
        run(self.cargo(&["build", "--release", "--locked"]).args(targets).args(NATIVE))
    }

    /// The asset chaincode as a program that needs no library: what runs in an image that holds nothing else.
    pub(crate) fn build_static(&self) -> Result<PathBuf> {
        let flags = ["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"];
        run(self.cargo(&["rustc", "--release", "--locked", "-p", "asset", "--bin", "asset"]).args(NATIVE).args(flags))?;
        let (built, kept) = (self.release().join("asset"), self.release().join("static/asset"));
        // The next build puts another program in its place.
        fs::create_dir_all(self.release().join("static"))?;
        fs::copy(&built, &kept).with_context(|| format!("cannot copy {} to {}", built.display(), kept.display()))?;
        Ok(kept)
    }

    /// What tests run on Node.js.
    pub(crate) fn install_node_programs(&self) -> Result<()> {
        node_programs::chaincodes(&self.root, &self.release())?;
        self.install_application().map(drop)
    }

    /// What tests run on crates.io's `fabric-shim`.
    pub(crate) fn build_rust_shim(&self) -> Result<()> {
        rust_shim::build(&self.root, &self.target, &self.release())
    }

    /// The application on `fabric-network`: its script.
    pub(crate) fn install_application(&self) -> Result<PathBuf> {
        node_programs::application(&self.root, &self.release())
    }

    fn release(&self) -> PathBuf {
        self.target.join("release")
    }
}

/// A C compiler, which builds the cryptographic library.
pub(crate) fn require_compiler() -> Result<()> {
    if works(Command::new("cc").arg("--version")) {
        return Ok(());
    }
    bail!("there is no C compiler `cc`; install one (Debian: apt-get install -y build-essential)")
}

/// A part of the Rust toolchain that is not always installed.
pub(crate) fn require_component(name: &str, subcommand: &str) -> Result<()> {
    let present = || works(Command::new("cargo").args([subcommand, "--version"]));
    if present() {
        return Ok(());
    }
    eprintln!("xtask: {name} is not installed; rustup component add {name}");
    let added = Command::new("rustup").args(["component", "add", name]).status().is_ok_and(|status| status.success());
    if added && present() {
        return Ok(());
    }
    bail!("`cargo {subcommand}` is missing and could not be installed; install it by `rustup component add {name}`")
}

/// Runs a command whose output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Does something and says how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    Ok((work()?, start.elapsed()))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
