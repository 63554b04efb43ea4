//! A chaincode calls another one (Fabric: `HandleInvokeChaincode`).
//!
//! On the same channel both share the simulator, so what the callee writes is part of the caller's transaction. On another
//! channel the callee gets a simulator of its own that nobody asks for results: it may write, and nothing is kept.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeSpec};

use super::super::transaction_context::TransactionContext;
use super::super::{ChaincodeInstance, ChaincodeSupport, Environment, RequestError, TransactionParams};
use crate::container::Ccid;

/// The resource of the access control list that guards these calls.
const CHAINCODE_TO_CHAINCODE: &str = "peer/ChaincodeToChaincode";

/// INVOKE_CHAINCODE: the callee's last message, marshalled.
pub(super) async fn invoke(
    support: &ChaincodeSupport,
    context: &Arc<TransactionContext>,
    payload: Bytes,
) -> Result<Bytes, RequestError> {
    let environment = support.environment();
    let (mut target, input) = callee(payload)?;
    let is_sys_cc = environment.system_chaincodes.is_sys_cc(&target.name);
    let outside_channels = context.channel_id().is_empty() && is_sys_cc;
    if context.params.simulator.is_none() && !outside_channels {
        return Err(RequestError::NoTransaction);
    }
    if target.channel.is_empty() {
        target.channel = context.channel_id().to_owned();
    }
    check_access(environment, context, &target, is_sys_cc)?;

    let params = params(environment, context, &target.channel)?;
    let version = if is_sys_cc {
        environment.system_chaincodes.version().to_owned()
    } else {
        let definitions = &environment.definitions;
        let definition = definitions.definition(&target.name, params.simulator.as_ref()).await?;
        definitions.check_instantiation_policy(&target.name, &definition).await?;
        definition.version
    };
    let answer = support.invoke(params, &Ccid::new(target.name, version), input).await.map_err(Box::new)?;
    Ok(answer.encode_to_vec().into())
}

/// Why a call fails whose transaction is not executed here. A system chaincode may be called without a channel, so there
/// the transaction itself is what is missing.
pub(super) fn without_context(support: &ChaincodeSupport, channel_id: &str, payload: Bytes) -> RequestError {
    if !channel_id.is_empty() {
        return RequestError::NoTransaction;
    }
    match callee(payload) {
        Ok((target, _)) if support.environment().system_chaincodes.is_sys_cc(&target.name) => RequestError::NoContext,
        Ok(_) => RequestError::NoTransaction,
        Err(malformed) => malformed,
    }
}

/// Who is called, and with what. The missing parts that kill a peer of Fabric 1.4 are errors here.
fn callee(payload: Bytes) -> Result<(ChaincodeInstance, ChaincodeInput), RequestError> {
    let spec = ChaincodeSpec::decode(payload)?;
    let id = spec.chaincode_id.ok_or(RequestError::NoChaincodeId)?;
    let input = spec.input.ok_or(RequestError::NoChaincodeInput)?;
    // Decorations are the endorser's to give, to the proposal's own chaincode.
    Ok((ChaincodeInstance::parse(&id.name), ChaincodeInput { decorations: Default::default(), ..input }))
}

fn check_access(
    environment: &Environment,
    context: &TransactionContext,
    target: &ChaincodeInstance,
    is_sys_cc: bool,
) -> Result<(), RequestError> {
    if environment.system_chaincodes.is_sys_cc_and_not_invokable_cc2cc(&target.name) {
        return Err(RequestError::NotInvokableCc2Cc(target.name.clone()));
    }
    if is_sys_cc {
        return Ok(());
    }
    let Some(signed) = &context.params.signed_proposal else {
        return Err(RequestError::NoSignedProposal(target.to_string()));
    };
    Ok(environment.access.check(CHAINCODE_TO_CHAINCODE, &target.channel, signed)?)
}

/// The caller's transaction as the callee sees it, with the caller's budget one level deeper.
fn params(
    environment: &Environment,
    context: &TransactionContext,
    channel: &str,
) -> Result<TransactionParams, RequestError> {
    let mut params = TransactionParams {
        channel_id: channel.to_owned(),
        budget: Some(context.budget.nested()),
        ..context.params.clone()
    };
    if channel != context.channel_id() {
        let ledger = environment.ledgers.ledger(channel);
        let ledger = ledger.ok_or_else(|| RequestError::NoLedger(channel.to_owned()))?;
        params.simulator = Some(Arc::new(Mutex::new(ledger.new_tx_simulator(context.txid())?)));
        params.history = Some(Arc::new(ledger.new_history_query_executor()?));
    }
    Ok(params)
}
