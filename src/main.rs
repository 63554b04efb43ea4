//! The `selvedge` command. Everything is in [`selvedge::cmd`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    selvedge::cmd::run(std::env::args_os())
}
