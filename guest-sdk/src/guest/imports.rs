//! The peer as the sandbox imports it: each method is one call of a function in `wit/`.

use super::bindings::selvedge::chaincode::{chaincodes, config, events, logging, private_data, state, transaction};
#[cfg(feature = "peer")]
use super::bindings::selvedge::peer::ledger;
use crate::peer::Peer;
use crate::rows::Batches;
use crate::{Blob, Error, KeyModification, KeyValue, Level, Page, Payload, Response, Rows, SignedProposal, Timestamp};
#[cfg(feature = "peer")]
use crate::{LedgerError, LedgerQuery};

pub(crate) struct Imports;

impl Peer for Imports {
    fn channel_id(&self) -> String {
        transaction::channel_id()
    }

    fn txid(&self) -> String {
        transaction::txid()
    }

    fn args(&self) -> Vec<Vec<u8>> {
        transaction::args()
    }

    fn arg_sizes(&self) -> Vec<u64> {
        transaction::arg_sizes()
    }

    fn arg(&self, index: u32) -> Option<Blob> {
        transaction::arg(index).map(|handle| Blob { handle })
    }

    fn transient(&self) -> Vec<(String, Vec<u8>)> {
        transaction::transient()
    }

    fn decorations(&self) -> Vec<(String, Vec<u8>)> {
        transaction::decorations()
    }

    fn creator(&self) -> Option<Vec<u8>> {
        transaction::creator()
    }

    fn signed_proposal(&self) -> Option<SignedProposal> {
        let transaction::SignedBytes { proposal_bytes, signature } = transaction::signed_proposal()?;
        Some(SignedProposal { proposal_bytes, signature })
    }

    fn binding(&self) -> Option<Vec<u8>> {
        transaction::binding()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        transaction::timestamp().map(|instant| Timestamp { seconds: instant.seconds, nanos: instant.nanos })
    }

    fn get(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let value = if collection.is_empty() { state::get(key) } else { private_data::get(collection, key) };
        value.map_err(Error::Peer)
    }

    fn get_multiple(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        state::get_multiple(keys).map_err(Error::Peer)
    }

    fn get_hash(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        private_data::get_hash(collection, key).map_err(Error::Peer)
    }

    fn put(&self, collection: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        let done =
            if collection.is_empty() { state::put(key, value) } else { private_data::put(collection, key, value) };
        done.map_err(Error::Peer)
    }

    fn delete(&self, collection: &str, key: &str) -> Result<(), Error> {
        let done = if collection.is_empty() { state::delete(key) } else { private_data::delete(collection, key) };
        done.map_err(Error::Peer)
    }

    fn purge(&self, collection: &str, key: &str) -> Result<(), Error> {
        private_data::purge(collection, key).map_err(Error::Peer)
    }

    fn get_metadata(&self, collection: &str, key: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let entries =
            if collection.is_empty() { state::get_metadata(key) } else { private_data::get_metadata(collection, key) };
        Ok(entries.map_err(Error::Peer)?.into_iter().map(|entry| (entry.name, entry.value)).collect())
    }

    fn put_metadata(&self, collection: &str, key: &str, name: &str, value: &[u8]) -> Result<(), Error> {
        let entry = state::MetadataEntry { name: name.to_owned(), value: value.to_vec() };
        let done = if collection.is_empty() {
            state::put_metadata(key, &entry)
        } else {
            private_data::put_metadata(collection, key, &entry)
        };
        done.map_err(Error::Peer)
    }

    fn get_range(&self, collection: &str, start: &str, end: &str) -> Result<Rows<KeyValue>, Error> {
        let results = if collection.is_empty() {
            state::get_range(start, end)
        } else {
            private_data::get_range(collection, start, end)
        };
        results.map(Rows::new).map_err(Error::Peer)
    }

    fn get_range_page(&self, start: &str, end: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        state::get_range_page(start, end, page_size, bookmark).map(page).map_err(Error::Peer)
    }

    fn query(&self, collection: &str, query: &str) -> Result<Rows<KeyValue>, Error> {
        let results = if collection.is_empty() { state::query(query) } else { private_data::query(collection, query) };
        results.map(Rows::new).map_err(Error::Peer)
    }

    fn query_page(&self, query: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        state::query_page(query, page_size, bookmark).map(page).map_err(Error::Peer)
    }

    fn get_history(&self, key: &str) -> Result<Rows<KeyModification>, Error> {
        state::get_history(key).map(Rows::new).map_err(Error::Peer)
    }

    fn invoke_chaincode(&self, name: &str, args: &[Vec<u8>], channel: &str) -> Result<Response, Error> {
        let answer = chaincodes::invoke(name, args, channel).map_err(Error::Peer)?;
        Ok(Response { status: answer.status, message: answer.message, payload: Payload::Bytes(answer.payload) })
    }

    fn set_event(&self, name: &str, payload: &[u8]) -> Result<(), Error> {
        events::set(name, payload).map_err(Error::Peer)
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Trace => logging::Level::Trace,
            Level::Debug => logging::Level::Debug,
            Level::Info => logging::Level::Info,
            Level::Warn => logging::Level::Warn,
            Level::Error => logging::Level::Error,
        };
        logging::log(level, message);
    }

    fn config(&self, key: &str) -> Option<String> {
        config::get(key)
    }

    #[cfg(feature = "peer")]
    fn ledger(&self, channel: &str, query: LedgerQuery<'_>) -> Result<Blob, LedgerError> {
        let answer = match query {
            LedgerQuery::ChainInfo => ledger::chain_info(channel),
            LedgerQuery::BlockByNumber(number) => ledger::block_by_number(channel, number),
            LedgerQuery::BlockByHash(hash) => ledger::block_by_hash(channel, hash),
            LedgerQuery::BlockByTxid(txid) => ledger::block_by_txid(channel, txid),
            LedgerQuery::TransactionById(txid) => ledger::transaction_by_id(channel, txid),
        };
        answer.map(|handle| Blob { handle }).map_err(|error| match error {
            ledger::Error::UnknownChannel => LedgerError::UnknownChannel,
            ledger::Error::AccessDenied(reason) => LedgerError::AccessDenied(reason),
            ledger::Error::Ledger(reason) => LedgerError::Ledger(reason),
        })
    }
}

impl Batches<KeyValue> for state::Results {
    fn next(&mut self) -> Result<Vec<KeyValue>, Error> {
        state::Results::next(self).map(rows).map_err(Error::Peer)
    }
}

impl Batches<KeyModification> for state::History {
    fn next(&mut self) -> Result<Vec<KeyModification>, Error> {
        let batch = state::History::next(self).map_err(Error::Peer)?;
        let modification = |change: state::KeyModification| KeyModification {
            txid: change.txid,
            value: change.value,
            timestamp: change.timestamp.map(|(seconds, nanos)| Timestamp { seconds, nanos }),
            is_delete: change.is_delete,
        };
        Ok(batch.into_iter().map(modification).collect())
    }
}

fn page(page: state::Page) -> Page {
    Page { rows: rows(page.rows), fetched_records_count: page.fetched_records_count, bookmark: page.bookmark }
}

fn rows(batch: Vec<state::Kv>) -> Vec<KeyValue> {
    batch.into_iter().map(|row| KeyValue { key: row.key, value: row.value }).collect()
}
