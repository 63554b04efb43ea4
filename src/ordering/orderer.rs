//! The embedded orderer of one channel (Fabric: `orderer/consensus/solo`, `orderer/common/broadcast`).
//!
//! One task owns the open batch and is the only one to commit; clients reach it through a bounded queue, and wait there
//! when it is full, of envelopes or of bytes. Invariant: what was acknowledged with SUCCESS is in a block, unless the node
//! dies, the ledger fails, or a configuration that comes first forbids it; the order of blocks is the order of the queue.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prost::Message;
use selvedge_proto::common::{Envelope, HeaderType, Status};
use selvedge_proto::orderer::BroadcastResponse;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::batch::{self, Batch, BatchCutter};
use super::block_writer::{BlockWriter, Content};
use super::processor::{ChannelProcessor, Processor, Refusal};
use crate::channel::Channels;
use crate::committer::Committer;
use crate::ledger::transaction::BlockTransaction;
use crate::msp::Signer;

/// Envelopes that may wait for the batch being committed. Clients beyond them wait for a place.
const QUEUE: usize = 1024;

/// KiB of envelopes that may wait there: a queue of the largest ones would take gigabytes.
const QUEUE_KIB: usize = 64 << 10;

/// What is said of a task that left no reason: it panicked.
const TASK_ENDED: &str = "its task ended";

/// Orders the envelopes of one channel, makes blocks of them and commits these.
pub struct Orderer {
    channel: String,
    processor: Arc<dyn Processor>,
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    room: Arc<Semaphore>,
    failure: Arc<OnceLock<String>>,
    halt: watch::Receiver<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A message that may be ordered, and the number of the configuration under which that was found.
struct Ordered {
    envelope: Envelope,
    content: Content,
    sequence: u64,
}

/// A message with the room that it takes in the queue.
type Queued = (Ordered, OwnedSemaphorePermit);

impl Orderer {
    /// Starts the owner task; needs a tokio runtime. When a block is cut, and who may send what, the channel's newest
    /// configuration in `channels` says; configurations that are ordered go there when they are committed. Dropping the
    /// orderer lets the task finish what is queued.
    pub fn start(committer: Committer, signer: Arc<dyn Signer>, channels: &Arc<Channels>) -> Self {
        let processor = ChannelProcessor {
            channel: committer.ledger().channel_id().to_owned(),
            channels: Arc::clone(channels),
            signer: Arc::clone(&signer),
        };
        Self::start_with(committer, signer, Arc::new(processor))
    }

    pub(super) fn start_with(committer: Committer, signer: Arc<dyn Signer>, processor: Arc<dyn Processor>) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let channel = committer.ledger().channel_id().to_owned();
        let (alive, halt) = watch::channel(());
        let owner = Owner {
            messages,
            cutter: BatchCutter::new(processor.batch_config()),
            writer: Arc::new(BlockWriter::new(committer, signer)),
            processor: Arc::clone(&processor),
            failure: Arc::clone(&failure),
            _alive: alive,
        };
        let task = Mutex::new(Some(tokio::spawn(owner.run())));
        let (queue, room) = (Mutex::new(Some(queue)), Arc::new(Semaphore::new(QUEUE_KIB)));
        Self { channel, processor, queue, room, failure, halt, task }
    }

    /// Checks and queues an envelope. SUCCESS means that it will be in a block, unless a configuration that comes first
    /// forbids it; whether it is valid there is another matter. Waits while the queue is full; dropping the future
    /// withdraws the envelope if it is not queued yet.
    pub async fn broadcast(&self, envelope: Envelope) -> BroadcastResponse {
        match self.enqueue(envelope).await {
            Ok(()) => response(Status::Success, ""),
            Err(Refusal { status, info }) => response(status, info),
        }
    }

    async fn enqueue(&self, envelope: Envelope) -> Result<(), Refusal> {
        let message = self.process(envelope).await?;
        let unavailable = |info| Refusal { status: Status::ServiceUnavailable, info };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopping = || unavailable(format!("the orderer of channel {} is shutting down", self.channel));
        let queue = queue.ok_or_else(stopping)?;
        let kib = (batch::size(&message.envelope) / 1024 + 1).min(QUEUE_KIB);
        let room = Arc::clone(&self.room).acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX)).await;
        let room = room.map_err(|_| stopping())?;
        queue.send((message, room)).await.map_err(|_| {
            let reason = self.failure.get().map_or(TASK_ENDED, String::as_str);
            unavailable(format!("the orderer of channel {} has stopped: {reason}", self.channel))
        })
    }

    async fn process(&self, envelope: Envelope) -> Result<Ordered, Refusal> {
        let bad = |info: &str| Refusal { status: Status::BadRequest, info: info.to_owned() };
        let Some(transaction) = BlockTransaction::from_envelope(&envelope) else {
            return Err(bad("could not determine channel ID: the payload or its channel header does not decode"));
        };
        if transaction.header.channel_id != self.channel {
            return Err(Refusal { status: Status::NotFound, info: "channel does not exist".into() });
        }
        match transaction.header_type() {
            Some(HeaderType::Config | HeaderType::OrdererTransaction) => {
                Err(bad("message is of type that cannot be processed directly"))
            }
            Some(HeaderType::ConfigUpdate) => {
                let processor = Arc::clone(&self.processor);
                let processed = tokio::task::spawn_blocking(move || processor.process_config_update(&envelope)).await;
                let (envelope, sequence) = processed.map_err(|panic| Refusal {
                    status: Status::InternalServerError,
                    info: format!("processing the configuration update panicked: {panic}"),
                })??;
                Ok(Ordered { envelope, content: Content::Configuration, sequence })
            }
            _ => {
                let sequence = self.processor.process_normal(&envelope)?;
                Ok(Ordered { envelope, content: Content::Transactions, sequence })
            }
        }
    }

    /// Why the orderer has stopped, if nobody shut it down.
    pub fn failure(&self) -> Option<&str> {
        let reason = self.failure.get().map(String::as_str);
        reason.or_else(|| {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.as_ref().is_some_and(mpsc::Sender::is_closed).then_some(TASK_ENDED)
        })
    }

    /// Closed when the orderer has stopped, for whatever reason (Fabric: `consensus.Chain.Errored`).
    pub(super) fn halt(&self) -> watch::Receiver<()> {
        self.halt.clone()
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
    messages: mpsc::Receiver<Queued>,
    cutter: BatchCutter,
    processor: Arc<dyn Processor>,
    writer: Arc<BlockWriter>,
    failure: Arc<OnceLock<String>>,
    /// Dropped with the task, which closes `halt`.
    _alive: watch::Sender<()>,
}

impl Owner {
    async fn run(mut self) {
        let mut deadline = None;
        loop {
            let blocks = match self.next(deadline).await {
                Next::Message(message) => self.add(message),
                Next::TimeIsUp => vec![(self.cutter.cut(), Content::Transactions)],
                Next::Closed => break,
            };
            // The time runs from the first envelope of the open batch on.
            deadline = match (self.cutter.is_empty(), deadline) {
                (true, _) => None,
                (false, Some(deadline)) if blocks.is_empty() => Some(deadline),
                (false, _) => Some(Instant::now() + self.processor.batch_config().batch_timeout),
            };
            for (batch, content) in blocks {
                if !self.write(batch, content).await {
                    return;
                }
            }
        }
        let last = self.cutter.cut();
        if !last.is_empty() {
            self.write(last, Content::Transactions).await;
        }
    }

    async fn next(&mut self, deadline: Option<Instant>) -> Next {
        let message = match deadline {
            None => self.messages.recv().await,
            // A queue that is never empty must not put the block off.
            Some(deadline) if Instant::now() >= deadline => return Next::TimeIsUp,
            Some(deadline) => match timeout_at(deadline, self.messages.recv()).await {
                Ok(message) => message,
                Err(_) => return Next::TimeIsUp,
            },
        };
        message.map_or(Next::Closed, |(message, _)| Next::Message(message))
    }

    /// The blocks that a message completes.
    fn add(&mut self, message: Ordered) -> Vec<(Batch, Content)> {
        let envelope = match self.check_again(message) {
            Some(Ordered { envelope, content: Content::Transactions, .. }) => envelope,
            Some(Ordered { envelope, content: Content::Configuration, .. }) => {
                // What was checked under the present configuration is ordered before the next one.
                let (open, config) = (self.cutter.cut(), vec![envelope.encode_to_vec().into()]);
                let blocks = [(open, Content::Transactions), (config, Content::Configuration)];
                return blocks.into_iter().filter(|(batch, _)| !batch.is_empty()).collect();
            }
            None => return Vec::new(),
        };
        self.cutter.configure(self.processor.batch_config());
        self.cutter.add(&envelope).into_iter().map(|batch| (batch, Content::Transactions)).collect()
    }

    /// A message that was checked under an older configuration may not be ordered any more. Its client was told SUCCESS, so
    /// the log is the only place where that is said.
    fn check_again(&self, message: Ordered) -> Option<Ordered> {
        if message.sequence >= self.processor.sequence() {
            return Some(message);
        }
        let Ordered { envelope, content, .. } = message;
        let (checked, kind) = match content {
            Content::Transactions => (self.processor.process_normal(&envelope).map(|now| (None, now)), "normal"),
            Content::Configuration => {
                (self.processor.process_config(&envelope).map(|(anew, now)| (Some(anew), now)), "config")
            }
        };
        match checked {
            Ok((anew, sequence)) => Some(Ordered { envelope: anew.unwrap_or(envelope), content, sequence }),
            Err(Refusal { info, .. }) => {
                let transaction = BlockTransaction::from_envelope(&envelope);
                let txid = transaction.map(|transaction| transaction.header.tx_id).unwrap_or_default();
                tracing::warn!(txid, "[{}] Discarding bad {kind} message: {info}", self.writer.channel());
                None
            }
        }
    }

    /// Whether the block is committed. If not, the task ends: a later block could not follow.
    async fn write(&self, batch: Batch, content: Content) -> bool {
        let writer = Arc::clone(&self.writer);
        let written = tokio::task::spawn_blocking(move || writer.write(batch, content)).await;
        let failure = match written {
            Ok(Ok(())) => return true,
            Ok(Err(reason)) => reason,
            Err(panic) => format!("committing a block panicked: {panic}"),
        };
        tracing::error!(channel = self.writer.channel(), failure, "the orderer stops");
        let _ = self.failure.set(failure);
        false
    }
}

enum Next {
    Message(Ordered),
    TimeIsUp,
    Closed,
}

#[cfg(test)]
mod tests;
