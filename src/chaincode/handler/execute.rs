//! Sends a chaincode its INIT or TRANSACTION and waits for the answer (Fabric: `Handler.Execute`).
//!
//! Invariant: when an execution fails for a reason that another endorser might not see, its whole transaction is doomed,
//! and from then on no execution of it succeeds, whatever the chaincode answers.

use std::sync::Arc;

use prost::Message;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::error;

use super::super::message::{self, Type, short};
use super::super::transaction_context::{Execution, TransactionContext};
use super::super::{SendingError, TransactionParams};
use super::Handler;
use crate::container::{Budget, Ccid, Pending, StreamError};

impl Handler {
    /// Executes a transaction until the chaincode answers, the budget's deadline passes or the stream ends. Dropping the
    /// future cancels the transaction's budget: everything that works for it stops.
    pub(in super::super) async fn execute(
        &self,
        execution: Execution,
        params: TransactionParams,
        budget: Budget,
        ccid: &Ccid,
        input: &ChaincodeInput,
    ) -> Result<ChaincodeMessage, SendingError> {
        self.admit(&budget)?;
        let message = first_message(execution, &params, input)?;
        let kind = message.r#type;
        let metrics = self.metrics.channel(&params.channel_id);
        let (context, answer) = TransactionContext::new(params, ccid.name.clone(), execution, budget, metrics);
        self.contexts.create(&context)?;
        let mut running = Running { handler: self, context: &context, answered: false };

        let work = match self.stream.execute(message, context.budget.clone()) {
            Ok(work) => work,
            Err(cause) => return Ok(unsent(&context, kind, &cause)),
        };
        let deadline = Instant::from_std(context.budget.deadline());
        let outcome = match tokio::time::timeout_at(deadline, answered(work, answer)).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(SendingError::StreamTerminated),
            Err(_) => {
                self.metrics.execute_timed_out(ccid);
                Err(SendingError::Timeout)
            }
        };
        let answer = outcome.inspect_err(|failure| context.budget.fail(failure.to_string()))?;
        still_sound(&context.budget)?;
        running.answered = true;
        Ok(answer)
    }

    /// Whether the transaction may go on, this deep.
    fn admit(&self, budget: &Budget) -> Result<(), SendingError> {
        let (depth, limit) = (budget.depth(), self.support.config().call_depth);
        if depth > limit {
            return Err(SendingError::CallDepth { depth, limit });
        }
        still_sound(budget)
    }
}

/// The chaincode's answer; none when its stream ended first. Where the chaincode runs in this process, this is its run.
async fn answered(work: Option<Pending>, mut answer: oneshot::Receiver<ChaincodeMessage>) -> Option<ChaincodeMessage> {
    if let Some(work) = work {
        tokio::select! {
            biased;
            () = work => {}
            answer = &mut answer => return answer.ok(),
        }
    }
    answer.await.ok()
}

/// What the peer itself answers in place of a chaincode that it cannot reach, as in Fabric.
fn unsent(context: &TransactionContext, kind: i32, cause: &StreamError) -> ChaincodeMessage {
    let cause = format!("[{}] error sending {}: {cause}", short(context.txid()), message::type_name(kind));
    error!("{cause}");
    context.budget.fail(cause.clone());
    let (txid, channel) = (context.txid().to_owned(), context.channel_id().to_owned());
    message::for_transaction(Type::Error, cause.into(), txid, channel)
}

fn still_sound(budget: &Budget) -> Result<(), SendingError> {
    budget.failure().map_or(Ok(()), |reason| Err(SendingError::Doomed(reason.to_owned())))
}

fn first_message(
    execution: Execution,
    params: &TransactionParams,
    input: &ChaincodeInput,
) -> Result<ChaincodeMessage, SendingError> {
    let proposal = match (&params.proposal, &params.signed_proposal) {
        (None, _) => None,
        (Some(_), Some(signed)) => Some((**signed).clone()),
        (Some(_), None) => return Err(SendingError::NoSignedProposal),
    };
    let kind = match execution {
        Execution::Init => Type::Init,
        Execution::Invoke => Type::Transaction,
    };
    let (txid, channel) = (params.txid.clone(), params.channel_id.clone());
    let message = message::for_transaction(kind, input.encode_to_vec().into(), txid, channel);
    Ok(ChaincodeMessage { proposal, ..message })
}

/// An execution between its message and its end, however it ends.
struct Running<'a> {
    handler: &'a Handler,
    context: &'a Arc<TransactionContext>,
    answered: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.handler.contexts.delete(self.context);
        if !self.answered {
            self.context.budget.cancel();
        }
    }
}
