//! Reads and writes of keys, public and private (Fabric: `HandleGetState` and its like).
//!
//! Reads see what is committed, never the transaction's own writes; a write of an empty value is a delete. Both are the
//! simulator's doing.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::{
    DelState, GetState, GetStateMultiple, GetStateMultipleResult, PurgePrivateState, PutState, WriteBatchState,
    WriteRecord,
};

use super::super::environment::Access;
use super::super::message::Type;
use super::super::transaction_context::TransactionContext;
use super::super::{ChaincodeSupport, RequestError};
use super::{metadata, private_data};

type Answer = Result<Bytes, RequestError>;

/// GET_STATE: the value, empty for a key that does not exist.
pub(super) fn get(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    let GetState { key, collection } = GetState::decode(payload)?;
    let value = if collection.is_empty() {
        context.simulator()?.get_state(&context.namespace, &key)?
    } else {
        private_data::allowed(support, context, Access::Read, &collection)?;
        context.simulator()?.get_private_data(&context.namespace, &collection, &key)?
    };
    Ok(value.unwrap_or_default())
}

/// What an answer of many parts has come to: one key may be asked for a thousand times.
#[derive(Default)]
pub(super) struct AnswerSize(usize);

impl AnswerSize {
    pub(super) fn add(&mut self, part: usize) -> Result<(), RequestError> {
        self.0 += part;
        if self.0 <= MAX_MESSAGE_SIZE { Ok(()) } else { Err(RequestError::TooLarge) }
    }
}

/// GET_STATE_MULTIPLE: the values in the order of their keys.
pub(super) fn get_multiple(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    let GetStateMultiple { keys, collection } = GetStateMultiple::decode(payload)?;
    if !collection.is_empty() {
        private_data::allowed(support, context, Access::Read, &collection)?;
    }
    let mut simulator = context.simulator()?;
    let (mut values, mut size) = (Vec::with_capacity(keys.len()), AnswerSize::default());
    for key in &keys {
        let value = if collection.is_empty() {
            simulator.get_state(&context.namespace, key)?
        } else {
            simulator.get_private_data(&context.namespace, &collection, key)?
        };
        let value = value.unwrap_or_default();
        size.add(value.len())?;
        values.push(value);
    }
    Ok(GetStateMultipleResult { values }.encode_to_vec().into())
}

/// GET_PRIVATE_DATA_HASH: the hash alone is for everybody.
pub(super) fn private_hash(context: &TransactionContext, payload: Bytes) -> Answer {
    let GetState { key, collection } = GetState::decode(payload)?;
    private_data::outside_init(context)?;
    let hash = context.simulator()?.get_private_data_hash(&context.namespace, &collection, &key)?;
    Ok(hash.unwrap_or_default())
}

/// PUT_STATE.
pub(super) fn put(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    put_one(support, context, PutState::decode(payload)?)?;
    Ok(Bytes::new())
}

/// DEL_STATE.
pub(super) fn delete(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    delete_one(support, context, &DelState::decode(payload)?)?;
    Ok(Bytes::new())
}

/// PURGE_PRIVATE_DATA.
pub(super) fn purge(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    purge_one(support, context, &PurgePrivateState::decode(payload)?)?;
    Ok(Bytes::new())
}

/// WRITE_BATCH_STATE: the records in their order; the first error ends it, and what came before stays.
pub(super) fn write_batch(support: &ChaincodeSupport, context: &TransactionContext, payload: Bytes) -> Answer {
    for record in WriteBatchState::decode(payload)?.rec {
        let kind = record.r#type();
        let WriteRecord { key, value, collection, metadata, .. } = record;
        match kind {
            Type::PutState => put_one(support, context, PutState { key, value, collection })?,
            Type::DelState => delete_one(support, context, &DelState { key, collection })?,
            Type::PurgePrivateData => purge_one(support, context, &PurgePrivateState { key, collection })?,
            Type::PutStateMetadata => metadata::put_one(support, context, &key, &collection, metadata)?,
            _ => return Err(RequestError::UnknownOperation),
        }
    }
    Ok(Bytes::new())
}

fn put_one(support: &ChaincodeSupport, context: &TransactionContext, put: PutState) -> Result<(), RequestError> {
    let PutState { key, value, collection } = put;
    if collection.is_empty() {
        context.simulator()?.set_state(&context.namespace, &key, value)?;
    } else {
        private_data::allowed(support, context, Access::Write, &collection)?;
        context.simulator()?.set_private_data(&context.namespace, &collection, &key, value)?;
    }
    Ok(())
}

fn delete_one(support: &ChaincodeSupport, context: &TransactionContext, delete: &DelState) -> Result<(), RequestError> {
    let DelState { key, collection } = delete;
    if collection.is_empty() {
        context.simulator()?.delete_state(&context.namespace, key)?;
    } else {
        private_data::allowed(support, context, Access::Write, collection)?;
        context.simulator()?.delete_private_data(&context.namespace, collection, key)?;
    }
    Ok(())
}

fn purge_one(
    support: &ChaincodeSupport,
    context: &TransactionContext,
    purge: &PurgePrivateState,
) -> Result<(), RequestError> {
    if !metadata::capabilities(support, context)?.purge_private_data {
        return Err(RequestError::NoPurge);
    }
    if purge.collection.is_empty() {
        return Err(RequestError::PublicPurge);
    }
    private_data::allowed(support, context, Access::Write, &purge.collection)?;
    context.simulator()?.purge_private_data(&context.namespace, &purge.collection, &purge.key)?;
    Ok(())
}
