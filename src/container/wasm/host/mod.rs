//! The host side of the contract: each function turns a guest's call into one ChaincodeMessage and waits for its answer.
//!
//! Invariant: channel and transaction id come from the transaction, never from the guest. Every call that reaches the
//! peer goes through [`InstanceState::exchange`], which stops the guest's clock, counts what the node will hold, and passes
//! on what dooms a transaction.

mod local;
mod messages;
mod peer;
mod private_data;
mod query;
mod state;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker};

pub use self::messages::Messages;
pub use self::query::{History, Results};
use super::bindings::selvedge::chaincode;
use super::config::LimitError;
use super::instance::InstanceState;

/// Gives the contract's functions to a linker.
pub(super) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    type View = HasSelf<InstanceState>;
    chaincode::blobs::add_to_linker::<_, View>(linker, |state| state)?;
    chaincode::config::add_to_linker::<_, View>(linker, |state| state)?;
    chaincode::events::add_to_linker::<_, View>(linker, |state| state)?;
    chaincode::logging::add_to_linker::<_, View>(linker, |state| state)?;
    chaincode::private_data::add_to_linker::<_, View>(linker, |state| state)?;
    chaincode::state::add_to_linker::<_, View>(linker, |state| state)?;
    chaincode::transaction::add_to_linker::<_, View>(linker, |state| state)?;
    peer::link_chaincodes(linker)?;
    super::process::link(linker)
}

/// Before a call that may run other guests: fuel is one allowance for the whole transaction, so what the caller has left
/// goes along.
fn lend_fuel(store: &StoreContextMut<'_, InstanceState>) {
    let meter = &store.data().meter;
    if meter.limits().fuel.is_some()
        && let Ok(left) = store.get_fuel()
    {
        meter.budget().set_fuel(left);
    }
}

/// After such a call: what the callees left of it comes back.
fn take_back_fuel(store: &mut StoreContextMut<'_, InstanceState>) -> wasmtime::Result<()> {
    let meter = &store.data().meter;
    match meter.budget().fuel() {
        Some(left) if meter.limits().fuel.is_some() => store.set_fuel(left),
        _ => Ok(()),
    }
}

/// Waits for work of the peer that may run other guests on the transaction's budget ([`InstanceState::nested_budget`]).
/// The guest's clock stands still meanwhile, and what it has left of its fuel is theirs.
///
/// # Errors
/// When the transaction is out of time or fuel, or doomed.
pub async fn wait_for_guests<T>(
    mut store: StoreContextMut<'_, InstanceState>,
    work: impl Future<Output = T>,
) -> wasmtime::Result<T> {
    lend_fuel(&store);
    let done = store.data_mut().wait_for(work).await;
    take_back_fuel(&mut store)?;
    done
}

impl InstanceState {
    /// One request to the peer. The inner error is the text of its ERROR; the outer one ends the transaction.
    async fn request(&mut self, kind: Type, payload: &impl Message) -> wasmtime::Result<Result<Bytes, String>> {
        let payload = Bytes::from(payload.encode_to_vec());
        let answer = self.exchange(kind, payload).await?;
        Ok(answer.and_then(|answer| match answer.r#type() {
            Type::Response => Ok(answer.payload),
            Type::Error => Err(String::from_utf8_lossy(&answer.payload).into_owned()),
            other => Err(format!("{} was answered by {}", kind.as_str_name(), other.as_str_name())),
        }))
    }

    /// The same, with the answer as it came.
    async fn exchange(&mut self, kind: Type, payload: Bytes) -> wasmtime::Result<Result<ChaincodeMessage, String>> {
        // Keys that are read and what is written stay in the read-write set.
        self.meter.hold(payload.len() + ENTRY)?;
        self.meter.charge()?;
        let answer = self.exchange.exchange(kind, payload).await;
        self.meter.resume();
        self.check_doomed()?;
        if let Ok(answer) = &answer
            && is_query(kind)
        {
            self.meter.hold(answer.payload.len())?;
        }
        Ok(answer)
    }

    /// Waits for work of the peer that is no message. The guest's clock stands still meanwhile.
    ///
    /// # Errors
    /// When the transaction is out of time, or doomed.
    pub async fn wait_for<T>(&mut self, work: impl Future<Output = T>) -> wasmtime::Result<T> {
        self.meter.charge()?;
        let done = work.await;
        self.meter.resume();
        self.check_doomed()?;
        Ok(done)
    }

    /// Ends the guest when something it called has doomed the whole transaction: the guest must not answer for it.
    fn check_doomed(&self) -> wasmtime::Result<()> {
        match self.meter.budget().failure() {
            Some(reason) => Err(wasmtime::Error::msg(reason.to_owned())),
            None => Ok(()),
        }
    }

    /// The text for a value that is too large, before anything of it goes to the peer.
    fn check_value(&self, what: &'static str, size: usize) -> Result<(), String> {
        let limit = self.meter.limits().value;
        if size <= limit { Ok(()) } else { Err(LimitError::Value { what, size, limit }.to_string()) }
    }
}

/// About what the node needs for an entry of the read-write set, beside key and value.
const ENTRY: usize = 128;

/// Whether the answer holds rows: their keys stay in the read-write set, and those of an open query with their values.
fn is_query(kind: Type) -> bool {
    matches!(kind, Type::GetStateByRange | Type::GetQueryResult | Type::GetHistoryForKey | Type::QueryStateNext)
}

/// A present value, or none for the empty bytes that stand for a missing key.
fn present(value: Bytes) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.into())
}
