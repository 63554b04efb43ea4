//! One transaction on the mock: reads go to what is committed, writes are kept until it ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::{Key, MockPeer};
use crate::peer::Peer;
use crate::rows::Batches;
#[cfg(feature = "peer")]
use crate::{AccessQuery, LedgerError, LedgerQuery};
use crate::{Blob, Error, KeyModification, KeyValue, Level, Page, Response, Rows, SignedProposal, Timestamp};

/// Which function of the chaincode runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Init,
    Invoke,
}

pub(crate) struct Transaction {
    pub(super) peer: Rc<MockPeer>,
    txid: String,
    timestamp: Timestamp,
    args: Vec<Vec<u8>>,
    #[cfg_attr(not(feature = "peer"), expect(dead_code, reason = "capabilities alone ask for it"))]
    pub(super) entry: Entry,
    /// None deletes.
    writes: RefCell<BTreeMap<Key, Option<Vec<u8>>>>,
    metadata: RefCell<BTreeMap<Key, (String, Vec<u8>)>>,
    event: RefCell<Option<(String, Vec<u8>)>>,
}

impl Transaction {
    pub(super) fn begin(peer: Rc<MockPeer>, entry: Entry, args: Vec<Vec<u8>>) -> Self {
        let number = peer.transactions.get() + 1;
        peer.transactions.set(number);
        Self {
            txid: format!("{number:064x}"),
            timestamp: peer.timestamp.get().unwrap_or(Timestamp { seconds: number, nanos: 0 }),
            peer,
            args,
            entry,
            writes: RefCell::default(),
            metadata: RefCell::default(),
            event: RefCell::default(),
        }
    }

    /// Commits what was written, if the response would be endorsed.
    pub(super) fn end(&self, response: &Response) {
        self.peer.event.replace(self.event.take());
        if !response.is_success() {
            return;
        }
        for (key, entry) in self.metadata.take() {
            self.peer.metadata.borrow_mut().insert(key, BTreeMap::from([entry]));
        }
        for (key, value) in self.writes.take() {
            if key.0.is_empty() {
                let change = KeyModification {
                    txid: self.txid.clone(),
                    value: value.clone().unwrap_or_default(),
                    timestamp: Some(self.timestamp),
                    is_delete: value.is_none(),
                };
                self.peer.history.borrow_mut().entry(key.1.clone()).or_default().push(change);
            }
            match value {
                Some(value) => {
                    self.peer.state.borrow_mut().insert(key, value);
                }
                None => {
                    self.peer.metadata.borrow_mut().remove(&key);
                    self.peer.state.borrow_mut().remove(&key);
                }
            }
        }
    }

    fn rows(&self, collection: &str, start: &str, end: &str) -> Vec<KeyValue> {
        let state = self.peer.state.borrow();
        let from = (collection.to_owned(), start.to_owned());
        let within = |(name, key): &Key| name == collection && (end.is_empty() || key.as_str() < end);
        let rows = state.range(from..).take_while(|(key, _)| within(key));
        rows.map(|((_, key), value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
    }

    fn rich(&self, query: &str) -> Result<Vec<KeyValue>, Error> {
        let answer = self.peer.rich_query.borrow().clone();
        answer.ok_or_else(|| Error::Peer("ExecuteQuery not supported for leveldb".to_owned()))?(query)
    }
}

/// Everything in one batch: where the peer cuts must not matter to a chaincode.
struct Batch<T>(Vec<T>);

impl<T> Batches<T> for Batch<T> {
    fn next(&mut self) -> Result<Vec<T>, Error> {
        Ok(mem::take(&mut self.0))
    }
}

fn key(collection: &str, key: &str) -> Key {
    (collection.to_owned(), key.to_owned())
}

/// The first rows; the bookmark is the next row's key.
fn page(mut rows: Vec<KeyValue>, page_size: i32) -> Page {
    let size = usize::try_from(page_size).ok().filter(|size| *size > 0).unwrap_or(usize::MAX);
    let bookmark = rows.get(size).map(|next| next.key.clone()).unwrap_or_default();
    rows.truncate(size);
    Page { fetched_records_count: i32::try_from(rows.len()).unwrap_or(i32::MAX), rows, bookmark }
}

impl Peer for Transaction {
    fn channel_id(&self) -> String {
        self.peer.channel.borrow().clone()
    }

    fn txid(&self) -> String {
        self.txid.clone()
    }

    fn args(&self) -> Vec<Vec<u8>> {
        self.args.clone()
    }

    fn arg_sizes(&self) -> Vec<u64> {
        self.args.iter().map(|arg| arg.len() as u64).collect()
    }

    fn arg(&self, index: u32) -> Option<Blob> {
        self.args.get(index as usize).cloned().map(Blob::from)
    }

    fn transient(&self) -> Vec<(String, Vec<u8>)> {
        self.peer.transient.borrow().clone().into_iter().collect()
    }

    fn decorations(&self) -> Vec<(String, Vec<u8>)> {
        self.peer.decorations.borrow().clone().into_iter().collect()
    }

    fn creator(&self) -> Option<Vec<u8>> {
        Some(self.peer.creator.borrow().clone())
    }

    fn signed_proposal(&self) -> Option<SignedProposal> {
        self.peer.signed_proposal.borrow().clone()
    }

    fn binding(&self) -> Option<Vec<u8>> {
        let epoch = 0_u64.to_le_bytes();
        Some(Sha256::new().chain_update(&*self.peer.creator.borrow()).chain_update(epoch).finalize().to_vec())
    }

    fn timestamp(&self) -> Option<Timestamp> {
        Some(self.timestamp)
    }

    fn get(&self, collection: &str, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.peer.state.borrow().get(&key(collection, name)).cloned())
    }

    fn get_multiple(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        keys.iter().map(|key| self.get("", key)).collect()
    }

    fn get_hash(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get(collection, key)?.map(|value| Sha256::digest(value).to_vec()))
    }

    fn put(&self, collection: &str, name: &str, value: &[u8]) -> Result<(), Error> {
        let value = (!value.is_empty()).then(|| value.to_vec());
        self.writes.borrow_mut().insert(key(collection, name), value);
        Ok(())
    }

    fn delete(&self, collection: &str, name: &str) -> Result<(), Error> {
        self.writes.borrow_mut().insert(key(collection, name), None);
        Ok(())
    }

    fn purge(&self, collection: &str, key: &str) -> Result<(), Error> {
        self.delete(collection, key)
    }

    fn get_metadata(&self, collection: &str, name: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let metadata = self.peer.metadata.borrow();
        Ok(metadata.get(&key(collection, name)).cloned().unwrap_or_default().into_iter().collect())
    }

    fn put_metadata(&self, collection: &str, name: &str, entry: &str, value: &[u8]) -> Result<(), Error> {
        self.metadata.borrow_mut().insert(key(collection, name), (entry.to_owned(), value.to_vec()));
        Ok(())
    }

    fn get_range(&self, collection: &str, start: &str, end: &str) -> Result<Rows<KeyValue>, Error> {
        Ok(Rows::new(Batch(self.rows(collection, start, end))))
    }

    fn get_range_page(&self, start: &str, end: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        let start = if bookmark.is_empty() { start } else { bookmark };
        Ok(page(self.rows("", start, end), page_size))
    }

    fn query(&self, _collection: &str, query: &str) -> Result<Rows<KeyValue>, Error> {
        Ok(Rows::new(Batch(self.rich(query)?)))
    }

    fn query_page(&self, query: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        let rows = self.rich(query)?.into_iter().skip_while(|row| row.key.as_str() < bookmark).collect();
        Ok(page(rows, page_size))
    }

    fn get_history(&self, key: &str) -> Result<Rows<KeyModification>, Error> {
        Ok(Rows::new(Batch(self.peer.history.borrow().get(key).cloned().unwrap_or_default())))
    }

    fn invoke_chaincode(&self, name: &str, args: &[Vec<u8>], _channel: &str) -> Result<Response, Error> {
        // Not borrowed during the call: the callee may be this very peer.
        let callee = self.peer.callees.borrow().get(name).cloned();
        match callee {
            Some(callee) => Ok(callee(args)),
            None => Err(Error::Peer(format!("chaincode {name} not found: tell the mock with on_invoke_chaincode"))),
        }
    }

    fn set_event(&self, name: &str, payload: &[u8]) -> Result<(), Error> {
        self.event.replace(Some((name.to_owned(), payload.to_vec())));
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        self.peer.log.borrow_mut().push((level, message.to_owned()));
    }

    fn config(&self, key: &str) -> Option<String> {
        self.peer.config.borrow().get(key).cloned()
    }

    #[cfg(feature = "peer")]
    fn ledger(&self, channel: &str, query: LedgerQuery<'_>) -> Result<Blob, LedgerError> {
        let answer = self.peer.ledger.borrow().clone();
        let found = answer.ok_or(LedgerError::UnknownChannel)?(channel, query);
        if found == Err(LedgerError::UnknownChannel) {
            return Err(LedgerError::UnknownChannel);
        }
        let resource = match query {
            LedgerQuery::ChainInfo => "qscc/GetChainInfo",
            LedgerQuery::BlockByNumber(_) => "qscc/GetBlockByNumber",
            LedgerQuery::BlockByHash(_) => "qscc/GetBlockByHash",
            LedgerQuery::BlockByTxid(_) => "qscc/GetBlockByTxID",
            LedgerQuery::TransactionById(_) => "qscc/GetTransactionByID",
        };
        self.access(AccessQuery::Resource { resource, channel }).map_err(LedgerError::AccessDenied)?;
        found.map(Blob::from)
    }

    #[cfg(feature = "peer")]
    fn mock(&self) -> Option<&Transaction> {
        Some(self)
    }
}
