//! Selvedge's own commands. Each sets up what it needs; a second run makes nothing again that has not changed.
//!
//! Everything is built in the release profile, so that one build of the dependencies serves build, test, demo and bench.

mod bench;
mod check;
mod demo;
mod engine;
mod guests;
mod node_programs;
mod rust_shim;
mod setup;
mod test;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use setup::Workspace;

const USAGE: &str = "\
cargo xtask check          formatting, clippy and documentation, each without a warning
cargo xtask test           check, build everything, run every test
cargo xtask demo [--keep]  a node, a chaincode and a misbehaving one; --keep leaves the node running
cargo xtask bench [ARGS]   benchmarks; ARGS go to them
cargo xtask engine         a Docker engine for single tests, until this command is ended
cargo xtask build          the node and the chaincodes of this repository
cargo xtask static         the asset chaincode as a program without libraries; prints its path
cargo xtask guests         these chaincodes only; prints their paths
cargo xtask node           what the tests run on Node.js: chaincode, and an application
cargo xtask rust-shim      what they run on crates.io's fabric-shim
cargo xtask guest DIR      a chaincode outside this repository; prints its path";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let workspace = Workspace::locate()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => check::run(&workspace),
        ["test"] => test::run(&workspace),
        ["demo"] => demo::run(&workspace, demo::Afterwards::Stop),
        ["demo", "--keep"] => demo::run(&workspace, demo::Afterwards::Keep),
        ["bench", rest @ ..] => bench::run(&workspace, rest),
        ["build"] => workspace.build_all().map(drop),
        ["static"] => {
            println!("{}", workspace.build_static()?.display());
            Ok(())
        }
        ["guests"] => {
            for module in workspace.build_guests()? {
                println!("{}", module.display());
            }
            Ok(())
        }
        ["node"] => workspace.install_node_programs(),
        ["rust-shim"] => workspace.build_rust_shim(),
        ["engine"] => {
            let engine = engine::Engine::find_or_start(&workspace)?;
            println!("export {}={}", engine::VARIABLE, engine.endpoint);
            println!("Enter ends it.");
            std::io::stdin().read_line(&mut String::new()).map(drop).map_err(Into::into)
        }
        ["guest", dir] => {
            println!("{}", guests::build_crate(Path::new(dir), &workspace.target.join("guests"))?.display());
            Ok(())
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no such command\n\n{USAGE}"),
    }
}
