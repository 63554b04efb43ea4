//! `interface private-data`: the collections of the chaincode's namespace.

use selvedge_proto::protos::{GetState, PurgePrivateState, chaincode_message::Type};
use wasmtime::component::Resource;

use super::present;
use super::query::Results;
use crate::container::wasm::bindings::selvedge::chaincode::private_data::Host;
use crate::container::wasm::bindings::selvedge::chaincode::state::MetadataEntry;
use crate::container::wasm::instance::InstanceState;

type Answer<T> = wasmtime::Result<Result<T, String>>;

/// An empty name would mean the public state, which these functions must not reach by accident.
fn named(collection: &str) -> Result<(), String> {
    if collection.is_empty() { Err("collection must not be an empty string".to_owned()) } else { Ok(()) }
}

impl Host for InstanceState {
    async fn get(&mut self, collection: String, key: String) -> Answer<Option<Vec<u8>>> {
        match named(&collection) {
            Ok(()) => self.get_state(key, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn get_hash(&mut self, collection: String, key: String) -> Answer<Option<Vec<u8>>> {
        if let Err(refused) = named(&collection) {
            return Ok(Err(refused));
        }
        let request = GetState { key, collection };
        Ok(self.request(Type::GetPrivateDataHash, &request).await?.map(present))
    }

    async fn put(&mut self, collection: String, key: String, value: Vec<u8>) -> Answer<()> {
        match named(&collection) {
            Ok(()) => self.put_state(key, value, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn delete(&mut self, collection: String, key: String) -> Answer<()> {
        match named(&collection) {
            Ok(()) => self.del_state(key, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn purge(&mut self, collection: String, key: String) -> Answer<()> {
        if let Err(refused) = named(&collection) {
            return Ok(Err(refused));
        }
        let request = PurgePrivateState { key, collection };
        Ok(self.request(Type::PurgePrivateData, &request).await?.map(drop))
    }

    async fn get_metadata(&mut self, collection: String, key: String) -> Answer<Vec<MetadataEntry>> {
        match named(&collection) {
            Ok(()) => self.get_state_metadata(key, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn put_metadata(&mut self, collection: String, key: String, entry: MetadataEntry) -> Answer<()> {
        match named(&collection) {
            Ok(()) => self.put_state_metadata(key, entry, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn get_range(&mut self, collection: String, start: String, end: String) -> Answer<Resource<Results>> {
        match named(&collection) {
            Ok(()) => self.get_state_by_range(start, end, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn query(&mut self, collection: String, query: String) -> Answer<Resource<Results>> {
        match named(&collection) {
            Ok(()) => self.get_query_result(query, collection).await,
            Err(refused) => Ok(Err(refused)),
        }
    }
}
