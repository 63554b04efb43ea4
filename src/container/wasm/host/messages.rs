//! `interface messages`: raw requests, for shims ported from other languages. Granted as `messages`.

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use wasmtime::component::Linker;

use super::{lend_fuel, take_back_fuel};
use crate::container::wasm::Capability;
use crate::container::wasm::instance::InstanceState;

/// The capability to send raw requests.
pub struct Messages;

impl Capability for Messages {
    fn name(&self) -> &str {
        "messages"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let mut messages = linker.instance("selvedge:chaincode/messages@0.1.0")?;
        messages.func_wrap_async("exchange", |mut store, (message,): (Vec<u8>,)| {
            Box::new(async move {
                lend_fuel(&store);
                let answer = store.data_mut().exchange_raw(message).await;
                take_back_fuel(&mut store)?;
                Ok((answer?,))
            })
        })
    }
}

impl InstanceState {
    async fn exchange_raw(&mut self, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let message = match ChaincodeMessage::decode(Bytes::from(message)) {
            Ok(message) if is_request(message.r#type()) => message,
            Ok(message) => {
                return Ok(Err(format!("a chaincode may not send {}", message.r#type().as_str_name())));
            }
            Err(error) => return Ok(Err(format!("this is no ChaincodeMessage: {error}"))),
        };
        if let Err(refused) = self.check_value("a message", message.payload.len()) {
            return Ok(Err(refused));
        }
        let answer = self.exchange(message.r#type(), message.payload).await?;
        Ok(answer.map(|answer| answer.encode_to_vec()))
    }
}

/// Whether the chaincode's side may send it in the middle of a transaction.
fn is_request(kind: Type) -> bool {
    matches!(
        kind,
        Type::GetState
            | Type::PutState
            | Type::DelState
            | Type::InvokeChaincode
            | Type::GetStateByRange
            | Type::GetQueryResult
            | Type::QueryStateNext
            | Type::QueryStateClose
            | Type::GetHistoryForKey
            | Type::GetStateMetadata
            | Type::PutStateMetadata
            | Type::GetPrivateDataHash
            | Type::PurgePrivateData
            | Type::WriteBatchState
            | Type::GetStateMultiple
    )
}
