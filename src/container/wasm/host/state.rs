//! `interface state`: the public state of the chaincode's namespace.

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::{
    DelState, GetHistoryForKey, GetQueryResult, GetState, GetStateByRange, GetStateMetadata, GetStateMultiple,
    GetStateMultipleResult, PutState, PutStateMetadata, QueryMetadata, StateMetadata, StateMetadataResult,
    chaincode_message::Type,
};
use wasmtime::component::Resource;

use super::present;
use super::query::{History, Results, page};
use crate::container::wasm::bindings::selvedge::chaincode::state::{Host, MetadataEntry, Page};
use crate::container::wasm::instance::InstanceState;

type Answer<T> = wasmtime::Result<Result<T, String>>;

/// The collection of public state.
const PUBLIC: String = String::new();

impl Host for InstanceState {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        self.get_state(key, PUBLIC).await
    }

    async fn get_multiple(&mut self, keys: Vec<String>) -> Answer<Vec<Option<Vec<u8>>>> {
        let request = GetStateMultiple { keys, collection: PUBLIC };
        let answer = self.request(Type::GetStateMultiple, &request).await?;
        Ok(answer.and_then(|payload| {
            let result = GetStateMultipleResult::decode(payload)
                .map_err(|error| format!("the peer's GetStateMultipleResult does not decode: {error}"))?;
            Ok(result.values.into_iter().map(present).collect())
        }))
    }

    async fn put(&mut self, key: String, value: Vec<u8>) -> Answer<()> {
        self.put_state(key, value, PUBLIC).await
    }

    async fn delete(&mut self, key: String) -> Answer<()> {
        self.del_state(key, PUBLIC).await
    }

    async fn get_metadata(&mut self, key: String) -> Answer<Vec<MetadataEntry>> {
        self.get_state_metadata(key, PUBLIC).await
    }

    async fn put_metadata(&mut self, key: String, entry: MetadataEntry) -> Answer<()> {
        self.put_state_metadata(key, entry, PUBLIC).await
    }

    async fn get_range(&mut self, start: String, end: String) -> Answer<Resource<Results>> {
        self.get_state_by_range(start, end, PUBLIC).await
    }

    async fn get_range_page(&mut self, start: String, end: String, page_size: i32, bookmark: String) -> Answer<Page> {
        let metadata = QueryMetadata { page_size, bookmark }.encode_to_vec().into();
        let request = GetStateByRange { start_key: start, end_key: end, collection: PUBLIC, metadata };
        Ok(self.request(Type::GetStateByRange, &request).await?.and_then(page))
    }

    async fn query(&mut self, query: String) -> Answer<Resource<Results>> {
        self.get_query_result(query, PUBLIC).await
    }

    async fn query_page(&mut self, query: String, page_size: i32, bookmark: String) -> Answer<Page> {
        let metadata = QueryMetadata { page_size, bookmark }.encode_to_vec().into();
        let request = GetQueryResult { query, collection: PUBLIC, metadata };
        Ok(self.request(Type::GetQueryResult, &request).await?.and_then(page))
    }

    async fn get_history(&mut self, key: String) -> Answer<Resource<History>> {
        let answer = self.request(Type::GetHistoryForKey, &GetHistoryForKey { key }).await?;
        self.push_query(answer.and_then(History::open))
    }
}

/// What public and private state share: the same messages, with or without a collection.
impl InstanceState {
    pub(super) async fn get_state(&mut self, key: String, collection: String) -> Answer<Option<Vec<u8>>> {
        Ok(self.request(Type::GetState, &GetState { key, collection }).await?.map(present))
    }

    pub(super) async fn put_state(&mut self, key: String, value: Vec<u8>, collection: String) -> Answer<()> {
        if let Err(refused) = self.check_value("a value", value.len()) {
            return Ok(Err(refused));
        }
        let request = PutState { key, value: Bytes::from(value), collection };
        Ok(self.request(Type::PutState, &request).await?.map(drop))
    }

    pub(super) async fn del_state(&mut self, key: String, collection: String) -> Answer<()> {
        Ok(self.request(Type::DelState, &DelState { key, collection }).await?.map(drop))
    }

    pub(super) async fn get_state_metadata(&mut self, key: String, collection: String) -> Answer<Vec<MetadataEntry>> {
        let answer = self.request(Type::GetStateMetadata, &GetStateMetadata { key, collection }).await?;
        Ok(answer.and_then(|payload| {
            let result = StateMetadataResult::decode(payload)
                .map_err(|error| format!("the peer's StateMetadataResult does not decode: {error}"))?;
            let entries = result.entries.into_iter();
            Ok(entries.map(|entry| MetadataEntry { name: entry.metakey, value: entry.value.into() }).collect())
        }))
    }

    pub(super) async fn put_state_metadata(
        &mut self,
        key: String,
        entry: MetadataEntry,
        collection: String,
    ) -> Answer<()> {
        let metadata = Some(StateMetadata { metakey: entry.name, value: entry.value.into() });
        let request = PutStateMetadata { key, collection, metadata };
        Ok(self.request(Type::PutStateMetadata, &request).await?.map(drop))
    }

    pub(super) async fn get_state_by_range(
        &mut self,
        start: String,
        end: String,
        collection: String,
    ) -> Answer<Resource<Results>> {
        let request = GetStateByRange { start_key: start, end_key: end, collection, metadata: Bytes::new() };
        let answer = self.request(Type::GetStateByRange, &request).await?;
        self.push_query(answer.and_then(Results::open))
    }

    pub(super) async fn get_query_result(&mut self, query: String, collection: String) -> Answer<Resource<Results>> {
        let request = GetQueryResult { query, collection, metadata: Bytes::new() };
        let answer = self.request(Type::GetQueryResult, &request).await?;
        self.push_query(answer.and_then(Results::open))
    }

    fn push_query<T: Send + 'static>(&mut self, query: Result<T, String>) -> Answer<Resource<T>> {
        Ok(match query {
            Ok(query) => Ok(self.table.push(query)?),
            Err(refused) => Err(refused),
        })
    }
}
