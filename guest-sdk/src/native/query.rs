//! The rows of a query, batch by batch: the next one is QUERY_STATE_NEXT, dropping them early is QUERY_STATE_CLOSE.

use bytes::Bytes;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{QueryResponse, QueryResponseMetadata, QueryResultBytes, QueryStateClose, QueryStateNext};
use selvedge_proto::{Message, queryresult};

use super::transaction::Exchange;
use crate::rows::Batches;
use crate::{Error, KeyModification, KeyValue, Page, Timestamp};

/// An open query: the batch at hand, and whether the peer holds more under the id.
pub(super) struct Query {
    exchange: Exchange,
    id: String,
    rows: Vec<QueryResultBytes>,
    has_more: bool,
}

impl Query {
    pub(super) fn open(exchange: Exchange, payload: Bytes) -> Result<Self, Error> {
        let response = decode(payload)?;
        Ok(Self { exchange, id: response.id, rows: response.results, has_more: response.has_more })
    }

    fn next_rows(&mut self) -> Result<Vec<QueryResultBytes>, Error> {
        if self.rows.is_empty() && self.has_more {
            let next = QueryStateNext { id: self.id.clone() };
            let response = decode(self.exchange.request(Type::QueryStateNext, &next)?)?;
            self.has_more = response.has_more;
            return Ok(response.results);
        }
        Ok(std::mem::take(&mut self.rows))
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        // The peer has closed a query by itself when its last batch went out.
        if self.has_more {
            let close = QueryStateClose { id: self.id.clone() };
            if let Err(error) = self.exchange.request(Type::QueryStateClose, &close) {
                self.exchange.log().debug(|| format!("a query could not be closed: {error}"));
            }
        }
    }
}

impl Batches<KeyValue> for Query {
    fn next(&mut self) -> Result<Vec<KeyValue>, Error> {
        self.next_rows()?.into_iter().map(key_value).collect()
    }
}

impl Batches<KeyModification> for Query {
    fn next(&mut self) -> Result<Vec<KeyModification>, Error> {
        self.next_rows()?.into_iter().map(modification).collect()
    }
}

/// One page of a paginated query, which the peer sends whole.
pub(super) fn page(payload: Bytes) -> Result<Page, Error> {
    let response = decode(payload)?;
    let metadata = QueryResponseMetadata::decode(response.metadata)
        .map_err(|error| Error::Peer(format!("the peer's QueryResponseMetadata does not decode: {error}")))?;
    Ok(Page {
        rows: response.results.into_iter().map(key_value).collect::<Result<_, _>>()?,
        fetched_records_count: metadata.fetched_records_count,
        bookmark: metadata.bookmark,
    })
}

fn decode(payload: Bytes) -> Result<QueryResponse, Error> {
    QueryResponse::decode(payload)
        .map_err(|error| Error::Peer(format!("the peer's QueryResponse does not decode: {error}")))
}

fn key_value(row: QueryResultBytes) -> Result<KeyValue, Error> {
    let row = queryresult::Kv::decode(row.result_bytes).map_err(damaged)?;
    Ok(KeyValue { key: row.key, value: row.value.into() })
}

fn modification(row: QueryResultBytes) -> Result<KeyModification, Error> {
    let row = queryresult::KeyModification::decode(row.result_bytes).map_err(damaged)?;
    let timestamp = row.timestamp.map(|time| Timestamp { seconds: time.seconds, nanos: time.nanos });
    Ok(KeyModification { txid: row.tx_id, value: row.value.into(), timestamp, is_delete: row.is_delete })
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Peer(format!("a row of the peer's QueryResponse does not decode: {error}"))
}
