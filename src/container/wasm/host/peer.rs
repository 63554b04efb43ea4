//! `interface chaincodes` and `interface events`: what a transaction says to others.

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::{
    ChaincodeEvent, ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, Response, chaincode_message::Type,
};
use wasmtime::component::Linker;

use super::{lend_fuel, take_back_fuel};
use crate::container::wasm::bindings::selvedge::chaincode::chaincodes::ChaincodeResponse;
use crate::container::wasm::bindings::selvedge::chaincode::events;
use crate::container::wasm::instance::InstanceState;

type Call = (String, Vec<Vec<u8>>, String);

/// Gives `interface chaincodes` to a linker. By hand, because a call needs the store: the caller's fuel is there.
pub(super) fn link_chaincodes(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    let mut chaincodes = linker.instance("selvedge:chaincode/chaincodes@0.1.0")?;
    chaincodes.func_wrap_async("invoke", |mut store, call: Call| {
        Box::new(async move {
            let request = invocation(call);
            lend_fuel(&store);
            let answer = store.data_mut().request(Type::InvokeChaincode, &request).await;
            take_back_fuel(&mut store)?;
            Ok((answer?.and_then(callee_response),))
        })
    })
}

fn invocation((name, args, channel): Call) -> ChaincodeSpec {
    // Fabric's notation for a chaincode on another channel.
    let name = if channel.is_empty() { name } else { format!("{name}/{channel}") };
    ChaincodeSpec {
        chaincode_id: Some(ChaincodeId { name, ..Default::default() }),
        input: Some(ChaincodeInput { args: args.into_iter().map(Into::into).collect(), ..Default::default() }),
        ..Default::default()
    }
}

/// The callee's own last message: COMPLETED with its response, or ERROR with a text.
fn callee_response(payload: Bytes) -> Result<ChaincodeResponse, String> {
    let message = ChaincodeMessage::decode(payload)
        .map_err(|error| format!("the answer to INVOKE_CHAINCODE is no ChaincodeMessage: {error}"))?;
    if message.r#type() != Type::Completed {
        return Err(String::from_utf8_lossy(&message.payload).into_owned());
    }
    let response = Response::decode(message.payload)
        .map_err(|error| format!("the response of the chaincode does not decode: {error}"))?;
    Ok(ChaincodeResponse { status: response.status, message: response.message, payload: response.payload.into() })
}

impl events::Host for InstanceState {
    fn set(&mut self, name: String, payload: Vec<u8>) -> wasmtime::Result<Result<(), String>> {
        if name.is_empty() {
            return Ok(Err("event name can not be empty string".to_owned()));
        }
        if let Err(refused) = self.check_value("an event", payload.len()) {
            return Ok(Err(refused));
        }
        self.event = Some(ChaincodeEvent { event_name: name, payload: payload.into(), ..Default::default() });
        Ok(Ok(()))
    }
}
