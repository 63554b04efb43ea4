//! `cargo xtask check`: what a machine can say about the source without running it.

use anyhow::Result;

use crate::setup::{self, NATIVE, Workspace, require_compiler, require_component};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    require_compiler()?;
    require_component("rustfmt", "fmt")?;
    require_component("clippy", "clippy")?;
    setup::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--release", "--workspace", "--all-targets", "--locked"];
    setup::run(workspace.cargo(&clippy).args(NATIVE).args(["--", "-D", "warnings"]))?;
    let doc = ["doc", "--release", "--workspace", "--no-deps", "--locked"];
    setup::run(workspace.cargo(&doc).args(NATIVE).env("RUSTDOCFLAGS", "-D warnings"))
}
