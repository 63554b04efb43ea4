//! `cargo xtask bench`: the benchmarks of `benches/`, with what they need built first.

use anyhow::Result;

use crate::setup::{self, Workspace};

pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> Result<()> {
    workspace.build_all()?;
    let mut cargo = workspace.cargo(&["bench", "--locked", "--package", "selvedge", "--benches", "--"]);
    setup::run(cargo.args(args))
}
