//! Range, rich and history queries, and the iterators they leave open (Fabric: `HandleGetStateByRange` and its like).
//!
//! Invariant: an iterator is open exactly as long as the chaincode was told `has_more`, and no longer than its execution.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{
    GetHistoryForKey, GetQueryResult, GetStateByRange, QueryMetadata, QueryResponse, QueryResponseMetadata,
    QueryResultBytes, QueryStateClose, QueryStateNext,
};
use selvedge_proto::queryresult::Kv;
use uuid::Uuid;

use super::super::environment::Access;
use super::super::message::Type;
use super::super::transaction_context::{TransactionContext, lock};
use super::super::{ChaincodeSupport, RequestError};
use super::private_data;
use super::query_batch::{Batch, Batching, Progress};
use super::state::AnswerSize;
use crate::ledger::{HistoryIterator, KeyValue, StateIterator, TxSimulator};

type Answer = Result<Bytes, RequestError>;

/// An execution's open iterators, by the id that the chaincode knows.
pub(in super::super) type OpenQueries = HashMap<String, OpenQuery>;

/// A query of which the chaincode has not had all rows.
pub(in super::super) struct OpenQuery {
    rows: Rows,
    progress: Progress,
}

enum Rows {
    State(StateIterator),
    History(HistoryIterator),
}

/// Iterators that one execution may have open: far more than anybody reads at a time. Fabric knows no limit; each is a view
/// of the state and a row, a few KiB of the peer's memory, that a chaincode asks for with a message of some bytes.
const OPEN: usize = 10_000;

/// Whether a request may have to look at every row of the chaincode: that of a rich query, and its next batches.
pub(super) fn may_scan(kind: Type, context: &TransactionContext, payload: &Bytes) -> bool {
    match kind {
        Type::GetQueryResult => true,
        Type::QueryStateNext => {
            let id = QueryStateNext::decode(payload.clone()).unwrap_or_default().id;
            matches!(lock(&context.queries).get(&id), Some(OpenQuery { rows: Rows::State(rows), .. }) if rows.is_rich())
        }
        _ => false,
    }
}

/// GET_STATE_BY_RANGE.
pub(super) fn range(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    let GetStateByRange { start_key, end_key, collection, metadata } = GetStateByRange::decode(payload)?;
    let page = QueryMetadata::decode(metadata)?;
    let limit = limit(support, &page);
    room(context)?;
    let ns = &context.namespace;
    let (rows, batching) = if !collection.is_empty() {
        private_data::allowed(support, context, Access::Read, &collection)?;
        let rows = context.simulator()?.get_private_data_range(ns, &collection, &start_key, &end_key)?;
        (rows, Batching::Shim)
    } else if asks_for_page(&page) {
        let mut simulator = context.simulator()?;
        (simulator.get_state_range_page(ns, &start_key, &end_key, limit, &page.bookmark)?, Batching::Page)
    } else {
        (context.simulator()?.get_state_range(ns, &start_key, &end_key)?, Batching::Shim)
    };
    first(context, Rows::State(rows), limit, batching)
}

/// GET_QUERY_RESULT.
pub(super) fn rich(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    let GetQueryResult { query, collection, metadata } = GetQueryResult::decode(payload)?;
    let page = QueryMetadata::decode(metadata)?;
    let limit = limit(support, &page);
    room(context)?;
    let ns = &context.namespace;
    let budget = context.budget.clone();
    context.simulator()?.stop_next_query_when(move || budget.is_over());
    let (rows, batching) = if !collection.is_empty() {
        private_data::allowed(support, context, Access::Read, &collection)?;
        (context.simulator()?.execute_query_on_private_data(ns, &collection, &query)?, Batching::Shim)
    } else if asks_for_page(&page) {
        (context.simulator()?.execute_query_page(ns, &query, limit, &page.bookmark)?, Batching::Page)
    } else {
        (context.simulator()?.execute_query(ns, &query)?, Batching::Shim)
    };
    first(context, Rows::State(rows), limit, batching)
}

/// GET_HISTORY_FOR_KEY: what was committed, oldest first.
pub(super) fn history(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    let GetHistoryForKey { key } = GetHistoryForKey::decode(payload)?;
    room(context)?;
    let executor = context.params.history.as_ref().ok_or(RequestError::NoHistory)?;
    let rows = executor.get_history_for_key(&context.namespace, &key)?;
    first(context, Rows::History(rows), support.config().total_query_limit, Batching::Shim)
}

/// QUERY_STATE_NEXT.
pub(super) fn next(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    let QueryStateNext { id } = QueryStateNext::decode(payload)?;
    let query = lock(&context.queries).remove(&id).ok_or(RequestError::NoIterator)?;
    batch(context, id, query, support.config().total_query_limit, Batching::Shim)
}

/// QUERY_STATE_CLOSE: an iterator that is not open is as good as closed.
pub(super) fn close(context: &TransactionContext, payload: Bytes) -> Answer {
    let QueryStateClose { id } = QueryStateClose::decode(payload)?;
    lock(&context.queries).remove(&id);
    Ok(QueryResponse { id, ..QueryResponse::default() }.encode_to_vec().into())
}

/// Refuses a query, before anything of it is in the read set, where too many are open.
fn room(context: &TransactionContext) -> Result<(), RequestError> {
    if lock(&context.queries).len() < OPEN { Ok(()) } else { Err(RequestError::OpenIterators { limit: OPEN }) }
}

fn first(context: &TransactionContext, rows: Rows, limit: u32, batching: Batching) -> Answer {
    let query = OpenQuery { rows, progress: Progress::default() };
    batch(context, Uuid::new_v4().to_string(), query, limit, batching)
}

/// One answer to a query, which stays open if there is more. An error closes it.
fn batch(context: &TransactionContext, id: String, mut query: OpenQuery, limit: u32, batching: Batching) -> Answer {
    let OpenQuery { rows, progress } = &mut query;
    let mut size = AnswerSize::default();
    let Batch { rows: results, has_more } = match rows {
        Rows::State(rows) => {
            let mut simulator = context.simulator()?;
            progress.next_batch(limit, batching, || state_row(&mut simulator, rows, &context.namespace, &mut size))?
        }
        Rows::History(rows) => progress.next_batch(limit, batching, || history_row(rows, &mut size))?,
    };
    let metadata = match (batching, rows) {
        (Batching::Page, Rows::State(rows)) => page_end(progress, rows.bookmark()?),
        _ => Bytes::new(),
    };
    if has_more {
        lock(&context.queries).insert(id.clone(), query);
    }
    Ok(QueryResponse { results, has_more, id, metadata }.encode_to_vec().into())
}

fn state_row(
    simulator: &mut TxSimulator,
    rows: &mut StateIterator,
    namespace: &str,
    size: &mut AnswerSize,
) -> Result<Option<QueryResultBytes>, RequestError> {
    let Some(KeyValue { key, value }) = simulator.next(rows)? else { return Ok(None) };
    encoded(&Kv { namespace: namespace.to_owned(), key, value }, size).map(Some)
}

fn history_row(rows: &mut HistoryIterator, size: &mut AnswerSize) -> Result<Option<QueryResultBytes>, RequestError> {
    rows.next()?.map(|row| encoded(&row, size)).transpose()
}

fn encoded(row: &impl Message, size: &mut AnswerSize) -> Result<QueryResultBytes, RequestError> {
    size.add(row.encoded_len())?;
    Ok(QueryResultBytes { result_bytes: row.encode_to_vec().into() })
}

/// Where the next page starts.
fn page_end(progress: &Progress, bookmark: String) -> Bytes {
    let fetched_records_count = i32::try_from(progress.returned()).unwrap_or(i32::MAX);
    QueryResponseMetadata { fetched_records_count, bookmark }.encode_to_vec().into()
}

fn asks_for_page(page: &QueryMetadata) -> bool {
    page.page_size != 0 || !page.bookmark.is_empty()
}

/// How many rows the query may yield: the page's size, but never more than `ledger.state.totalQueryLimit`.
fn limit(support: &ChaincodeSupport, page: &QueryMetadata) -> u32 {
    let total = support.config().total_query_limit;
    match u32::try_from(page.page_size) {
        Ok(size) if size > 0 => size.min(total),
        _ => total,
    }
}
