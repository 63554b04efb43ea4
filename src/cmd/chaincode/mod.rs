//! `selvedge chaincode` (Fabric 1.4: `peer chaincode`; `ps`, `stop`, `rm` and `logs` are ours): flags, their checks, and which
//! verb does what.
//!
//! Proposals and transactions are built by [`crate::client`], packages by [`crate::platforms`]; this module talks to peers and
//! an orderer and words the outcome as Fabric's tool does, because scripts read it. Invariant: flags are checked before anything is sent.

mod collections;
mod commit;
mod containers;
mod ctor;
mod deploy;
mod install;
mod invoke;
mod list;
mod output;
mod package;
mod spec;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{ArgAction, Args, Subcommand};

use self::containers::Request;
use self::deploy::Deployment;
use super::connect::{Connector, OrdererFlags, PeerFlags, Peers, duration};
use crate::operations::LogControl;

/// Flags that every verb of `chaincode` takes, on either side of the verb.
#[derive(Args)]
pub(super) struct ChaincodeCommand {
    /// Transient map of arguments in JSON, values in base64.
    #[arg(long, global = true, value_name = "JSON")]
    transient: Option<String>,
    #[command(flatten)]
    orderer: OrdererFlags,
    #[command(subcommand)]
    verb: ChaincodeVerb,
}

#[derive(Subcommand)]
enum ChaincodeVerb {
    /// Package a chaincode into a file, for `install` and for owners to sign.
    Package(package::PackageCommand),
    /// Add this identity to the owners of a package.
    #[command(name = "signpackage")]
    SignPackage {
        /// The package, and the file to write the signed one to.
        #[arg(value_names = ["INPUT", "OUTPUT"], num_args = 0..)]
        files: Vec<PathBuf>,
    },
    /// Install a chaincode on a peer: package it, or take a package from a file.
    Install(install::InstallCommand),
    /// Begin to use an installed chaincode on a channel.
    Instantiate(deploy::DeployCommand),
    /// Use another version of a chaincode on a channel, which has to be installed.
    Upgrade(deploy::DeployCommand),
    /// Invoke a chaincode, have the result endorsed, and send it to the orderer.
    Invoke {
        #[command(flatten)]
        call: Call,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Invoke a chaincode and print what it answers; nothing is committed.
    Query {
        #[command(flatten)]
        call: Call,
        /// Print the answer as a list of byte values.
        #[arg(short, long)]
        raw: bool,
        /// Print the answer in hexadecimal.
        #[arg(short = 'x', long)]
        hex: bool,
    },
    /// List the chaincodes that are installed on the peer, or instantiated on a channel.
    List {
        /// Those that are installed, which the administrators of the peer's organisation may ask.
        #[arg(long)]
        installed: bool,
        /// Those that are instantiated on the channel.
        #[arg(long)]
        instantiated: bool,
        /// The channel.
        #[arg(short = 'C', long = "channelID")]
        channel: Option<String>,
        #[command(flatten)]
        peers: PeerFlags,
    },
    /// Show the chaincodes that run on the peer, for the administrators of its organisation.
    Ps {
        #[command(flatten)]
        peers: PeerFlags,
    },
    /// Stop a chaincode that the peer launched; the next call launches it again.
    Stop {
        /// NAME:VERSION
        chaincode: String,
        #[command(flatten)]
        peers: PeerFlags,
    },
    /// Remove the container and the image of a chaincode that was stopped. Its package stays installed.
    Rm {
        /// NAME:VERSION
        chaincode: String,
        #[command(flatten)]
        peers: PeerFlags,
    },
    /// Print what a chaincode wrote to its log.
    Logs {
        /// NAME:VERSION
        chaincode: String,
        /// How many of the last lines.
        #[arg(long, default_value_t = 100, value_name = "LINES")]
        tail: u32,
        /// Go on with what is written from now on.
        #[arg(short, long)]
        follow: bool,
        /// Of the run that ended last, although it runs again.
        #[arg(long, conflicts_with = "follow")]
        previous: bool,
        #[command(flatten)]
        peers: PeerFlags,
    },
}

/// Whether to wait for the commit, and how long.
#[derive(Args, Debug)]
struct WaitFlags {
    /// Wait until every peer that is asked has committed the transaction.
    #[arg(
        long = "waitForEvent",
        action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false,
        value_name = "true|false", hide_possible_values = true
    )]
    wait_for_event: bool,
    /// How long to wait for that.
    #[arg(long = "waitForEventTimeout", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    wait_for_event_timeout: Duration,
}

impl WaitFlags {
    fn timeout(&self) -> Option<Duration> {
        self.wait_for_event.then_some(self.wait_for_event_timeout)
    }
}

/// Which chaincode to call, with what, where.
#[derive(Args)]
struct Call {
    /// Name of the chaincode.
    #[arg(short, long)]
    name: Option<String>,
    /// Arguments in JSON: {"Args":["f","a"]} or {"Function":"f","Args":["a"]}.
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    ctor: String,
    /// The channel.
    #[arg(short = 'C', long = "channelID")]
    channel: Option<String>,
    #[command(flatten)]
    peers: PeerFlags,
}

/// A call whose flags have been checked.
struct CheckedCall {
    name: String,
    channel: String,
    args: Vec<bytes::Bytes>,
}

pub(super) fn run(command: &ChaincodeCommand) -> anyhow::Result<()> {
    let transient = command.transient.as_deref().map(ctor::parse_transient).transpose()?.unwrap_or_default();
    let config = super::load_config()?;
    LogControl::install(&config.logging_spec)?;
    let session = |peers: &Peers| {
        let connector = Connector::new(&config, peers, &command.orderer)?;
        anyhow::Ok(invoke::Session { signer: super::identity::load(&config)?, transient, connector })
    };
    match &command.verb {
        ChaincodeVerb::Package(command) => command.run(&config),
        ChaincodeVerb::SignPackage { files } => package::sign_existing(&config, files),
        ChaincodeVerb::Install(command) => {
            let peers = command.peers.one("install", None)?;
            let package = command.package(&config)?;
            super::block_on(session(&peers)?.install(package))
        }
        ChaincodeVerb::Instantiate(command) => {
            let checked = command.check(Deployment::Instantiate)?;
            super::block_on(session(&checked.peers)?.deploy(&checked, command.wait.timeout()))
        }
        ChaincodeVerb::Upgrade(command) => {
            let checked = command.check(Deployment::Upgrade)?;
            super::block_on(session(&checked.peers)?.deploy(&checked, command.wait.timeout()))
        }
        ChaincodeVerb::Invoke { call, wait } => {
            let checked = call.check()?;
            let peers = call.peers.all(&checked.channel)?;
            super::block_on(session(&peers)?.invoke(&checked, wait.timeout()))
        }
        ChaincodeVerb::Query { call, raw, hex } => {
            let rendering = output::Rendering::of_flags(*raw, *hex)?;
            let checked = call.check()?;
            let peers = call.peers.one("query", Some(&checked.channel))?;
            let payload = super::block_on(session(&peers)?.query(&checked))?;
            super::print(&rendering.render(&payload))
        }
        ChaincodeVerb::List { installed, instantiated, channel, peers } => {
            let listing = list::Listing::of_flags(*installed, *instantiated, channel.as_deref())?;
            let peers = peers.one("list", channel.as_deref())?;
            let chaincodes = super::block_on(session(&peers)?.list(&listing))?;
            super::print(&super::printable(&listing.text(&chaincodes)))
        }
        ChaincodeVerb::Ps { peers } => {
            let peers = peers.one("ps", None)?;
            super::block_on(session(&peers)?.administer(Request::Ps))
        }
        ChaincodeVerb::Stop { chaincode, peers } => {
            let peers = peers.one("stop", None)?;
            super::block_on(session(&peers)?.administer(Request::Stop(chaincode.clone())))
        }
        ChaincodeVerb::Rm { chaincode, peers } => {
            let peers = peers.one("rm", None)?;
            super::block_on(session(&peers)?.administer(Request::Remove(chaincode.clone())))
        }
        ChaincodeVerb::Logs { chaincode, tail, follow, previous, peers } => {
            let peers = peers.one("logs", None)?;
            let request =
                Request::Logs { chaincode: chaincode.clone(), tail: *tail, follow: *follow, previous: *previous };
            super::block_on(session(&peers)?.administer(request))
        }
    }
}

impl Call {
    fn check(&self) -> anyhow::Result<CheckedCall> {
        let Some(channel) = self.channel.clone().filter(|channel| !channel.is_empty()) else {
            bail!("The required parameter 'channelID' is empty. Rerun the command with -C flag");
        };
        let Some(name) = self.name.clone().filter(|name| !name.is_empty()) else {
            bail!("must supply value for chaincode name parameter");
        };
        Ok(CheckedCall { name, channel, args: ctor::parse(&self.ctor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: Option<&str>, channel: Option<&str>, ctor: &str) -> anyhow::Result<CheckedCall> {
        let call = Call {
            name: name.map(str::to_owned),
            ctor: ctor.to_owned(),
            channel: channel.map(str::to_owned),
            peers: PeerFlags::default(),
        };
        call.check()
    }

    #[test]
    fn a_missing_flag_has_fabrics_text() {
        let table = [
            (
                call(Some("cc"), None, "{}"),
                "The required parameter 'channelID' is empty. Rerun the command with -C flag",
            ),
            (call(None, Some("ch"), "{}"), "must supply value for chaincode name parameter"),
            (
                call(Some("cc"), Some("ch"), "{}"),
                "empty JSON chaincode parameters must contain the following keys: 'Args' or 'Function' and 'Args'",
            ),
        ];
        for (result, expected) in table {
            assert_eq!(result.map(|_| ()).map_err(|e| e.to_string()), Err(expected.to_owned()));
        }
    }
}
