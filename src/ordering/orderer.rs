//! The embedded orderer of one channel (Fabric: `orderer/consensus/solo`, `multichannel.BlockWriter`, and the committer
//! behind them).
//!
//! One task owns the open batch and is the only one to commit; clients reach it through a bounded queue, and wait there
//! when it is full. Invariant: what was acknowledged with SUCCESS is in a block, unless the node dies or the ledger fails
//! before; the order of blocks is the order of the queue.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::rand;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    Block, BlockMetadataIndex, Envelope, HeaderType, LastConfig, Metadata, MetadataSignature, OrdererBlockMetadata,
    SignatureHeader, Status,
};
use selvedge_proto::orderer::BroadcastResponse;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::BlockValidator;
use super::batch::{self, Batch, BatchConfig, BatchCutter};
use crate::ledger::transaction::BlockTransaction;
use crate::ledger::{Ledger, block};
use crate::msp::Signer;

/// Envelopes that may wait for the batch being committed. Clients beyond them wait for a place.
const QUEUE: usize = 1024;
const NONCE_BYTES: usize = 24;

/// Orders the envelopes of one channel, makes blocks of them and commits these.
pub struct Orderer {
    channel: String,
    absolute_max_bytes: usize,
    queue: Mutex<Option<mpsc::Sender<Envelope>>>,
    failure: Arc<OnceLock<String>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Orderer {
    /// Starts the owner task; needs a tokio runtime. Dropping the orderer lets the task finish what is queued.
    pub fn start(
        ledger: Arc<Ledger>,
        signer: Arc<dyn Signer>,
        config: BatchConfig,
        validator: Arc<dyn BlockValidator>,
    ) -> Self {
        let (queue, envelopes) = mpsc::channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let channel = ledger.channel_id().to_owned();
        let writer = Arc::new(BlockWriter { ledger, signer, validator });
        let owner = Owner { envelopes, writer, cutter: BatchCutter::new(config), failure: Arc::clone(&failure) };
        let task = tokio::spawn(owner.run(config));
        Self {
            channel,
            absolute_max_bytes: config.absolute_max_bytes,
            queue: Mutex::new(Some(queue)),
            failure,
            task: Mutex::new(Some(task)),
        }
    }

    /// Queues an envelope. SUCCESS means that it will be in a block; whether it is valid there is another matter. Waits
    /// while the queue is full; dropping the future withdraws the envelope if it is not queued yet.
    ///
    /// The creator's right to send is checked before, by the service.
    pub async fn broadcast(&self, envelope: Envelope) -> BroadcastResponse {
        match self.enqueue(envelope).await {
            Ok(()) => response(Status::Success, ""),
            Err((status, info)) => response(status, info),
        }
    }

    async fn enqueue(&self, envelope: Envelope) -> Result<(), (Status, String)> {
        self.check(&envelope)?;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else {
            return Err((
                Status::ServiceUnavailable,
                format!("the orderer of channel {} is shutting down", self.channel),
            ));
        };
        queue.send(envelope).await.map_err(|_| {
            let reason = self.failure.get().map_or("its task ended", String::as_str);
            (Status::ServiceUnavailable, format!("the orderer of channel {} has stopped: {reason}", self.channel))
        })
    }

    fn check(&self, envelope: &Envelope) -> Result<(), (Status, String)> {
        let bad = |info: &str| Err((Status::BadRequest, info.to_owned()));
        if envelope.payload.is_empty() {
            return bad("message payload is empty");
        }
        let size = batch::size(envelope);
        if size > self.absolute_max_bytes {
            let limit = self.absolute_max_bytes;
            let info = format!("message payload is {size} bytes and exceeds maximum allowed {limit} bytes");
            return Err((Status::RequestEntityTooLarge, info));
        }
        let Some(transaction) = BlockTransaction::from_envelope(envelope) else {
            return bad("could not determine channel ID: the payload or its channel header does not decode");
        };
        if transaction.header.channel_id != self.channel {
            return Err((Status::NotFound, "channel does not exist".into()));
        }
        match transaction.header_type() {
            Some(HeaderType::ConfigUpdate) => Err((
                Status::NotImplemented,
                "the embedded orderer takes no configuration updates yet; make the channel anew with the new configuration"
                    .into(),
            )),
            Some(kind @ (HeaderType::Config | HeaderType::OrdererTransaction)) => {
                bad(&format!("a message of type {} is the orderer's to make", kind.as_str_name()))
            }
            _ => Ok(()),
        }
    }

    /// Why the orderer has stopped, if its ledger failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Takes no more envelopes, orders and commits those that are queued, and returns when they are durable.
    pub async fn shutdown(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(panic) = task.await
        {
            tracing::error!(channel = self.channel, %panic, "the orderer's task did not end well");
        }
    }
}

impl std::fmt::Debug for Orderer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Orderer").field("channel", &self.channel).finish_non_exhaustive()
    }
}

pub(super) fn response(status: Status, info: impl Into<String>) -> BroadcastResponse {
    BroadcastResponse { status: status as i32, info: info.into() }
}

struct Owner {
    envelopes: mpsc::Receiver<Envelope>,
    cutter: BatchCutter,
    writer: Arc<BlockWriter>,
    failure: Arc<OnceLock<String>>,
}

impl Owner {
    async fn run(mut self, config: BatchConfig) {
        let mut deadline = None;
        loop {
            let batches = match self.next(deadline).await {
                Next::Envelope(envelope) => self.cutter.add(&envelope),
                Next::TimeIsUp => vec![self.cutter.cut()],
                Next::Closed => break,
            };
            // The time runs from the first envelope of the open batch on.
            deadline = match (self.cutter.is_empty(), deadline) {
                (true, _) => None,
                (false, Some(deadline)) if batches.is_empty() => Some(deadline),
                (false, _) => Some(Instant::now() + config.batch_timeout),
            };
            for batch in batches {
                if !self.write(batch).await {
                    return;
                }
            }
        }
        let last = self.cutter.cut();
        if !last.is_empty() {
            self.write(last).await;
        }
    }

    async fn next(&mut self, deadline: Option<Instant>) -> Next {
        let envelope = match deadline {
            None => self.envelopes.recv().await,
            Some(deadline) => match timeout_at(deadline, self.envelopes.recv()).await {
                Ok(envelope) => envelope,
                Err(_) => return Next::TimeIsUp,
            },
        };
        envelope.map_or(Next::Closed, Next::Envelope)
    }

    /// Whether the block is committed. If not, the task ends: a later block could not follow.
    async fn write(&self, batch: Batch) -> bool {
        let writer = Arc::clone(&self.writer);
        let written = tokio::task::spawn_blocking(move || writer.write(batch)).await;
        let failure = match written {
            Ok(Ok(())) => return true,
            Ok(Err(reason)) => reason,
            Err(panic) => format!("committing a block panicked: {panic}"),
        };
        tracing::error!(channel = self.writer.ledger.channel_id(), failure, "the orderer stops");
        let _ = self.failure.set(failure);
        false
    }
}

enum Next {
    Envelope(Envelope),
    TimeIsUp,
    Closed,
}

struct BlockWriter {
    ledger: Arc<Ledger>,
    signer: Arc<dyn Signer>,
    validator: Arc<dyn BlockValidator>,
}

impl BlockWriter {
    fn write(&self, batch: Batch) -> Result<(), String> {
        let started = Instant::now();
        let info = self.ledger.chain_info().map_err(|error| error.to_string())?;
        let mut block = block::new_block(info.height, info.current_block_hash, batch);
        self.sign(&mut block)?;
        let codes = self.validator.validate(self.ledger.channel_id(), &block);
        let committed = self.ledger.commit(block, &codes).map_err(|error| error.to_string())?;
        let (channel, number, codes) = (self.ledger.channel_id(), info.height, committed.codes);
        tracing::debug!(channel, number, ?codes, "validated a block");
        // Fabric's line (`kvledger.commit`).
        let (count, milliseconds) = (codes.len(), started.elapsed().as_millis());
        tracing::info!("[{channel}] Committed block [{number}] with {count} transaction(s) in {milliseconds}ms");
        Ok(())
    }

    /// Fills the slots that are the orderer's: the signed one, and the last configuration once more for readers of before
    /// 1.4.2.
    fn sign(&self, block: &mut Block) -> Result<(), String> {
        let last_config = LastConfig { index: self.ledger.last_config_block_number() };
        let metadata = OrdererBlockMetadata { last_config: Some(last_config), consenter_metadata: Bytes::new() };
        let value = metadata.encode_to_vec();
        let mut nonce = vec![0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| "the system gives no random numbers".to_owned())?;
        let header = SignatureHeader { creator: self.signer.serialize(), nonce: nonce.into() }.encode_to_vec();

        let block_header = block.header.clone().unwrap_or_default();
        let signed = [value.as_slice(), &header, &block::header_der(&block_header)].concat();
        let signature = self.signer.sign(&signed).map_err(|error| format!("signing a block: {error}"))?;
        let signature =
            MetadataSignature { signature_header: header.into(), signature, identifier_header: Bytes::new() };
        let signatures = Metadata { value: value.into(), signatures: vec![signature] };
        block::set_metadata(block, BlockMetadataIndex::Signatures, signatures.encode_to_vec().into());

        let last_config = Metadata { value: last_config.encode_to_vec().into(), signatures: Vec::new() };
        block::set_metadata(block, BlockMetadataIndex::LastConfig, last_config.encode_to_vec().into());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
