//! What a stub asks of the peer: one method for each function of the contract in `wit/`.
//!
//! Implemented by the imports of the sandbox; outside of it by the mock and by a native chaincode's end of its stream. In
//! the sandbox a stub holds the imports themselves: a trait object would make one table of all functions, and every module
//! would import what it never calls.

use crate::{Blob, Error, KeyModification, KeyValue, Level, Page, Response, Rows, SignedProposal, Timestamp};
#[cfg(feature = "peer")]
use crate::{LedgerError, LedgerQuery};

// Where it is the trait object, its methods need no import.
#[cfg(target_family = "wasm")]
pub(crate) type Current = crate::guest::imports::Imports;
#[cfg(not(target_family = "wasm"))]
pub(crate) type Current = std::rc::Rc<dyn Peer>;

/// The peer's side. An empty collection means the public state.
pub(crate) trait Peer {
    fn channel_id(&self) -> String;
    fn txid(&self) -> String;
    fn args(&self) -> Vec<Vec<u8>>;
    fn arg_sizes(&self) -> Vec<u64>;
    fn arg(&self, index: u32) -> Option<Blob>;
    fn transient(&self) -> Vec<(String, Vec<u8>)>;
    fn decorations(&self) -> Vec<(String, Vec<u8>)>;
    fn creator(&self) -> Option<Vec<u8>>;
    fn signed_proposal(&self) -> Option<SignedProposal>;
    fn binding(&self) -> Option<Vec<u8>>;
    fn timestamp(&self) -> Option<Timestamp>;

    fn get(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error>;
    fn get_multiple(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error>;
    fn get_hash(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error>;
    fn put(&self, collection: &str, key: &str, value: &[u8]) -> Result<(), Error>;
    fn delete(&self, collection: &str, key: &str) -> Result<(), Error>;
    fn purge(&self, collection: &str, key: &str) -> Result<(), Error>;
    fn get_metadata(&self, collection: &str, key: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;
    fn put_metadata(&self, collection: &str, key: &str, name: &str, value: &[u8]) -> Result<(), Error>;
    fn get_range(&self, collection: &str, start: &str, end: &str) -> Result<Rows<KeyValue>, Error>;
    fn get_range_page(&self, start: &str, end: &str, page_size: i32, bookmark: &str) -> Result<Page, Error>;
    fn query(&self, collection: &str, query: &str) -> Result<Rows<KeyValue>, Error>;
    fn query_page(&self, query: &str, page_size: i32, bookmark: &str) -> Result<Page, Error>;
    fn get_history(&self, key: &str) -> Result<Rows<KeyModification>, Error>;

    fn invoke_chaincode(&self, name: &str, args: &[Vec<u8>], channel: &str) -> Result<Response, Error>;
    fn set_event(&self, name: &str, payload: &[u8]) -> Result<(), Error>;
    fn log(&self, level: Level, message: &str);
    fn config(&self, key: &str) -> Option<String>;

    #[cfg(feature = "peer")]
    fn ledger(&self, channel: &str, query: LedgerQuery<'_>) -> Result<Blob, LedgerError>;
    /// The mock, which plays the other capabilities too.
    #[cfg(all(feature = "peer", not(target_family = "wasm")))]
    fn mock(&self) -> Option<&crate::mock::Transaction> {
        None
    }
}
