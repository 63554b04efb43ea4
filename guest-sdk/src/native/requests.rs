//! The stub of a native chaincode: each call that reaches the peer is one ChaincodeMessage, as documented in
//! `wit/chaincode`.

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{
    self, ChaincodeEvent, ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, DelState, GetHistoryForKey,
    GetQueryResult, GetState, GetStateByRange, GetStateMetadata, GetStateMultiple, GetStateMultipleResult,
    PurgePrivateState, PutState, PutStateMetadata, QueryMetadata, StateMetadata, StateMetadataResult,
};

use super::query::{self, Query};
use super::transaction::Transaction;
use crate::peer::Peer;
use crate::{Blob, Error, KeyModification, KeyValue, Level, Page, Payload, Response, Rows, SignedProposal, Timestamp};
#[cfg(feature = "peer")]
use crate::{LedgerError, LedgerQuery};

impl Transaction {
    fn request(&self, kind: Type, payload: &impl Message) -> Result<Bytes, Error> {
        self.exchange.request(kind, payload)
    }

    fn open(&self, payload: Bytes) -> Result<Query, Error> {
        Query::open(self.exchange.clone(), payload)
    }

    fn get_some(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let request = GetStateMultiple { keys: keys.to_vec(), collection: String::new() };
        let result = GetStateMultipleResult::decode(self.request(Type::GetStateMultiple, &request)?)
            .map_err(|error| Error::Peer(format!("the peer's GetStateMultipleResult does not decode: {error}")))?;
        Ok(result.values.into_iter().map(present).collect())
    }
}

impl Peer for Transaction {
    fn channel_id(&self) -> String {
        self.exchange.channel().to_owned()
    }

    fn txid(&self) -> String {
        self.exchange.txid().to_owned()
    }

    fn args(&self) -> Vec<Vec<u8>> {
        self.input.args.iter().map(|arg| arg.to_vec()).collect()
    }

    fn arg_sizes(&self) -> Vec<u64> {
        self.input.args.iter().map(|arg| arg.len() as u64).collect()
    }

    fn arg(&self, index: u32) -> Option<Blob> {
        self.input.args.get(index as usize).map(|arg| Blob::from(arg.to_vec()))
    }

    fn transient(&self) -> Vec<(String, Vec<u8>)> {
        let Some(proposal) = &self.proposal else { return Vec::new() };
        proposal.transient.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect()
    }

    fn decorations(&self) -> Vec<(String, Vec<u8>)> {
        self.input.decorations.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect()
    }

    fn creator(&self) -> Option<Vec<u8>> {
        self.proposal.as_ref().map(|proposal| proposal.creator.to_vec())
    }

    fn signed_proposal(&self) -> Option<SignedProposal> {
        let signed = self.signed.as_ref()?;
        Some(SignedProposal { proposal_bytes: signed.proposal_bytes.to_vec(), signature: signed.signature.to_vec() })
    }

    fn binding(&self) -> Option<Vec<u8>> {
        self.proposal.as_ref().map(|proposal| proposal.binding().to_vec())
    }

    fn timestamp(&self) -> Option<Timestamp> {
        let time = self.proposal.as_ref()?.timestamp?;
        Some(Timestamp { seconds: time.seconds, nanos: time.nanos })
    }

    fn get(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let request = GetState { key: key.to_owned(), collection: collection.to_owned() };
        self.request(Type::GetState, &request).map(present)
    }

    fn get_multiple(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        match self.exchange.multiple() {
            0 => keys.iter().map(|key| self.get("", key)).collect(),
            most => {
                let batches: Result<Vec<_>, _> = keys.chunks(most).map(|keys| self.get_some(keys)).collect();
                Ok(batches?.concat())
            }
        }
    }

    fn get_hash(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let request = GetState { key: key.to_owned(), collection: collection.to_owned() };
        self.request(Type::GetPrivateDataHash, &request).map(present)
    }

    fn put(&self, collection: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        let value = Bytes::copy_from_slice(value);
        let request = PutState { key: key.to_owned(), value, collection: collection.to_owned() };
        self.request(Type::PutState, &request).map(drop)
    }

    fn delete(&self, collection: &str, key: &str) -> Result<(), Error> {
        let request = DelState { key: key.to_owned(), collection: collection.to_owned() };
        self.request(Type::DelState, &request).map(drop)
    }

    fn purge(&self, collection: &str, key: &str) -> Result<(), Error> {
        let request = PurgePrivateState { key: key.to_owned(), collection: collection.to_owned() };
        self.request(Type::PurgePrivateData, &request).map(drop)
    }

    fn get_metadata(&self, collection: &str, key: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let request = GetStateMetadata { key: key.to_owned(), collection: collection.to_owned() };
        let result = StateMetadataResult::decode(self.request(Type::GetStateMetadata, &request)?)
            .map_err(|error| Error::Peer(format!("the peer's StateMetadataResult does not decode: {error}")))?;
        Ok(result.entries.into_iter().map(|entry| (entry.metakey, entry.value.into())).collect())
    }

    fn put_metadata(&self, collection: &str, key: &str, name: &str, value: &[u8]) -> Result<(), Error> {
        let metadata = StateMetadata { metakey: name.to_owned(), value: Bytes::copy_from_slice(value) };
        let request =
            PutStateMetadata { key: key.to_owned(), collection: collection.to_owned(), metadata: Some(metadata) };
        self.request(Type::PutStateMetadata, &request).map(drop)
    }

    fn get_range(&self, collection: &str, start: &str, end: &str) -> Result<Rows<KeyValue>, Error> {
        let request = GetStateByRange {
            start_key: start.to_owned(),
            end_key: end.to_owned(),
            collection: collection.to_owned(),
            metadata: Bytes::new(),
        };
        self.open(self.request(Type::GetStateByRange, &request)?).map(Rows::new)
    }

    fn get_range_page(&self, start: &str, end: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        let request = GetStateByRange {
            start_key: start.to_owned(),
            end_key: end.to_owned(),
            collection: String::new(),
            metadata: page_of(page_size, bookmark),
        };
        query::page(self.request(Type::GetStateByRange, &request)?)
    }

    fn query(&self, collection: &str, query: &str) -> Result<Rows<KeyValue>, Error> {
        let request =
            GetQueryResult { query: query.to_owned(), collection: collection.to_owned(), metadata: Bytes::new() };
        self.open(self.request(Type::GetQueryResult, &request)?).map(Rows::new)
    }

    fn query_page(&self, query: &str, page_size: i32, bookmark: &str) -> Result<Page, Error> {
        let metadata = page_of(page_size, bookmark);
        let request = GetQueryResult { query: query.to_owned(), collection: String::new(), metadata };
        query::page(self.request(Type::GetQueryResult, &request)?)
    }

    fn get_history(&self, key: &str) -> Result<Rows<KeyModification>, Error> {
        let request = GetHistoryForKey { key: key.to_owned() };
        self.open(self.request(Type::GetHistoryForKey, &request)?).map(Rows::new)
    }

    fn invoke_chaincode(&self, name: &str, args: &[Vec<u8>], channel: &str) -> Result<Response, Error> {
        // Fabric's notation for a chaincode on another channel.
        let name = if channel.is_empty() { name.to_owned() } else { format!("{name}/{channel}") };
        let args = args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        let request = ChaincodeSpec {
            chaincode_id: Some(ChaincodeId { name, ..Default::default() }),
            input: Some(ChaincodeInput { args, ..Default::default() }),
            ..Default::default()
        };
        callee_response(self.request(Type::InvokeChaincode, &request)?).map_err(Error::Peer)
    }

    fn set_event(&self, name: &str, payload: &[u8]) -> Result<(), Error> {
        let payload = Bytes::copy_from_slice(payload);
        self.event.replace(Some(ChaincodeEvent { event_name: name.to_owned(), payload, ..Default::default() }));
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        self.exchange.log().chaincode(self.exchange.txid(), level, message);
    }

    fn config(&self, key: &str) -> Option<String> {
        self.exchange.config(key)
    }

    #[cfg(feature = "peer")]
    fn ledger(&self, _: &str, _: LedgerQuery<'_>) -> Result<Blob, LedgerError> {
        Err(LedgerError::Ledger(crate::capabilities::NONE.to_owned()))
    }
}

/// A present value, or none for the empty bytes that stand for a missing key.
fn present(value: Bytes) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.into())
}

fn page_of(page_size: i32, bookmark: &str) -> Bytes {
    QueryMetadata { page_size, bookmark: bookmark.to_owned() }.encode_to_vec().into()
}

/// The callee's own last message: COMPLETED with its response, or ERROR with a text.
fn callee_response(payload: Bytes) -> Result<Response, String> {
    let message = ChaincodeMessage::decode(payload)
        .map_err(|error| format!("the answer to INVOKE_CHAINCODE is no ChaincodeMessage: {error}"))?;
    if message.r#type() != Type::Completed {
        return Err(String::from_utf8_lossy(&message.payload).into_owned());
    }
    let response = protos::Response::decode(message.payload)
        .map_err(|error| format!("the response of the chaincode does not decode: {error}"))?;
    let payload = Payload::Bytes(response.payload.into());
    Ok(Response { status: response.status, message: response.message, payload })
}
