//! The endorser as a gRPC service (Fabric: `Endorser.ProcessProposal`).

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use prost::Message;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::endorser_server::Endorser as EndorserService;
use selvedge_proto::protos::{ProposalResponse, SignedProposal};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::check::{CheckedProposal, check};
use super::simulate::simulate;
use super::{ChaincodeExecutor, EndorserError, EndorserMetrics, Placement, response};
use crate::chaincode::{Definitions, Ledgers, SystemChaincodes};
use crate::channel::{AclChecker, Authenticator, resource};
use crate::msp::Signer;
use crate::private_data::PrivateDataDistributor;

/// Proposals in work at once: `peer.limits.concurrency.endorserService` in Fabric's core.yaml.
pub const DEFAULT_CONCURRENCY: usize = 2500;

/// What an endorser works with.
#[derive(Clone)]
pub struct EndorserParts {
    /// Says who signed a proposal. The ACL checker has to share it, or each signature is verified twice.
    pub authenticator: Arc<Authenticator>,
    /// Says who may propose.
    pub acl: AclChecker,
    /// Says which chaincodes are system chaincodes.
    pub system_chaincodes: Arc<dyn SystemChaincodes>,
    /// Says which chaincode is what the channel agreed on.
    pub definitions: Arc<dyn Definitions>,
    /// Runs chaincode.
    pub executor: Arc<dyn ChaincodeExecutor>,
    /// Finds ledgers.
    pub ledgers: Arc<dyn Ledgers>,
    /// Takes private data.
    pub private_data: Arc<dyn PrivateDataDistributor>,
    /// Signs endorsements.
    pub signer: Arc<dyn Signer>,
    /// Counts what failed.
    pub metrics: Arc<EndorserMetrics>,
}

/// The endorser. Cheap to clone.
#[derive(Clone)]
pub struct Endorser {
    parts: Arc<EndorserParts>,
    slots: Arc<Semaphore>,
    concurrency: usize,
    work: Option<Handle>,
}

impl Endorser {
    /// An endorser that has up to `concurrency` proposals in work, each as one task: of the `work` runtime if there is
    /// one, else of the caller's. Verifying, signing and simulating use the CPU for longer than a runtime that serves
    /// connections should wait.
    pub fn new(parts: EndorserParts, concurrency: usize, work: Option<Handle>) -> Self {
        Self { parts: Arc::new(parts), slots: Arc::new(Semaphore::new(concurrency)), concurrency, work }
    }

    /// Processes a proposal in the caller's task.
    ///
    /// # Errors
    /// When the proposal is refused. What fails later comes back as a response with status 500.
    pub async fn process(&self, signed: SignedProposal) -> Result<ProposalResponse, EndorserError> {
        self.parts.process(signed).await
    }

    /// Runs [`Endorser::process`] as a task of its own. Dropping the future leaves the task running: Fabric finishes a
    /// simulation too when its client has left.
    async fn spawn(&self, signed: SignedProposal) -> Result<ProposalResponse, Status> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err(refuse(&EndorserError::TooManyRequests(self.concurrency)));
        };
        let parts = Arc::clone(&self.parts);
        let task = async move {
            let answer = parts.process(signed).await;
            drop(slot);
            answer
        };
        let task = match &self.work {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        };
        match task.await {
            Ok(answer) => answer.map_err(|error| refuse(&error)),
            Err(died) => {
                tracing::error!(cause = %died, "the task that processed a proposal died");
                Err(Status::internal("the peer failed while it processed the proposal; its log has the cause"))
            }
        }
    }
}

/// Fabric's errors have no code of their own, which gRPC calls Unknown.
fn refuse(error: &EndorserError) -> Status {
    Status::unknown(error.to_string())
}

/// What no client takes is not sent either: an answer has what the chaincode answered twice. The text is gRPC's in Go.
fn check_size(answer: &ProposalResponse) -> Result<(), Status> {
    let size = answer.encoded_len();
    if size <= MAX_MESSAGE_SIZE {
        return Ok(());
    }
    let text = format!("grpc: trying to send message larger than max ({size} vs. {MAX_MESSAGE_SIZE})");
    tracing::warn!(%text, "an answer was not sent");
    Err(Status::resource_exhausted(text))
}

#[async_trait]
impl EndorserService for Endorser {
    async fn process_proposal(&self, request: Request<SignedProposal>) -> Result<Response<ProposalResponse>, Status> {
        let answer = self.spawn(request.into_inner()).await?;
        check_size(&answer)?;
        Ok(Response::new(answer))
    }
}

impl EndorserParts {
    async fn process(&self, signed: SignedProposal) -> Result<ProposalResponse, EndorserError> {
        let started = Instant::now();
        let checked = check(Arc::new(signed), SystemTime::now(), &self.authenticator)
            .and_then(|checked| self.admit(&checked).map(|()| checked))
            .inspect_err(|error| tracing::warn!(%error, "proposal refused"))?;
        let (channel, txid, chaincode) = (checked.channel(), checked.txid(), &checked.chaincode_id.name);
        let answer = match simulate(self, &checked).await {
            Ok(simulated) => response::shape(&checked, simulated, &*self.signer),
            Err(error) => Err(error),
        };
        let milliseconds = started.elapsed().as_millis();
        match answer {
            Ok(answer) => {
                let status = answer.response.as_ref().map_or(0, |response| response.status);
                tracing::info!(channel, txid, chaincode, status, milliseconds, "proposal processed");
                Ok(answer)
            }
            Err(error) if error.placement() == Placement::Response => {
                tracing::error!(channel, txid, chaincode, %error, milliseconds, "proposal failed");
                Ok(response::failure(&error))
            }
            Err(error) => Err(error),
        }
    }

    /// The checks that need to know chaincodes and ledgers.
    fn admit(&self, checked: &CheckedProposal) -> Result<(), EndorserError> {
        let name = &checked.chaincode_id.name;
        if self.system_chaincodes.is_sys_cc_and_not_invokable_external(name) {
            return Err(EndorserError::NotInvokable(name.clone()));
        }
        let channel = checked.channel();
        if channel.is_empty() {
            return Ok(());
        }
        if self.is_on_ledger(channel, checked.txid()) {
            let creator = hex::encode(&checked.creator_bytes);
            return Err(EndorserError::Duplicate { txid: checked.txid().to_owned(), creator });
        }
        if !self.system_chaincodes.is_sys_cc(name) {
            self.acl.check_identity(resource::PROPOSE, &checked.realm, &checked.creator)?;
        }
        Ok(())
    }

    /// A look-up that fails counts as "no", as in Fabric: the commit looks again.
    fn is_on_ledger(&self, channel: &str, txid: &str) -> bool {
        let Some(ledger) = self.ledgers.ledger(channel) else { return false };
        ledger.contains_transaction(txid).unwrap_or_else(|error| {
            tracing::error!(channel, txid, %error, "could not look for a duplicate transaction");
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_large_as_a_message_may_be_and_no_larger() {
        let answer = |size| ProposalResponse { payload: vec![0; size].into(), ..ProposalResponse::default() };
        let around = MAX_MESSAGE_SIZE - 5;
        check_size(&answer(around)).unwrap();
        let refused = check_size(&answer(around + 1)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(refused.message(), "grpc: trying to send message larger than max (104857601 vs. 104857600)");
    }
}
