//! The command line (Fabric: `peer`): verbs, flags, exit codes.
//!
//! Results go to standard output, everything else to standard error. A verb reads the configuration, calls what does the
//! work, and words the outcome; `anyhow` lives here and in `main` only. Invariant: exit 0 means that what was asked for was
//! done; any error is `Error: ...` and exit 1.

mod ccaas;
mod chaincode;
mod channel;
mod connect;
mod connection_profile;
mod identity;
mod ledger;
mod msp;
mod node;
mod progress;
mod scc;
mod services;
mod table;
mod version;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{Config, Environment};

/// A WebAssembly-sandboxed chaincode host for Hyperledger Fabric.
///
/// Settings come from core.yaml (in the folder FABRIC_CFG_PATH, else in the current one) and from CORE_* variables.
#[derive(Parser)]
#[command(name = "selvedge", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Operate a node: start.
    #[command(subcommand)]
    Node(node::NodeVerb),
    /// Operate chaincode: package, signpackage, install, instantiate, upgrade, invoke, query, list, ps, stop, rm, logs.
    Chaincode(Box<chaincode::ChaincodeCommand>),
    /// Operate a channel: create, join, list, getinfo, fetch, signconfigtx, update.
    Channel(Box<channel::ChannelCommand>),
    /// Look at ledgers and blocks: verify, export.
    #[command(subcommand)]
    Ledger(ledger::LedgerVerb),
    /// Serve a wasm chaincode to peers elsewhere (chaincode as a service), in the sandbox.
    Ccaas(ccaas::CcaasCommand),
    /// Look at system chaincodes: list, inspect.
    #[command(subcommand)]
    Scc(scc::SccVerb),
    /// Look at MSP folders: show.
    #[command(subcommand)]
    Msp(msp::MspVerb),
    /// Print the version.
    Version,
}

/// Runs a command line, program name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(with_joined_switches(args)) {
        Ok(cli) => cli,
        Err(e) => {
            // A closed pipe is no reason to say more.
            let _ = e.print();
            return if e.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.verb {
        Verb::Node(verb) => node::run(&verb),
        Verb::Chaincode(command) => chaincode::run(&command),
        Verb::Channel(command) => channel::run(&command),
        Verb::Ledger(verb) => ledger::run(&verb),
        Verb::Ccaas(command) => ccaas::run(&command),
        Verb::Scc(verb) => scc::run(&verb),
        Verb::Msp(verb) => msp::run(&verb),
        Verb::Version => print(&version::text()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Nobody may be reading, and the exit code still has to be 1.
            let _ = writeln!(std::io::stderr(), "Error: {}", printable(&with_causes(&e)));
            ExitCode::FAILURE
        }
    }
}

/// Flags that alone mean true.
const SWITCHES: [&str; 3] = ["--tls", "--clientauth", "--waitForEvent"];

/// `--tls true` as `--tls=true`: Fabric's tutorials and scripts write `--tls $CORE_PEER_TLS_ENABLED`. Their tool takes that for
/// true and passes over the word, even where it is `false`; here it counts.
fn with_joined_switches(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for arg in args {
        match joined.last_mut() {
            Some(flag) if SWITCHES.iter().any(|name| flag == name) && (arg == "true" || arg == "false") => {
                flag.push("=");
                flag.push(arg);
            }
            _ => joined.push(arg),
        }
    }
    joined
}

/// An error with its causes, like `{:#}`, but for those that the text before them tells already: errors of this project
/// contain their source's text, so that they are whole wherever they are shown.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        told if told.ends_with(&cause) => text,
        _ => format!("{text}: {cause}"),
    })
}

/// Without what would steer a terminal: errors, and lists, hold texts that peers and files chose. Lines stay lines, because a
/// configuration's problems come one to a line.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, letter| {
        if letter.is_control() && letter != '\n' {
            shown.extend(letter.escape_default())
        } else {
            shown.push(letter)
        }
        shown
    })
}

fn load_config() -> anyhow::Result<Config> {
    Ok(Config::load(&Environment::of_process())?)
}

/// Runs a client's work to its end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the client's thread")?.block_on(work)
}

/// Writes a result and a line end to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use clap::Parser;

    use super::{Cli, printable, with_causes, with_joined_switches};

    #[test]
    fn switches_take_their_value_after_a_blank_as_in_fabrics_tutorials() {
        for (written, parsed) in [
            (
                "channel update -f u.pb -c ch --tls true --cafile ca",
                "channel update -f u.pb -c ch --tls=true --cafile ca",
            ),
            ("channel fetch --tls config -c ch", "channel fetch --tls config -c ch"),
            ("channel fetch --tls false config -c ch", "channel fetch --tls=false config -c ch"),
            (
                "chaincode invoke --clientauth true --waitForEvent false -C ch -n true",
                "chaincode invoke --clientauth=true --waitForEvent=false -C ch -n true",
            ),
        ] {
            let words = |text: &str| text.split(' ').map(Into::into).collect::<Vec<std::ffi::OsString>>();
            let joined = with_joined_switches(words(written));
            assert_eq!(joined, words(parsed));
            let all = [words("selvedge"), joined].concat();
            assert!(Cli::try_parse_from(all).is_ok(), "{written}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read a: no such file").context("cannot start");
        assert_eq!(with_causes(&error), "cannot start: cannot read a: no such file");
    }

    #[test]
    fn an_error_cannot_steer_the_terminal() {
        assert_eq!(printable("a\nb: \u{1b}[2J\r\u{9b}31mé"), "a\nb: \\u{1b}[2J\\r\\u{9b}31mé");
    }
}
