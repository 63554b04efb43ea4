//! The chaincode on crates.io's `fabric-shim`, built beside the node's program.
//!
//! It is a workspace of its own with a lock file and a target folder of its own: what it depends on is nobody else's. With
//! its crates in cargo's cache it builds without a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{run, timed};

const NAME: &str = "rust-shim";

/// Builds `tests/chaincode/rust-shim` into `release/chaincode/rust-shim`, and says how long that took.
pub(crate) fn build(root: &Path, target: &Path, release: &Path) -> Result<()> {
    let folder = target.join(NAME);
    let mut cargo = Command::new("cargo");
    // In the development profile: it is compiled in half the time, and waits for the node most of the time.
    cargo.args(["build", "--locked"]).current_dir(root.join("tests/chaincode").join(NAME));
    cargo.env_remove("CARGO_TARGET_DIR").arg("--target-dir").arg(&folder);
    let ((), took) = timed(|| run(&mut cargo)).context(
        "the chaincode on crates.io's fabric-shim cannot be built; its first build needs the registry (`cargo fetch --locked` \
         in tests/chaincode/rust-shim gets all of it)",
    )?;
    let into = release.join("chaincode").join(NAME);
    fs::create_dir_all(&into)?;
    fs::copy(folder.join("debug").join(NAME), into.join(NAME)).with_context(|| format!("cannot copy {NAME}"))?;
    println!("{NAME} (crates.io's fabric-shim) built in {:.0} s", took.as_secs_f64());
    Ok(())
}
