//! The services of peers and orderers, and gRPC errors worded as Go's clients word them.

use std::fmt;

use anyhow::{Context, bail};
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ProposalResponse, SignedProposal};
use tonic::transport::Channel;

use super::connect::Connection;

/// A peer that a command talks to. Its services share one connection.
pub(super) struct Peer(pub(super) Connection);

impl Peer {
    pub(super) async fn endorse(&self, proposal: SignedProposal) -> Result<ProposalResponse, RpcError> {
        let mut client = EndorserClient::new(self.0.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE);
        Ok(client.process_proposal(proposal).await.map_err(RpcError)?.into_inner())
    }

    pub(super) fn deliver(&self) -> DeliverClient<Channel> {
        DeliverClient::new(self.0.channel.clone()).max_decoding_message_size(MAX_MESSAGE_SIZE)
    }
}

/// An orderer that a command talks to.
pub(super) struct Orderer(pub(super) Connection);

impl Orderer {
    /// Hands it a transaction and waits for its acknowledgement: that it will be ordered, not that it is committed.
    pub(super) async fn broadcast(&self, envelope: Envelope) -> anyhow::Result<()> {
        let sent = self.client().broadcast(tokio_stream::once(envelope)).await;
        let answer = sent.map_err(RpcError)?.into_inner().message().await.map_err(RpcError)?;
        let answer = answer.context("the stream ended without an answer")?;
        match answer.status() {
            Status::Success => Ok(()),
            status => bail!("got unexpected status: {} -- {}", status.as_str_name(), answer.info),
        }
    }

    pub(super) fn client(&self) -> AtomicBroadcastClient<Channel> {
        AtomicBroadcastClient::new(self.0.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE)
    }
}

/// A gRPC status, displayed as Go's clients do: `rpc error: code = Unknown desc = ...`. What can be done about it follows,
/// where the peer may not say so itself.
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
        let message = self.0.message();
        write!(f, "rpc error: code = {code} desc = {message}")?;
        // All that a peer tells a stranger (in Fabric too).
        if message.starts_with("access denied: channel []") {
            f.write_str(
                "; this identity is not of the peer's own organisation (CORE_PEER_MSPCONFIGPATH, CORE_PEER_LOCALMSPID); \
                 the peer's log says more",
            )
        } else if message.starts_with("access denied: channel [") {
            f.write_str(
                "; either the peer has no such channel (-C), or this identity is not of the channel's organisation \
                 (CORE_PEER_MSPCONFIGPATH, CORE_PEER_LOCALMSPID); the peer's log says which",
            )
        } else {
            Ok(())
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
            (tonic::Status::unknown("identity expired"), "rpc error: code = Unknown desc = identity expired"),
            (tonic::Status::cancelled("x"), "rpc error: code = Canceled desc = x"),
            (tonic::Status::deadline_exceeded("x"), "rpc error: code = DeadlineExceeded desc = x"),
        ];
        for (status, expected) in table {
            assert_eq!(RpcError(status).to_string(), expected);
        }
    }
}
