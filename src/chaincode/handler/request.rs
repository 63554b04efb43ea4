//! Takes a request of the chaincode, has it worked on, and answers it (Fabric: `Handler.HandleTransaction`).
//!
//! Invariant: a request is answered exactly once, with RESPONSE or ERROR, even if the peer's own code panics; but a second
//! request while one is in flight gets no answer at all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeMessage;
use tracing::{debug, error, warn};

use super::super::RequestError;
use super::super::message::{self, Type, short, shown};
use super::super::metrics::{Outcome, RequestTimer};
use super::super::transaction_context::{InFlight, TransactionContext};
use super::{Handler, invoke, metadata, query, state};
use crate::container::Pending;

/// Whether a message of this type asks the peer for something.
pub(super) fn is_request(kind: Type) -> bool {
    match kind {
        Type::GetState
        | Type::PutState
        | Type::DelState
        | Type::InvokeChaincode
        | Type::GetStateByRange
        | Type::GetQueryResult
        | Type::QueryStateNext
        | Type::QueryStateClose
        | Type::GetHistoryForKey
        | Type::GetStateMetadata
        | Type::PutStateMetadata
        | Type::GetPrivateDataHash
        | Type::PurgePrivateData
        | Type::WriteBatchState
        | Type::GetStateMultiple => true,
        Type::Undefined
        | Type::Register
        | Type::Registered
        | Type::Init
        | Type::Ready
        | Type::Transaction
        | Type::Completed
        | Type::Error
        | Type::Response
        | Type::Keepalive => false,
    }
}

impl Handler {
    /// The work of one request; none if the request is dropped, or has its answer already.
    pub(super) fn request(&self, kind: Type, message: ChaincodeMessage) -> Option<Pending> {
        let handler = self.me.upgrade()?;
        let ChaincodeMessage { payload, txid, channel_id, .. } = message;
        let Some(context) = self.contexts.get(&channel_id, &txid) else {
            // Found now, so that nothing of the payload is kept.
            let cause = self.without_context(kind, &channel_id, payload);
            return Some(Box::pin(async move {
                handler.reply(Err(cause), kind, txid, channel_id);
            }));
        };
        let Some(in_flight) = Arc::clone(&context).begin() else {
            // One line for each transaction, however many follow.
            if context.drop_first() {
                warn!(
                    "[{}] Another request pending for this CC: {}, Txid: {txid}, ChannelID: {channel_id}. Cannot process.",
                    short(&txid),
                    shown(self.id.get().map_or("", String::as_str))
                );
            }
            return None;
        };
        let timer = in_flight.metrics.received(kind);
        if let Some(result) = self.support.at_once().answer(kind, &in_flight, &payload) {
            self.conclude(in_flight, timer, result, kind, txid, channel_id);
            return None;
        }
        Some(Box::pin(async move {
            let result = match kind {
                Type::InvokeChaincode => CatchPanic::new(invoke::invoke(&handler.support, &in_flight, payload)).await,
                _ if query::may_scan(kind, &in_flight, &payload) => {
                    handler.answer_elsewhere(kind, Arc::clone(&in_flight), payload).await
                }
                _ => catch_unwind(AssertUnwindSafe(|| handler.answer(kind, &in_flight, payload))).ok(),
            };
            let result = result.unwrap_or(Err(RequestError::Panic));
            handler.conclude(in_flight, timer, result, kind, txid, channel_id);
        }))
    }

    fn conclude(
        &self,
        in_flight: InFlight,
        timer: RequestTimer,
        result: Result<Bytes, RequestError>,
        kind: Type,
        txid: String,
        channel_id: String,
    ) {
        if let Err(cause) = &result
            && cause.is_local()
        {
            in_flight.budget.fail(cause.to_string());
        }
        timer.completed(Outcome::of(&result));
        drop(in_flight);
        self.reply(result, kind, txid, channel_id);
    }

    /// What is asked of the ledger is answered without waiting.
    fn answer(&self, kind: Type, context: &Arc<TransactionContext>, payload: Bytes) -> Result<Bytes, RequestError> {
        let support = &self.support;
        if context.params.simulator.is_none() {
            return Err(RequestError::NoLedgerContext);
        }
        match kind {
            Type::GetState => state::get(support, context, payload),
            Type::PutState => state::put(support, context, payload),
            Type::DelState => state::delete(support, context, payload),
            Type::GetStateMultiple => state::get_multiple(support, context, payload),
            Type::WriteBatchState => state::write_batch(support, context, payload),
            Type::GetPrivateDataHash => state::private_hash(context, payload),
            Type::PurgePrivateData => state::purge(support, context, payload),
            Type::GetStateMetadata => metadata::get(support, context, payload),
            Type::PutStateMetadata => metadata::put(support, context, payload),
            Type::GetStateByRange => query::range(support, context, payload),
            Type::GetQueryResult => query::rich(support, context, payload),
            Type::GetHistoryForKey => query::history(support, context, payload),
            Type::QueryStateNext => query::next(support, context, payload),
            Type::QueryStateClose => query::close(context, payload),
            // `is_request` let nothing else through.
            _ => Err(RequestError::UnknownOperation),
        }
    }

    /// The same on a thread of its own, when there is a processor for it: others wait for this one. None if it panicked.
    async fn answer_elsewhere(
        self: &Arc<Self>,
        kind: Type,
        context: Arc<TransactionContext>,
        payload: Bytes,
    ) -> Option<Result<Bytes, RequestError>> {
        let handler = Arc::clone(self);
        let permit = Arc::clone(self.support.scans()).acquire_owned().await;
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            handler.answer(kind, &context, payload)
        });
        answer.await.ok()
    }

    /// The error for a request of a transaction that is not executed here. It counts in no metric: the labels would be the
    /// chaincode's to choose.
    fn without_context(&self, kind: Type, channel_id: &str, payload: Bytes) -> RequestError {
        match kind {
            Type::InvokeChaincode => invoke::without_context(&self.support, channel_id, payload),
            _ => RequestError::NoLedgerContext,
        }
    }

    fn reply(&self, result: Result<Bytes, RequestError>, kind: Type, txid: String, channel_id: String) {
        let (answer, payload) = match result {
            Ok(payload) => (Type::Response, payload),
            Err(cause) => {
                let text = format!("{} failed: transaction ID: {txid}: {cause}", kind.as_str_name());
                if cause.is_local() {
                    error!("[{}] {text}", short(&txid));
                } else {
                    debug!("[{}] {text}", short(&txid));
                }
                (Type::Error, text.into())
            }
        };
        // A chaincode that is gone needs no answer; its transport says so to `closed`.
        if let Err(gone) = self.stream.send(message::for_transaction(answer, payload, txid, channel_id)) {
            debug!("an answer to {} was not sent: {gone}", kind.as_str_name());
        }
    }
}

/// A future whose panic becomes `None`.
struct CatchPanic<F>(Pin<Box<F>>);

impl<F: Future> CatchPanic<F> {
    fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
