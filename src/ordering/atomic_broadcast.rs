//! The orderer's service (Fabric: `orderer/common/{broadcast,server}`).
//!
//! Invariant: one answer for each envelope, in order; the first that is not SUCCESS ends the stream.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use selvedge_proto::common::{Block, BlockMetadataIndex, Envelope, Status};
use selvedge_proto::orderer::atomic_broadcast_server::AtomicBroadcast;
use selvedge_proto::orderer::deliver_response::Type;
use selvedge_proto::orderer::{BroadcastResponse, DeliverResponse};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Streaming};

use super::deliver::{Form, Sent};
use super::deliver_service::stream;
use super::orderer::response;
use super::{ChannelCreation, Deliverer, Orderer, OrdererDirectory};
use crate::channel::resource;
use crate::ledger::transaction::BlockTransaction;
use crate::ledger::{Ledger, LedgerError, block};

/// The embedded orderers of a node by channel; channels are joined while it runs.
#[derive(Debug, Default)]
pub struct Orderers {
    channels: RwLock<BTreeMap<String, Arc<Orderer>>>,
}

impl Orderers {
    /// Adds the orderer of a channel; returns the one that was there.
    pub fn insert(&self, channel: &str, orderer: Arc<Orderer>) -> Option<Arc<Orderer>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(channel.to_owned(), orderer)
    }

    /// The orderer of a channel.
    pub fn get(&self, channel: &str) -> Option<Arc<Orderer>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// The first orderer that has stopped although nobody shut it down: its channel and the reason.
    pub fn failure(&self) -> Option<String> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        channels.iter().find_map(|(channel, orderer)| Some(format!("channel {channel}: {}", orderer.failure()?)))
    }

    /// Shuts all of them down, one after the other.
    pub async fn shutdown(&self) {
        // They stay, to say that they are shutting down.
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner).clone();
        for orderer in channels.into_values() {
            orderer.shutdown().await;
        }
    }
}

fn ordered_elsewhere(channel: &str, addresses: &[String]) -> String {
    format!(
        "channel {channel} is not ordered by this node; send its transactions to its ordering service at {}",
        addresses.join(", ")
    )
}

/// Implements `orderer.AtomicBroadcast`.
#[derive(Clone)]
pub struct AtomicBroadcastService {
    orderers: Arc<Orderers>,
    directory: Arc<dyn OrdererDirectory>,
    deliverer: Arc<Deliverer>,
    creation: Option<Arc<ChannelCreation>>,
}

impl AtomicBroadcastService {
    /// Orders with `orderers` and streams what `deliverer` reads. `directory` knows where the other channels are ordered.
    pub fn new(orderers: Arc<Orderers>, directory: Arc<dyn OrdererDirectory>, deliverer: Arc<Deliverer>) -> Self {
        Self { orderers, directory, deliverer, creation: None }
    }

    /// Has channels made by `creation`; without it there are those that the peer joins.
    pub fn creating(mut self, creation: Arc<ChannelCreation>) -> Self {
        self.creation = Some(creation);
        self
    }

    /// Answers one envelope, wherever it comes from.
    pub async fn order(&self, envelope: Envelope) -> BroadcastResponse {
        let Some(transaction) = BlockTransaction::from_envelope(&envelope) else {
            let info = "could not determine channel ID: the payload or its channel header does not decode";
            return response(Status::BadRequest, info);
        };
        let channel = &transaction.header.channel_id;
        match self.orderers.get(channel) {
            Some(orderer) => orderer.broadcast(envelope).await,
            None if self.directory.is_unopened(channel) => response(
                Status::ServiceUnavailable,
                format!("channel {channel} could not be opened when the node started; its log and /healthz say why"),
            ),
            None => match self.directory.orderer_addresses(channel, &envelope) {
                Some(addresses) => response(Status::NotFound, ordered_elsewhere(channel, &addresses)),
                None => match &self.creation {
                    Some(creation) => match creation.process(envelope, transaction).await {
                        Ok(()) => response(Status::Success, ""),
                        Err(refusal) => response(refusal.status, refusal.info),
                    },
                    None => response(Status::NotFound, "channel does not exist"),
                },
            },
        }
    }
}

impl std::fmt::Debug for AtomicBroadcastService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AtomicBroadcastService").field("orderers", &self.orderers).finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl AtomicBroadcast for AtomicBroadcastService {
    type BroadcastStream = ReceiverStream<Sent<BroadcastResponse>>;
    type DeliverStream = ReceiverStream<Sent<DeliverResponse>>;

    async fn broadcast(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::BroadcastStream>, tonic::Status> {
        // One answer waits at most: the next envelope is taken when the client has it.
        let (responses, stream) = mpsc::channel(1);
        let service = self.clone();
        tokio::spawn(async move {
            let mut envelopes = request.into_inner();
            loop {
                // A client may close its half and still wait for answers, so only a response stream that is gone ends this.
                let envelope = tokio::select! {
                    envelope = envelopes.message() => envelope,
                    () = responses.closed() => return,
                };
                let Ok(Some(envelope)) = envelope else { return };
                // What can be ordered at once is, even if the client has gone; what waits for its turn waits with the client.
                let answer = tokio::select! {
                    biased;
                    answer = service.order(envelope) => answer,
                    () = responses.closed() => return,
                };
                let refused = answer.status != Status::Success as i32;
                if responses.send(Ok(answer)).await.is_err() || refused {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverStream>, tonic::Status> {
        let form = OrdererBlocks { orderers: Arc::clone(&self.orderers) };
        stream(&self.deliverer, form, request)
    }
}

/// Blocks as an orderer has them: without what a committer adds.
#[derive(Clone)]
pub(super) struct OrdererBlocks {
    orderers: Arc<Orderers>,
}

impl Form for OrdererBlocks {
    type Response = DeliverResponse;
    const SERVICE: &'static str = "/orderer.AtomicBroadcast";
    const RESOURCE: &'static str = resource::ORDERER_DELIVER;

    fn halt(&self, channel: &str) -> Option<watch::Receiver<()>> {
        Some(self.orderers.get(channel)?.halt())
    }

    fn created(&self, block: &Block) -> Option<DeliverResponse> {
        Some(ordered(block.clone()))
    }

    fn block(&self, _: &Ledger, _: &Envelope, block: Block) -> Result<DeliverResponse, LedgerError> {
        Ok(ordered(block))
    }

    fn status(status: Status) -> DeliverResponse {
        DeliverResponse { r#type: Some(Type::Status(status as i32)) }
    }
}

fn ordered(mut block: Block) -> DeliverResponse {
    block::set_metadata(&mut block, BlockMetadataIndex::TransactionsFilter, Bytes::new());
    block::set_metadata(&mut block, BlockMetadataIndex::CommitHash, Bytes::new());
    DeliverResponse { r#type: Some(Type::Block(block)) }
}

#[cfg(test)]
mod tests;
