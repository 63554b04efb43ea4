//! The rows of a query, batch by batch: `next` is QUERY_STATE_NEXT, dropping the handle is QUERY_STATE_CLOSE.

use bytes::Bytes;
use selvedge_proto::protos::{
    QueryResponse, QueryResponseMetadata, QueryResultBytes, QueryStateClose, QueryStateNext, chaincode_message::Type,
};
use selvedge_proto::{Message, queryresult};
use wasmtime::component::Resource;

use crate::container::wasm::bindings::selvedge::chaincode::state::{
    HostHistory, HostResults, KeyModification, Kv, Page,
};
use crate::container::wasm::instance::InstanceState;

/// An open range or rich query.
pub struct Results(Query);

/// An open history query.
pub struct History(Query);

/// The batch at hand, and whether the peer holds more under the id.
#[derive(Default)]
struct Query {
    id: String,
    rows: Vec<QueryResultBytes>,
    has_more: bool,
}

impl Query {
    fn open(payload: Bytes) -> Result<Self, String> {
        let response = decode(payload)?;
        Ok(Self { id: response.id, rows: response.results, has_more: response.has_more })
    }
}

impl Results {
    pub(super) fn open(payload: Bytes) -> Result<Self, String> {
        Query::open(payload).map(Self)
    }
}

impl History {
    pub(super) fn open(payload: Bytes) -> Result<Self, String> {
        Query::open(payload).map(Self)
    }
}

fn decode(payload: Bytes) -> Result<QueryResponse, String> {
    QueryResponse::decode(payload).map_err(|error| format!("the peer's QueryResponse does not decode: {error}"))
}

fn key_values(rows: Vec<QueryResultBytes>) -> Result<Vec<Kv>, String> {
    rows.into_iter()
        .map(|row| {
            let kv = queryresult::Kv::decode(row.result_bytes)
                .map_err(|error| format!("a row of the peer's QueryResponse does not decode: {error}"))?;
            Ok(Kv { key: kv.key, value: kv.value.into() })
        })
        .collect()
}

fn modifications(rows: Vec<QueryResultBytes>) -> Result<Vec<KeyModification>, String> {
    rows.into_iter()
        .map(|row| {
            let row = queryresult::KeyModification::decode(row.result_bytes)
                .map_err(|error| format!("a row of the peer's QueryResponse does not decode: {error}"))?;
            Ok(KeyModification {
                txid: row.tx_id,
                value: row.value.into(),
                timestamp: row.timestamp.map(|timestamp| (timestamp.seconds, timestamp.nanos)),
                is_delete: row.is_delete,
            })
        })
        .collect()
}

/// One page of a paginated query, which the peer sends whole.
pub(super) fn page(payload: Bytes) -> Result<Page, String> {
    let response = decode(payload)?;
    let metadata = QueryResponseMetadata::decode(response.metadata)
        .map_err(|error| format!("the peer's QueryResponseMetadata does not decode: {error}"))?;
    Ok(Page {
        rows: key_values(response.results)?,
        fetched_records_count: metadata.fetched_records_count,
        bookmark: metadata.bookmark,
    })
}

impl InstanceState {
    /// The batch at hand, or the next one of the peer's.
    async fn next_rows(&mut self, query: &mut Query) -> wasmtime::Result<Result<Vec<QueryResultBytes>, String>> {
        if !query.rows.is_empty() || !query.has_more {
            return Ok(Ok(std::mem::take(&mut query.rows)));
        }
        let answer = self.request(Type::QueryStateNext, &QueryStateNext { id: query.id.clone() }).await?;
        Ok(answer.and_then(decode).map(|response| {
            query.has_more = response.has_more;
            response.results
        }))
    }

    async fn close(&mut self, query: Query) -> wasmtime::Result<()> {
        // The peer has closed a query by itself when its last batch went out.
        if query.has_more {
            let closed = self.request(Type::QueryStateClose, &QueryStateClose { id: query.id }).await?;
            if let Err(error) = closed {
                tracing::debug!("a query could not be closed: {error}");
            }
        }
        Ok(())
    }
}

impl HostResults for InstanceState {
    async fn next(&mut self, this: Resource<Results>) -> wasmtime::Result<Result<Vec<Kv>, String>> {
        // Out of the table for the time of the request, which borrows the whole state.
        let mut query = std::mem::take(&mut self.table.get_mut(&this)?.0);
        let rows = self.next_rows(&mut query).await?;
        self.table.get_mut(&this)?.0 = query;
        Ok(rows.and_then(key_values))
    }

    async fn drop(&mut self, this: Resource<Results>) -> wasmtime::Result<()> {
        let query = self.table.delete(this)?.0;
        self.close(query).await
    }
}

impl HostHistory for InstanceState {
    async fn next(&mut self, this: Resource<History>) -> wasmtime::Result<Result<Vec<KeyModification>, String>> {
        // Out of the table for the time of the request, which borrows the whole state.
        let mut query = std::mem::take(&mut self.table.get_mut(&this)?.0);
        let rows = self.next_rows(&mut query).await?;
        self.table.get_mut(&this)?.0 = query;
        Ok(rows.and_then(modifications))
    }

    async fn drop(&mut self, this: Resource<History>) -> wasmtime::Result<()> {
        let query = self.table.delete(this)?.0;
        self.close(query).await
    }
}
