//! The services of peers and orderers, and gRPC errors worded as Go's clients word them.

use std::fmt;

use anyhow::{Context, anyhow, bail};
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ProposalResponse, SignedProposal};
use tonic::transport::Channel;

use crate::cmd::connect::Connection;
use crate::tls::explain_lost_connection;

/// A peer that a command talks to. Its services share one connection.
pub(super) struct Peer(pub(super) Connection);

impl Peer {
    pub(super) async fn endorse(&self, proposal: SignedProposal, verb: &str) -> anyhow::Result<ProposalResponse> {
        let mut client = EndorserClient::new(self.0.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE);
        let response = client.process_proposal(proposal).await.map_err(|status| {
            let hint = if is_unknown_creator(&status) { DENIED } else { "" };
            anyhow!("error endorsing {verb}: {}{hint}", RpcError(status))
        });
        Ok(response?.into_inner())
    }

    pub(super) fn deliver(&self) -> DeliverClient<Channel> {
        DeliverClient::new(self.0.channel.clone()).max_decoding_message_size(MAX_MESSAGE_SIZE)
    }
}

/// What can be done about `access denied`, which is all that a peer tells a stranger (in Fabric too).
const DENIED: &str = "; either the peer has no such channel (-C), or this identity is not of the channel's organisation \
                      (CORE_PEER_MSPCONFIGPATH, CORE_PEER_LOCALMSPID); the peer's log says which";

fn is_unknown_creator(status: &tonic::Status) -> bool {
    status.message().starts_with("access denied: channel [")
}

/// Hands a transaction to an orderer and waits for its acknowledgement: that it will be ordered, not that it is committed.
pub(super) async fn broadcast(orderer: Connection, envelope: Envelope) -> anyhow::Result<()> {
    let Connection { address, channel, .. } = orderer;
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
        write!(f, "rpc error: code = {code} desc = {}", self.0.message())?;
        match explain_lost_connection(&self.0) {
            Some(why) => write!(f, ": {why} (to a peer: CORE_PEER_TLS_ENABLED; to an orderer: --tls)"),
            None => Ok(()),
        }
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
