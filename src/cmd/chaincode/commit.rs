//! Waiting until every peer has committed a transaction (Fabric: `peer/chaincode.deliverGroup`).
//!
//! Opened before the transaction is sent; each stream has then delivered the newest block, so the one with the transaction
//! is still to come. Differs from Fabric 1.4, as Fabric 2.x does: an invalid transaction is an error.

use std::time::Duration;

use anyhow::{Context, bail};
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::{DeliverResponse, FilteredBlock, TxValidationCode};
use tokio::time::Instant;
use tonic::Streaming;
use tracing::info;

use crate::client::create_seek_envelope;
use crate::cmd::services::{Peer, RpcError};
use crate::msp::Signer;

/// Open event streams of all peers.
pub(super) struct CommitWaiter {
    streams: Vec<EventStream>,
    deadline: Instant,
}

struct EventStream {
    address: String,
    events: Streaming<DeliverResponse>,
    /// Blocks that came before anybody asked for a transaction.
    early: Option<FilteredBlock>,
}

impl CommitWaiter {
    /// Opens the streams; `timeout` runs from here on.
    pub(super) async fn open(
        peers: &[Peer],
        channel: &str,
        signer: &dyn Signer,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let deadline = Instant::now() + timeout;
        let mut streams = Vec::with_capacity(peers.len());
        for peer in peers {
            let seek = create_seek_envelope(channel, signer, peer.0.tls_cert_hash.clone()).context("error signing")?;
            let opened = tokio::time::timeout_at(deadline, EventStream::open(peer, seek)).await;
            let stream = opened.context("timed out waiting for connection to deliver on all peers")?;
            streams
                .push(stream.with_context(|| format!("error connecting to deliver filtered at {}", peer.0.address))?);
        }
        Ok(Self { streams, deadline })
    }

    /// Resolves when every peer has committed `txid` as valid.
    pub(super) async fn wait(self, txid: &str) -> anyhow::Result<()> {
        for mut stream in self.streams {
            match tokio::time::timeout_at(self.deadline, stream.wait(txid)).await {
                Ok(seen) => seen?,
                Err(_) => bail!("timed out waiting for txid on all peers"),
            }
        }
        Ok(())
    }
}

/// Nothing but VALID will do: a code that this version does not know is a reason that it does not know.
fn check(code: i32) -> anyhow::Result<()> {
    if code != TxValidationCode::Valid as i32 {
        bail!("transaction invalidated with status ({})", name(code));
    }
    Ok(())
}

fn name(code: i32) -> String {
    TxValidationCode::try_from(code).map_or_else(|_| code.to_string(), |code| code.as_str_name().to_owned())
}

impl EventStream {
    async fn open(peer: &Peer, seek: Envelope) -> anyhow::Result<Self> {
        let events = peer.deliver().deliver_filtered(tokio_stream::once(seek)).await.map_err(RpcError)?.into_inner();
        let mut stream = Self { address: peer.0.address.clone(), events, early: None };
        stream.early = Some(stream.next().await?);
        Ok(stream)
    }

    async fn wait(&mut self, txid: &str) -> anyhow::Result<()> {
        loop {
            let block = match self.early.take() {
                Some(block) => block,
                None => self.next().await?,
            };
            let Some(transaction) = block.filtered_transactions.iter().find(|transaction| transaction.txid == txid)
            else {
                continue;
            };
            let code = transaction.tx_validation_code;
            info!(target: "chaincodeCmd", "txid [{txid}] committed with status ({}) at {}", name(code), self.address);
            return check(code);
        }
    }

    async fn next(&mut self) -> anyhow::Result<FilteredBlock> {
        let Self { address, events, .. } = self;
        let event = events.message().await.map_err(RpcError);
        match event
            .with_context(|| format!("error receiving from deliver filtered at {address}"))?
            .and_then(|event| event.r#type)
        {
            Some(Type::FilteredBlock(block)) => Ok(block),
            Some(Type::Status(status)) => {
                let status = Status::try_from(status)
                    .map_or_else(|code| code.to_string(), |status| status.as_str_name().to_owned());
                bail!("deliver completed with status ({status}) before txid received")
            }
            Some(Type::Block(_) | Type::BlockAndPrivateData(_)) => {
                bail!("received unexpected response type (full block) from deliver filtered at {address}")
            }
            None => bail!("deliver filtered at {address} ended before txid received"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_is_success() {
        check(TxValidationCode::Valid as i32).expect("is valid");
        let refused = |code| check(code).expect_err("is not valid").to_string();
        let conflict = refused(TxValidationCode::MvccReadConflict as i32);
        assert_eq!(conflict, "transaction invalidated with status (MVCC_READ_CONFLICT)");
        assert_eq!(refused(99), "transaction invalidated with status (99)", "a code of a later version");
    }
}
