//! Waiting until every peer has committed a transaction (Fabric: `peer/chaincode.deliverGroup`).
//!
//! Opened before the transaction is sent; each stream has then delivered the newest block, so the one with the transaction
//! is still to come. As in Fabric all peers are waited for, even when one has failed already, and `--waitForEventTimeout`
//! is for opening and waiting together. Differs from Fabric 1.4, as Fabric 2.x does: an invalid transaction is an error.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::{DeliverResponse, FilteredBlock, TxValidationCode};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Streaming;
use tonic::transport::Channel;
use tracing::info;

use crate::client::create_seek_envelope;
use crate::cmd::services::{Peer, RpcError};
use crate::msp::Signer;

/// Open event streams of all peers.
pub(super) struct CommitWaiter {
    streams: Vec<EventStream>,
    timeout: Duration,
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
        let mut opening = JoinSet::new();
        for peer in peers {
            let seek = create_seek_envelope(channel, signer, peer.0.tls_cert_hash.clone()).context("error signing")?;
            opening.spawn(EventStream::open(peer.0.address.clone(), peer.deliver(), seek));
        }
        let mut streams = Vec::with_capacity(peers.len());
        loop {
            match tokio::time::timeout_at(deadline, opening.join_next()).await {
                Ok(Some(opened)) => {
                    streams.push(opened?.context("failed to connect to deliver on all peers")?);
                }
                Ok(None) => return Ok(Self { streams, timeout, deadline }),
                Err(_) => bail!("timed out waiting for connection to deliver on all peers{}", advice(timeout)),
            }
        }
    }

    /// Resolves when every peer has committed `txid` as valid.
    pub(super) async fn wait(self, txid: &str) -> anyhow::Result<()> {
        let mut missing: BTreeSet<_> = self.streams.iter().map(|stream| stream.address.clone()).collect();
        let mut waiting = JoinSet::new();
        for mut stream in self.streams {
            let txid = txid.to_owned();
            waiting.spawn(async move {
                let seen = stream.wait(&txid).await;
                (stream.address, seen)
            });
        }
        let mut failure = None;
        loop {
            match tokio::time::timeout_at(self.deadline, waiting.join_next()).await {
                Ok(Some(ended)) => {
                    let (address, seen) = ended?;
                    missing.remove(&address);
                    failure = failure.or(seen.err());
                }
                Ok(None) => return failure.map_or(Ok(()), Err),
                Err(_) => {
                    let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
                    let also = failure.map(|failure| format!("; and {failure:#}")).unwrap_or_default();
                    let advice = advice(self.timeout);
                    bail!("timed out waiting for txid on all peers: no word of {txid} from {missing}{advice}{also}");
                }
            }
        }
    }
}

fn advice(timeout: Duration) -> String {
    format!(" within {} ms; allow more with --waitForEventTimeout", timeout.as_millis())
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
    async fn open(address: String, mut deliver: DeliverClient<Channel>, seek: Envelope) -> anyhow::Result<Self> {
        let connected = deliver.deliver_filtered(tokio_stream::once(seek)).await.map_err(RpcError);
        let events =
            connected.with_context(|| format!("error connecting to deliver filtered at {address}"))?.into_inner();
        let mut stream = Self { address, events, early: None };
        stream.early = Some(stream.next().await?);
        Ok(stream)
    }

    async fn wait(&mut self, txid: &str) -> anyhow::Result<()> {
        loop {
            let block = match self.early.take() {
                Some(block) => block,
                None => self.next().await.context("failed to receive txid on all peers")?,
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
                bail!("deliver completed with status ({status}) before txid received at {address}")
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
