//! One transaction in one fresh instance: made, called, dropped.
//!
//! Invariant: an instance serves exactly one INIT or TRANSACTION; whatever happens in it, nothing of it is used again.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::protos::{ChaincodeEvent, Response};
use thiserror::Error;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Store, Trap, WasmBacktrace};

use super::bindings;
use super::component::WasmModule;
use super::config::LimitError;
use super::exchange::Exchange;
use super::meter::Meter;
use super::output::Output;
use super::transaction::{Random, Transaction};
use crate::container::Budget;

/// Frames of a guest's backtrace that go into an error, and characters of each: the names are the module's to choose.
const BACKTRACE_FRAMES: usize = 8;
const FRAME: usize = 200;

/// Bytes that stay on the host; the guest holds a handle.
pub struct Blob {
    pub(super) bytes: Bytes,
    /// What the node holds for this handle alone, in bytes.
    pub(super) held: usize,
}

/// What an instance's host functions work on.
pub struct InstanceState {
    pub(super) table: ResourceTable,
    pub(super) transaction: Transaction,
    pub(super) exchange: Exchange,
    pub(super) meter: Meter,
    pub(super) output: Output,
    pub(super) random: Random,
    pub(super) event: Option<ChaincodeEvent>,
    pub(super) module: Arc<WasmModule>,
}

impl InstanceState {
    pub(super) fn new(module: Arc<WasmModule>, transaction: Transaction, exchange: Exchange, meter: Meter) -> Self {
        Self {
            table: ResourceTable::new(),
            transaction,
            exchange,
            meter,
            output: Output::default(),
            random: Random::default(),
            event: None,
            module,
        }
    }

    /// The transaction that the instance serves.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Hands bytes to the guest as a handle. They count as held for the transaction until the guest drops it.
    ///
    /// # Errors
    /// [`LimitError`] when that is more than a transaction may have; wasmtime's, when the guest holds too many handles.
    pub fn push_blob(&mut self, bytes: Bytes) -> wasmtime::Result<Resource<Blob>> {
        let held = bytes.len();
        self.meter.hold(held)?;
        Ok(self.table.push(Blob { bytes, held })?)
    }

    /// The bytes behind a guest's handle.
    ///
    /// # Errors
    /// wasmtime's, when the handle is none.
    pub fn blob(&self, handle: &Resource<Blob>) -> wasmtime::Result<Bytes> {
        Ok(self.table.get(handle)?.bytes.clone())
    }

    /// What the transaction may still spend, for an execution that a host call sets off.
    pub fn nested_budget(&self) -> Budget {
        self.meter.budget().nested()
    }
}

/// Which function of the guest a message calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Init,
    Invoke,
}

/// What COMPLETED carries.
pub(super) struct Completed {
    pub(super) response: Response,
    pub(super) event: Option<ChaincodeEvent>,
}

/// Why an execution ended without a response. The text is the payload of ERROR.
#[derive(Debug, Error)]
pub(super) enum ExecutionError {
    #[error("chaincode {chaincode} {limit}")]
    Limit { chaincode: String, limit: LimitError },
    #[error("chaincode {chaincode} {what}")]
    Trapped { chaincode: String, what: String },
    /// Something it called failed in a way that dooms the whole transaction.
    #[error("{0}")]
    Doomed(String),
}

/// Runs one transaction in a fresh instance. Dropping the future drops the instance, which is clean at any point.
///
/// # Errors
/// [`ExecutionError`], when the guest did not return: a trap, a limit, or a callee's failure.
pub(super) async fn run(state: InstanceState, entry: Entry) -> Result<Completed, ExecutionError> {
    let module = Arc::clone(&state.module);
    let budget = state.meter.budget().clone();
    let limits = state.meter.limits();
    let (fuel, host_call_bytes) = (limits.fuel, limits.host_call_bytes);

    let mut store = Store::new(module.engine(), state);
    store.limiter(|state| &mut state.meter);
    store.set_hostcall_fuel(host_call_bytes);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| context.data_mut().meter.tick());
    if let (Some(_), Some(left)) = (fuel, budget.fuel()) {
        // Metering is a property of the engine, so this cannot fail where `fuel` is set.
        let _ = store.set_fuel(left);
    }

    let called = call(&mut store, &module, entry).await;
    let _ = store.data_mut().meter.charge();
    if fuel.is_some() {
        budget.set_fuel(store.get_fuel().unwrap_or(0));
    }
    if let Some(reason) = budget.failure() {
        return Err(ExecutionError::Doomed(reason.to_owned()));
    }
    match called {
        Ok(response) => complete(&mut store, &module, response),
        Err(error) => Err(explain(&store, &module, &error)),
    }
}

async fn call(
    store: &mut Store<InstanceState>,
    module: &WasmModule,
    entry: Entry,
) -> wasmtime::Result<bindings::Response> {
    let guest = module.pre().instantiate_async(&mut *store).await.map_err(instantiation)?;
    match entry {
        Entry::Init => guest.call_init(store).await,
        Entry::Invoke => guest.call_invoke(store).await,
    }
}

/// A guest's own start may fail like any call of it; the rest is this machine's.
fn instantiation(error: wasmtime::Error) -> wasmtime::Error {
    match error.is::<Trap>() || error.is::<LimitError>() || error.is::<wasmtime::PoolConcurrencyLimitError>() {
        true => error,
        false => LimitError::Machine(format!("{error:#}")).into(),
    }
}

fn complete(
    store: &mut Store<InstanceState>,
    module: &WasmModule,
    response: bindings::Response,
) -> Result<Completed, ExecutionError> {
    let state = store.data_mut();
    let payload = match response.payload {
        bindings::Payload::Bytes(bytes) => Bytes::from(bytes),
        bindings::Payload::Blob(blob) => state.table.delete(blob).map(|blob| blob.bytes).map_err(|error| {
            ExecutionError::Trapped { chaincode: module.name(), what: format!("returned a bad blob: {error}") }
        })?,
    };
    let size = payload.len() + response.message.len();
    let limit = state.meter.limits().value;
    if size > limit {
        let limit = LimitError::Value { what: "returned a response", size, limit };
        return Err(ExecutionError::Limit { chaincode: module.name(), limit });
    }
    let response = Response { status: response.status, message: response.message, payload };
    Ok(Completed { response, event: state.event.take() })
}

/// Says what happened, for the client: the limit with its key, or the trap with the guest's own words.
fn explain(store: &Store<InstanceState>, module: &WasmModule, error: &wasmtime::Error) -> ExecutionError {
    let state = store.data();
    let chaincode = module.name();
    if let Some(limit) = limit_behind(error, state) {
        let text = format!("chaincode {chaincode} {limit}");
        if limit.depends_on_this_node() {
            state.meter.budget().fail(text);
        }
        return ExecutionError::Limit { chaincode, limit };
    }
    let mut what = match (error.downcast_ref::<Trap>(), state.output.last_words()) {
        // A panic's text comes before the trap that it ends in.
        (Some(Trap::UnreachableCodeReached), Some(words)) => format!("trapped: {words}"),
        (Some(trap), Some(words)) => format!("trapped: {trap}, after it wrote: {words}"),
        (None, Some(words)) => format!("failed: {}, after it wrote: {words}", error.root_cause()),
        (Some(trap), None) => format!("trapped: {trap}"),
        (None, None) => format!("failed: {}", error.root_cause()),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        for frame in frames(backtrace) {
            what.push_str("\n    at ");
            what.push_str(&frame);
        }
    }
    ExecutionError::Trapped { chaincode, what }
}

fn limit_behind(error: &wasmtime::Error, state: &InstanceState) -> Option<LimitError> {
    if let Some(limit) = error.downcast_ref::<LimitError>() {
        return Some(limit.clone());
    }
    if let Some(full) = error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>() {
        return Some(LimitError::Pool(full.to_string()));
    }
    let limits = state.meter.limits();
    // wasmtime has no type for it.
    if error.root_cause().to_string().contains("fuel allocated for hostcalls") {
        return Some(LimitError::HostCall { limit: limits.host_call_bytes });
    }
    match error.downcast_ref::<Trap>()? {
        Trap::OutOfFuel => Some(LimitError::Fuel { limit: limits.fuel? }),
        Trap::StackOverflow => Some(LimitError::Stack { limit: limits.stack }),
        _ => None,
    }
}

/// The guest's own functions on the way to the trap; those of Rust's panic machinery say nothing more than its text.
fn frames(backtrace: &WasmBacktrace) -> impl Iterator<Item = String> {
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    let names =
        names.map(|name| format!("{:#}", rustc_demangle::demangle(name)).chars().take(FRAME).collect::<String>());
    let own = names.filter(|name| !["std::", "core::", "__rust", "abort"].iter().any(|of| name.starts_with(of)));
    own.take(BACKTRACE_FRAMES)
}
