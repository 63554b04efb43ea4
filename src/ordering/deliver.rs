//! Streams blocks to a client (Fabric: `common/deliver`).
//!
//! Which form the blocks take is for the services. Invariants: one read for each block, so that a long stream pins no
//! snapshot; of the blocks of a stream that nobody reads, no more than a few are in memory; a client that goes away ends
//! its task.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use selvedge_proto::common::{Block, Envelope, Status};
use selvedge_proto::orderer::seek_info::{SeekBehavior, SeekErrorResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::{Stream, StreamExt};

use super::deliver_metrics::BlockForm;
use super::seek::{self, Refusal, Span};
use super::{CreatedChannels, DeliverAccess, DeliverMetrics, TlsBinding, created_channel};
use crate::decode::envelope_creator;
use crate::ledger::{Ledger, LedgerError, LedgerProvider};
use crate::msp;
use crate::tls::CertHash;

/// Responses that may wait for a slow client: one is read while another is sent, and no more because a block may be large.
pub(super) const RESPONSES: usize = 1;

/// Streams that may be open: `peer.limits.concurrency.deliverService` in the core.yaml of Fabric 2.x.
const DEFAULT_CONCURRENCY: usize = 2500;

/// What can be set about Deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverConfig {
    /// How far a request's timestamp may be from the node's time (`peer.authentication.timewindow`).
    pub time_window: Duration,
    /// What requests must say about their connection.
    pub binding: TlsBinding,
    /// How many streams may be open.
    pub concurrency: usize,
}

impl Default for DeliverConfig {
    /// What Fabric's core.yaml says.
    fn default() -> Self {
        let time_window = Duration::from_secs(15 * 60);
        Self { time_window, binding: TlsBinding::None, concurrency: DEFAULT_CONCURRENCY }
    }
}

/// Serves the streams of all Deliver services.
pub struct Deliverer {
    ledgers: Arc<LedgerProvider>,
    access: Arc<dyn DeliverAccess>,
    config: DeliverConfig,
    metrics: DeliverMetrics,
    slots: Arc<Semaphore>,
    created: Option<Arc<CreatedChannels>>,
    closing: watch::Sender<bool>,
}

impl Deliverer {
    /// Serves the channels of `ledgers` to those whom `access` lets.
    pub fn new(
        ledgers: Arc<LedgerProvider>,
        access: Arc<dyn DeliverAccess>,
        config: DeliverConfig,
        metrics: DeliverMetrics,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(config.concurrency));
        Self { ledgers, access, config, metrics, slots, created: None, closing: watch::Sender::new(false) }
    }

    /// A place for one more stream, free again when it is dropped. One that has not asked for anything has none: a stranger
    /// could hold them all.
    fn slot(&self, service: &str) -> Result<OwnedSemaphorePermit, tonic::Status> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            let limit = self.config.concurrency;
            let refusal = format!("too many requests for {service}, exceeding concurrency limit ({limit})");
            tracing::error!("{refusal}");
            // As Fabric's interceptor, which gives its error no code.
            tonic::Status::unknown(refusal)
        })
    }

    /// Serves block 0 of the channels in `created`, too, to those who ask the orderer.
    pub fn with_created(mut self, created: Arc<CreatedChannels>) -> Self {
        self.created = Some(created);
        self
    }

    /// Ends all streams with SERVICE_UNAVAILABLE, so that a server that waits for its streams can stop.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Serves one stream until its end: a status that is not SUCCESS, the end of the requests, or the client's going.
    /// `certificate` is the hash of what the client showed when it connected.
    pub(super) async fn serve<F, S>(
        &self,
        form: F,
        certificate: Option<CertHash>,
        mut requests: S,
        responses: mpsc::Sender<Sent<F::Response>>,
    ) where
        F: Form,
        S: Stream<Item = Result<Envelope, tonic::Status>> + Unpin,
    {
        let _open = self.metrics.stream();
        let mut closing = self.closing.subscribe();
        let closed = async { closing.wait_for(|closing| *closing).await.is_ok() };
        let mut slot = None;
        let serve = async {
            while let Some(Ok(request)) = requests.next().await {
                if slot.is_none() {
                    match self.slot(F::SERVICE) {
                        Ok(free) => slot = Some(free),
                        Err(refusal) => return drop(responses.send(Err(refusal)).await),
                    }
                }
                let status = match self.answer(&form, certificate.as_ref(), &request, &responses).await {
                    Ok(()) => Status::Success,
                    Err(End::Refused(refusal)) => {
                        refusal.log(F::RESOURCE);
                        refusal.status
                    }
                    Err(End::Gone) => return,
                };
                if responses.send(Ok(F::status(status))).await.is_err() || status != Status::Success {
                    return;
                }
            }
        };
        tokio::select! {
            () = serve => {}
            () = responses.closed() => {}
            true = closed => {
                // Waits while the client has not taken the block before; until the connection ends, then.
                let _ = responses.send(Ok(F::status(Status::ServiceUnavailable))).await;
            }
        }
    }

    async fn answer<F: Form>(
        &self,
        form: &F,
        certificate: Option<&CertHash>,
        envelope: &Envelope,
        responses: &mpsc::Sender<Sent<F::Response>>,
    ) -> Result<(), End> {
        let request = seek::open(envelope, self.config.time_window, SystemTime::now())?;
        self.config.binding.check(&request.header, certificate)?;
        let channel = request.header.channel_id.as_str();
        let joined = self.ledgers.get(channel);
        if joined.is_none()
            && let Some(created) = self.created.as_ref().and_then(|created| created.get(channel))
            && let Some(block) = form.created(&created.block)
        {
            return created_channel::answer::<F>(block, &created, envelope, &request, responses).await;
        }
        let ledger = joined.filter(|_| self.access.is_open(channel));
        let ledger = ledger.ok_or_else(|| Refusal::no_channel(channel))?;
        let mut metrics = self.metrics.request(channel, F::BLOCK_FORM);
        let info = seek::info(&request)?;
        let mut halt = match info.error_response() {
            SeekErrorResponse::Strict => form.halt(channel),
            SeekErrorResponse::BestEffort => None,
        };
        if halt.as_ref().is_some_and(|halt| halt.has_changed().is_err()) {
            return Err(Refusal::halted(channel).into());
        }
        let mut session = Session::new(&*self.access, F::RESOURCE, envelope, &ledger)?;
        session.check()?;
        let mut height = ledger.subscribe();
        let now = *height.borrow_and_update();
        let Span { first, last, behavior } = seek::span(&info, now)?;
        for number in first..=last {
            let exists = *height.borrow_and_update() > number;
            if !exists && behavior == SeekBehavior::FailIfNotReady {
                return Err(Refusal::new(Status::NotFound, format!("block {number} does not exist yet")).into());
            }
            // A channel that takes no more blocks has those that it has. After them there is nothing to wait for.
            let there_or_never = |height: &u64| *height > number || ledger.halted().is_some();
            tokio::select! {
                biased;
                grown = height.wait_for(there_or_never) => drop(grown.map_err(|_| End::Gone)?),
                () = halted(&mut halt) => return Err(Refusal::halted(channel).into()),
            }
            if *height.borrow() <= number {
                let reason = ledger.halted().unwrap_or_default();
                let reason = format!("channel {channel} is halted: {reason}");
                return Err(Refusal::new(Status::ServiceUnavailable, reason).into());
            }
            // A block is read when there is room for it, and for who has the right to it by then.
            let room = responses.reserve().await.map_err(|_| End::Gone)?;
            session.check()?;
            room.send(Ok(read(form.clone(), Arc::clone(&ledger), envelope.clone(), number).await?));
            metrics.block_sent();
        }
        metrics.succeeded();
        Ok(())
    }
}

/// Resolves when what orders the channel has stopped; never where nobody says so.
async fn halted(halt: &mut Option<watch::Receiver<()>>) {
    match halt {
        Some(halt) => while halt.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Deliverer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What goes to the client.
pub(super) type Sent<R> = Result<R, tonic::Status>;

/// The form in which a service delivers blocks.
pub(super) trait Form: Clone + Send + Sync + 'static {
    type Response: Send + 'static;
    const SERVICE: &'static str = "/protos.Deliver";
    const RESOURCE: &'static str;
    const BLOCK_FORM: BlockForm = BlockForm::Whole;

    /// Closed when what orders the channel has stopped. A peer knows nothing of that: there is none.
    fn halt(&self, _channel: &str) -> Option<watch::Receiver<()>> {
        None
    }

    /// The response for block 0 of a channel that is created and not joined yet. A peer knows nothing of that: there is none.
    fn created(&self, _block: &Block) -> Option<Self::Response> {
        None
    }

    /// The response for a committed block to whoever sent `request`.
    ///
    /// # Errors
    /// When the ledger fails.
    fn block(&self, ledger: &Ledger, request: &Envelope, block: Block) -> Result<Self::Response, LedgerError>;

    fn status(status: Status) -> Self::Response;
}

async fn read<F: Form>(form: F, ledger: Arc<Ledger>, request: Envelope, number: u64) -> Result<F::Response, End> {
    let read = tokio::task::spawn_blocking(move || {
        let block = ledger.block_by_number(number)?;
        block.map(|block| form.block(&ledger, &request, block)).transpose()
    });
    let reason = match read.await {
        Ok(Ok(Some(response))) => return Ok(response),
        Ok(Ok(None)) => format!("block {number} is missing"),
        Ok(Err(error)) => format!("reading block {number}: {error}"),
        Err(panic) => format!("reading block {number} panicked: {panic}"),
    };
    Err(Refusal::new(Status::InternalServerError, reason).into())
}

/// How an answer ends early.
pub(super) enum End {
    Refused(Refusal),
    Gone,
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The rights of one request's creator, checked again when they may have changed (Fabric: `SessionAccessControl`).
struct Session<'a> {
    access: &'a dyn DeliverAccess,
    resource: &'static str,
    envelope: &'a Envelope,
    ledger: &'a Ledger,
    /// When the creator's certificate expires, which no policy asks.
    end: Option<SystemTime>,
    /// Under the configuration of which block.
    checked: Option<u64>,
}

impl<'a> Session<'a> {
    fn new(
        access: &'a dyn DeliverAccess,
        resource: &'static str,
        envelope: &'a Envelope,
        ledger: &'a Ledger,
    ) -> Result<Self, Refusal> {
        let creator = envelope_creator(envelope).or(Err(Refusal::bad("its signature header does not decode")))?;
        Ok(Self { access, resource, envelope, ledger, end: msp::expires_at(&creator), checked: None })
    }

    fn check(&mut self) -> Result<(), Refusal> {
        let forbidden = |reason| Refusal::new(Status::Forbidden, reason);
        if let Some(end) = self.end
            && let Ok(since) = SystemTime::now().duration_since(end)
        {
            return Err(forbidden(format!("client identity expired {} s before", since.as_secs())));
        }
        let config = self.ledger.last_config_block_number();
        if self.checked != Some(config) {
            self.access.check(self.resource, self.ledger.channel_id(), self.envelope).map_err(forbidden)?;
            self.checked = Some(config);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
