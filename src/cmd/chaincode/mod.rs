//! `selvedge chaincode invoke|query` (Fabric 1.4: `peer chaincode`): flags, their checks, and which verb does what.
//!
//! Proposals and transactions are built by [`crate::client`]; this module talks to peers and an orderer and words the
//! outcome as Fabric's tool does, because scripts read it. Invariant: flags are checked before anything is sent.

mod commit;
mod ctor;
mod invoke;
mod output;
mod peers;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgAction, Args, Subcommand};

use crate::config::parse_duration;
use crate::operations::LogControl;

/// Flags that every verb of `chaincode` takes, on either side of the verb.
#[derive(Args)]
pub(super) struct ChaincodeCommand {
    /// Ordering service to send transactions to; the first peer's embedded one where this is left out.
    #[arg(short, long, global = true, value_name = "HOST:PORT")]
    orderer: Option<String>,
    /// Transient map of arguments in JSON, values in base64.
    #[arg(long, global = true, value_name = "JSON")]
    transient: Option<String>,
    /// How long to wait for a connection.
    #[arg(long = "connTimeout", global = true, default_value = "3s", value_parser = duration, value_name = "DURATION")]
    conn_timeout: Duration,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(subcommand)]
    verb: ChaincodeVerb,
}

/// Fabric's flags around TLS: accepted, so that a script gets an answer that says what is missing.
#[derive(Args)]
#[command(next_help_heading = "TLS (not there yet)")]
struct TlsFlags {
    /// Use TLS to the orderer; refused.
    #[arg(
        long, global = true,
        action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false
    )]
    tls: bool,
    /// Authenticate to the orderer by a TLS certificate; refused.
    #[arg(
        long = "clientauth", global = true,
        action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false
    )]
    client_auth: bool,
    /// The orderer's TLS root certificates.
    #[arg(long = "cafile", global = true, value_name = "FILE")]
    _ca_file: Option<String>,
    /// This client's TLS certificate.
    #[arg(long = "certfile", global = true, value_name = "FILE")]
    _cert_file: Option<String>,
    /// This client's TLS key.
    #[arg(long = "keyfile", global = true, value_name = "FILE")]
    _key_file: Option<String>,
    /// The name in the orderer's TLS certificate.
    #[arg(long = "ordererTLSHostnameOverride", global = true, value_name = "HOST")]
    _host_override: Option<String>,
}

#[derive(Subcommand)]
enum ChaincodeVerb {
    /// Invoke a chaincode, have the result endorsed, and send it to the orderer.
    Invoke {
        #[command(flatten)]
        call: Call,
        /// Wait until every peer has committed the transaction.
        #[arg(
            long = "waitForEvent",
            action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false
        )]
        wait_for_event: bool,
        /// How long to wait for that.
        #[arg(long = "waitForEventTimeout", default_value = "30s", value_parser = duration, value_name = "DURATION")]
        wait_for_event_timeout: Duration,
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
    /// Peer to connect to, once for each; peer.address where it is left out.
    #[arg(long = "peerAddresses", value_name = "HOST:PORT")]
    peer_addresses: Vec<String>,
    /// The peers' TLS root certificates, in the order of --peerAddresses.
    #[arg(long = "tlsRootCertFiles", help_heading = "TLS (not there yet)", value_name = "FILE")]
    _tls_root_cert_files: Vec<String>,
}

/// A call whose flags have been checked.
struct CheckedCall {
    name: String,
    channel: String,
    args: Vec<bytes::Bytes>,
    peers: Vec<String>,
}

pub(super) fn run(command: &ChaincodeCommand) -> anyhow::Result<()> {
    if command.tls.tls || command.tls.client_auth {
        bail!(
            "TLS is not there yet in this version; leave out --tls and --clientauth and connect to listeners without TLS"
        );
    }
    let transient = command.transient.as_deref().map(ctor::parse_transient).transpose()?.unwrap_or_default();
    let config = super::load_config()?;
    LogControl::install(&config.logging_spec)?;
    let session = || {
        let signer = super::identity::load(&config)?;
        anyhow::Ok(invoke::Session { signer, transient, connect_timeout: command.conn_timeout })
    };
    match &command.verb {
        ChaincodeVerb::Invoke { call, wait_for_event, wait_for_event_timeout } => {
            let call = call.check(&config.peer.address)?;
            let orderer = command.orderer.as_deref().unwrap_or(&call.peers[0]);
            let wait = wait_for_event.then_some(*wait_for_event_timeout);
            block_on(session()?.invoke(&call, orderer, wait))
        }
        ChaincodeVerb::Query { call, raw, hex } => {
            let rendering = output::Rendering::of_flags(*raw, *hex)?;
            let call = call.check(&config.peer.address)?;
            if call.peers.len() > 1 {
                bail!("'query' command can only be executed against one peer. received {}", call.peers.len());
            }
            let payload = block_on(session()?.query(&call))?;
            super::print(&rendering.render(&payload))
        }
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the client's thread")?.block_on(work)
}

impl Call {
    fn check(&self, default_peer: &str) -> anyhow::Result<CheckedCall> {
        let Some(channel) = self.channel.clone().filter(|channel| !channel.is_empty()) else {
            bail!("The required parameter 'channelID' is empty. Rerun the command with -C flag");
        };
        let Some(name) = self.name.clone().filter(|name| !name.is_empty()) else {
            bail!("must supply value for chaincode name parameter");
        };
        let peers = match self.peer_addresses.as_slice() {
            [] => vec![default_peer.to_owned()],
            given => given.to_vec(),
        };
        Ok(CheckedCall { name, channel, args: ctor::parse(&self.ctor)?, peers })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|reason| format!("{text:?} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: Option<&str>, channel: Option<&str>, ctor: &str) -> anyhow::Result<CheckedCall> {
        let call = Call {
            name: name.map(str::to_owned),
            ctor: ctor.to_owned(),
            channel: channel.map(str::to_owned),
            peer_addresses: Vec::new(),
            _tls_root_cert_files: Vec::new(),
        };
        call.check("127.0.0.1:7051")
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

    #[test]
    fn the_peer_of_the_configuration_is_asked_where_none_is_named() {
        let call = call(Some("cc"), Some("ch"), r#"{"Args":["f"]}"#).expect("is complete");
        assert_eq!(call.peers, ["127.0.0.1:7051"]);
    }
}
