//! The peer's end of one chaincode stream (Fabric: `Handler` in `core/chaincode/handler.go`).
//!
//! The chaincode registers, then it is sent INITs and TRANSACTIONs ([`execute`]), and its requests are answered
//! ([`request`]: state, metadata, queries, calls of other chaincode). Invariants: nothing is sent to a chaincode that it
//! did not ask for, but INIT and TRANSACTION; and nothing here waits while a message is taken in, but for one read from the
//! disk, and of several threads that take in messages, no more than half do so at a time ([`at_once`]).
//!
//! `chaincode.keepalive` is left to the transport (HTTP/2 PING): a Node shim exits on a KEEPALIVE message.

mod at_once;
mod execute;
mod invoke;
mod metadata;
mod private_data;
mod query;
mod query_batch;
mod request;
mod state;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage};
use tracing::{debug, error, warn};

pub(super) use self::at_once::AtOnce;
pub(super) use self::query::OpenQueries;
use super::message::{self, Type, short, shown, type_name};
use super::metrics::HandlerMetrics;
use super::transaction_contexts::TransactionContexts;
use super::{ChaincodeSupport, RegistrationError};
use crate::container::{ChaincodeStream, EndStream, PeerEnd, Pending};

/// One chaincode, as the peer talks to it.
pub struct Handler {
    me: Weak<Self>,
    support: ChaincodeSupport,
    stream: Arc<dyn ChaincodeStream>,
    origin: Origin,
    state: AtomicU8,
    /// The id under which this handler stands in the registry. Empty until then: a refused handler owns nothing.
    id: OnceLock<String>,
    contexts: TransactionContexts,
    metrics: HandlerMetrics,
    /// When the stream opened.
    opened: SystemTime,
}

/// What is told about a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandlerStatus {
    /// The chaincode's id.
    pub(super) id: String,
    /// Fabric's name of its state.
    pub(super) state: &'static str,
    /// Since when its stream is open.
    pub(super) since: SystemTime,
    /// Executions that are under way.
    pub(super) transactions: usize,
}

/// Who opened the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The chaincode, or this process for it: it must have been launched.
    Accepted,
    /// This peer, by dialling the chaincode's service.
    Dialled,
}

/// How far the chaincode has come. The discriminants are what [`Handler::state`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but REGISTER is taken.
    Created,
    /// Registered, but READY could not be sent. Nothing is taken.
    Established,
    /// Everything but REGISTER is taken.
    Ready,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Established => "established",
            Self::Ready => "ready",
        }
    }
}

impl Handler {
    pub(super) fn new(support: ChaincodeSupport, stream: Arc<dyn ChaincodeStream>, origin: Origin) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            metrics: HandlerMetrics::new(Arc::clone(support.metrics())),
            support,
            stream,
            origin,
            state: AtomicU8::new(State::Created as u8),
            id: OnceLock::new(),
            contexts: TransactionContexts::default(),
            opened: SystemTime::now(),
        })
    }

    /// What is to be told about it; none before it is registered.
    pub(super) fn status(&self) -> Option<HandlerStatus> {
        Some(HandlerStatus {
            id: self.id.get()?.clone(),
            state: self.state().name(),
            since: self.opened,
            transactions: self.contexts.len(),
        })
    }

    /// Whether transactions can be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.state() == State::Ready
    }

    /// Who opened the stream.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether transactions run.
    pub(super) fn is_busy(&self) -> bool {
        !self.contexts.is_empty()
    }

    fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Created,
            1 => State::Established,
            _ => State::Ready,
        }
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// REGISTER. A refused chaincode gets no answer and keeps its stream, as in Fabric. No launch fails by it: one that is
    /// under way is the owner's.
    fn register(&self, payload: Bytes) {
        let Some(me) = self.me.upgrade() else { return };
        let id = match ChaincodeId::decode(payload) {
            Ok(id) if id.name.is_empty() => {
                error!("error in handling register chaincode, chaincodeID name is empty");
                return;
            }
            Ok(id) => id.name,
            Err(cause) => {
                error!("Error in received REGISTER, could NOT unmarshal registration info: {cause}");
                return;
            }
        };
        let registry = self.support.registry();
        if let Err(refusal) = registry.register(&id, &me) {
            warn!("refused the registration: {}", shown(&refusal.to_string()));
            return;
        }
        self.metrics.name(&id);
        let _ = self.id.set(id.clone());
        if self.contexts.is_closed() {
            // The stream ended meanwhile and found nothing to take out.
            self.leave();
            return;
        }
        match self.welcome() {
            Ok(()) => registry.ready(&id),
            Err(cause) => {
                error!("failed to start {}: {cause}", shown(&id));
                registry.failed(&id, RegistrationError::Send(cause));
            }
        }
    }

    /// REGISTERED and READY, back to back.
    fn welcome(&self) -> Result<(), String> {
        self.send_welcome(Type::Registered, Bytes::new())?;
        self.set_state(State::Established);
        self.send_welcome(Type::Ready, self.support.ready_payload())?;
        self.set_state(State::Ready);
        Ok(())
    }

    fn send_welcome(&self, kind: Type, payload: Bytes) -> Result<(), String> {
        self.stream
            .send(message::bare(kind, payload))
            .map_err(|cause| format!("[] error sending {}: {cause}", kind.as_str_name()))
    }

    /// Takes this handler out of the registry, if it is there.
    fn leave(&self) {
        if let Some(id) = self.id.get() {
            self.support.registry().deregister(id, self);
        }
    }

    /// COMPLETED or ERROR.
    fn complete(&self, message: ChaincodeMessage) {
        match self.contexts.get(&message.channel_id, &message.txid) {
            Some(context) => context.complete(message),
            None => debug!(
                "[{}] no transaction on channel [{}] waits for {}",
                short(&message.txid),
                shown(&message.channel_id),
                type_name(message.r#type)
            ),
        }
    }
}

impl PeerEnd for Handler {
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
        let kind = Type::try_from(message.r#type).unwrap_or(Type::Undefined);
        match (self.state(), kind) {
            (_, Type::Keepalive) => Ok(None),
            (State::Created, Type::Register) => {
                self.register(message.payload);
                Ok(None)
            }
            (State::Ready, Type::Completed | Type::Error) => {
                self.complete(message);
                Ok(None)
            }
            (State::Ready, kind) if request::is_request(kind) => Ok(self.request(kind, message)),
            (state, _) => Err(illegal(state, &message)),
        }
    }

    fn closed(&self) {
        // First the registry, so that whoever is woken and tries again begins a new launch.
        self.leave();
        self.contexts.close();
        // A REGISTER that was just taken in, on another thread.
        self.leave();
    }
}

fn illegal(state: State, message: &ChaincodeMessage) -> EndStream {
    let cannot = |state| {
        let (txid, kind) = (shown(&message.txid), type_name(message.r#type));
        format!("[{txid}] Fabric side handler cannot handle message ({kind}) while in {state} state")
    };
    EndStream(match state {
        State::Created => cannot("created"),
        State::Ready => cannot("ready"),
        State::Established => {
            format!("handle message: invalid state established for transaction {}", shown(&message.txid))
        }
    })
}
