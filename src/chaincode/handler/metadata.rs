//! Metadata of keys, where key-level endorsement policies live (Fabric: `HandleGetStateMetadata`, `HandlePutStateMetadata`).

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{GetStateMetadata, PutStateMetadata, StateMetadata, StateMetadataResult};

use super::super::environment::{Access, ApplicationCapabilities};
use super::super::transaction_context::TransactionContext;
use super::super::{ChaincodeSupport, RequestError};
use super::private_data;

/// GET_STATE_METADATA: all entries of a key, in the order of their names.
pub(super) fn get(
    support: &ChaincodeSupport,
    context: &TransactionContext,
    payload: Bytes,
) -> Result<Bytes, RequestError> {
    key_level_endorsement(support, context)?;
    let GetStateMetadata { key, collection } = GetStateMetadata::decode(payload)?;
    let entries = if collection.is_empty() {
        context.simulator()?.get_state_metadata(&context.namespace, &key)?
    } else {
        private_data::allowed(support, context, Access::Read, &collection)?;
        context.simulator()?.get_private_data_metadata(&context.namespace, &collection, &key)?
    };
    let entries = entries.into_iter().map(|(metakey, value)| StateMetadata { metakey, value }).collect();
    Ok(StateMetadataResult { entries }.encode_to_vec().into())
}

/// PUT_STATE_METADATA: one entry, which replaces all others of the key.
pub(super) fn put(
    support: &ChaincodeSupport,
    context: &TransactionContext,
    payload: Bytes,
) -> Result<Bytes, RequestError> {
    let PutStateMetadata { key, collection, metadata } = PutStateMetadata::decode(payload)?;
    put_one(support, context, &key, &collection, metadata)?;
    Ok(Bytes::new())
}

pub(super) fn put_one(
    support: &ChaincodeSupport,
    context: &TransactionContext,
    key: &str,
    collection: &str,
    entry: Option<StateMetadata>,
) -> Result<(), RequestError> {
    key_level_endorsement(support, context)?;
    let StateMetadata { metakey, value } = entry.ok_or(RequestError::NoMetadata)?;
    let entries = BTreeMap::from([(metakey, value)]);
    if collection.is_empty() {
        context.simulator()?.set_state_metadata(&context.namespace, key, entries)?;
    } else {
        private_data::allowed(support, context, Access::Write, collection)?;
        context.simulator()?.set_private_data_metadata(&context.namespace, collection, key, entries)?;
    }
    Ok(())
}

/// The channel's application capabilities.
pub(super) fn capabilities(
    support: &ChaincodeSupport,
    context: &TransactionContext,
) -> Result<ApplicationCapabilities, RequestError> {
    let channel = context.channel_id();
    let capabilities = support.environment().application.capabilities(channel);
    capabilities.ok_or_else(|| RequestError::NoApplicationConfig(channel.to_owned()))
}

fn key_level_endorsement(support: &ChaincodeSupport, context: &TransactionContext) -> Result<(), RequestError> {
    match capabilities(support, context)?.key_level_endorsement {
        true => Ok(()),
        false => Err(RequestError::NoKeyLevelEndorsement),
    }
}
