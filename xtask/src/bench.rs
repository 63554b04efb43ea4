//! `cargo xtask bench`: the benchmarks of `benches/`, with what they need built first.

use anyhow::Result;

use crate::engine::{self, Engine};
use crate::setup::{self, Workspace};

/// The part that needs an engine, and what runs in its containers.
const DOCKER: &str = "docker";

pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> Result<()> {
    let engine = (args.is_empty() || args.contains(&DOCKER)).then(|| {
        workspace.build_static()?;
        workspace.install_node_programs()?;
        Engine::find_or_start(workspace)
    });
    workspace.build_all()?;
    let engine = engine.transpose()?;
    let mut cargo = workspace.cargo(&["bench", "--locked", "--package", "selvedge", "--benches", "--"]);
    if let Some(engine) = &engine {
        cargo.env(engine::VARIABLE, &engine.endpoint);
    }
    setup::run(cargo.args(args))
}
