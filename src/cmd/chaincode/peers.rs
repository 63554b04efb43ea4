//! Connections to peers and orderers, and gRPC errors worded as Go's clients word them.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ProposalResponse, SignedProposal};
use tonic::transport::{Channel, Endpoint};

/// A peer that a command talks to. Its services share one connection.
pub(super) struct Peer {
    pub(super) address: String,
    channel: Channel,
}

impl Peer {
    pub(super) async fn connect(address: &str, timeout: Duration, verb: &str) -> anyhow::Result<Self> {
        let channel = connect(address, timeout).await.with_context(|| {
            format!("error getting endorser client for {verb}: endorser client failed to connect to {address}")
        })?;
        Ok(Self { address: address.to_owned(), channel })
    }

    pub(super) async fn endorse(&self, proposal: SignedProposal, verb: &str) -> anyhow::Result<ProposalResponse> {
        let mut client = EndorserClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE);
        let response = client.process_proposal(proposal).await.map_err(|status| {
            let hint = if is_unknown_creator(&status) { DENIED } else { "" };
            anyhow!("error endorsing {verb}: {}{hint}", RpcError(status))
        });
        Ok(response?.into_inner())
    }

    pub(super) fn deliver(&self) -> DeliverClient<Channel> {
        DeliverClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_SIZE)
    }
}

/// What can be done about `access denied`, which is all that a peer tells a stranger (in Fabric too).
const DENIED: &str = "; either the peer has no such channel (-C), or this identity is not of the channel's organisation \
                      (CORE_PEER_MSPCONFIGPATH, CORE_PEER_LOCALMSPID); the peer's log says which";

fn is_unknown_creator(status: &tonic::Status) -> bool {
    status.message().starts_with("access denied: channel [")
}

/// Hands a transaction to an orderer and waits for its acknowledgement: that it will be ordered, not that it is committed.
pub(super) async fn broadcast(address: &str, timeout: Duration, envelope: Envelope) -> anyhow::Result<()> {
    let channel = connect(address, timeout)
        .await
        .with_context(|| format!("error getting broadcast client: orderer client failed to connect to {address}"))?;
    let mut client = AtomicBroadcastClient::new(channel).max_encoding_message_size(MAX_MESSAGE_SIZE);
    let what = || format!("error sending transaction for invoke to {address}");
    let mut answers =
        client.broadcast(tokio_stream::once(envelope)).await.map_err(RpcError).with_context(what)?.into_inner();
    let Some(answer) = answers.message().await.map_err(RpcError).with_context(what)? else {
        bail!("{}: the stream ended without an answer", what());
    };
    match answer.status() {
        Status::Success => Ok(()),
        status => bail!("{}: got unexpected status: {} -- {}", what(), status.as_str_name(), answer.info),
    }
}

async fn connect(address: &str, timeout: Duration) -> anyhow::Result<Channel> {
    let no_address = || format!("{address:?} is not an address; write host:port");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).with_context(no_address)?;
    endpoint.uri().port().with_context(no_address)?;
    match tokio::time::timeout(timeout, endpoint.connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(e)) => bail!(
            "failed to create new connection: {}; is a node running there? `selvedge node start` starts one, \
             --peerAddresses and --orderer (or core.yaml's peer.address) name another",
            innermost(&e)
        ),
        Err(_) => bail!(
            "failed to create new connection: context deadline exceeded after {} ms; allow more with --connTimeout",
            timeout.as_millis()
        ),
    }
}

/// The cause of all: what is around it says no more than that a connection failed.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}

/// A gRPC status, displayed as Go's clients do: `rpc error: code = Unknown desc = ...`.
#[derive(Debug)]
pub(super) struct RpcError(pub(super) tonic::Status);

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two names differ between Go and Rust.
        let code = match self.0.code() {
            tonic::Code::Ok => "OK".to_owned(),
            tonic::Code::Cancelled => "Canceled".to_owned(),
            other => format!("{other:?}"),
        };
        write!(f, "rpc error: code = {code} desc = {}", self.0.message())
    }
}

impl std::error::Error for RpcError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_in_go() {
        let table = [
            (tonic::Status::unknown("access denied"), "rpc error: code = Unknown desc = access denied"),
            (tonic::Status::cancelled("x"), "rpc error: code = Canceled desc = x"),
            (tonic::Status::deadline_exceeded("x"), "rpc error: code = DeadlineExceeded desc = x"),
        ];
        for (status, expected) in table {
            assert_eq!(RpcError(status).to_string(), expected);
        }
    }
}
