//! `interface messages`: raw requests, for shims ported from other languages. Granted as `messages`.

use selvedge_proto::Message;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use wasmtime::component::{HasSelf, Linker};

use crate::container::wasm::Capability;
use crate::container::wasm::bindings::selvedge::chaincode::messages;
use crate::container::wasm::instance::InstanceState;

/// The capability to send raw requests.
pub struct Messages;

impl Capability for Messages {
    fn name(&self) -> &str {
        "messages"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        messages::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)
    }
}

impl messages::Host for InstanceState {
    async fn exchange(&mut self, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let message = match ChaincodeMessage::decode(message.as_slice()) {
            Ok(message) if is_request(message.r#type()) => message,
            Ok(message) => {
                return Ok(Err(format!("a chaincode may not send {}", message.r#type().as_str_name())));
            }
            Err(error) => return Ok(Err(format!("this is no ChaincodeMessage: {error}"))),
        };
        if let Err(refused) = self.check_value("a message", message.payload.len()) {
            return Ok(Err(refused));
        }
        self.meter.charge()?;
        let answer = self.exchange.exchange(message.r#type(), message.payload).await;
        self.meter.resume();
        self.check_doomed()?;
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
