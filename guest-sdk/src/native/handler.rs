//! The chaincode's end of a stream (Fabric: `shim.Handler`, `chatWithPeer`).
//!
//! States: created, established (REGISTERED came), ready (READY came). A message that a state does not take is told to the
//! peer with ERROR, and the stream ends. KEEPALIVE is echoed in each state.
//!
//! Invariant: whoever reads the stream never waits for a transaction, because the answers to its requests stand behind in
//! the same stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeAdditionalParams, ChaincodeId, ChaincodeMessage};
use tonic::Streaming;

use super::error::NativeError;
use super::link::Link;
use super::log::{Log, short, shown};
use super::outbox::Outbox;
use super::running::Running;
use super::transaction::Entry;
use crate::{Chaincode, Response, Stub};

/// After how long without an answer to REGISTER the log says what that may mean: a peer that refuses it says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keys of one GET_STATE_MULTIPLE, however few the peer says (as in Fabric's shim).
const LEAST_MULTIPLE: u32 = 100;

/// The end of a stream that is nobody's fault.
pub(super) const EOF: &str = "received EOF, ending chaincode stream";

/// A fresh value of the chaincode, called.
type Call = dyn Fn(Entry, &Stub) -> Response + Send + Sync;

/// A chaincode and what all its streams share.
pub(super) struct Shim {
    /// What it registers as: `name:version`, or a package id.
    pub(super) id: String,
    pub(super) log: Log,
    config: BTreeMap<String, String>,
    /// How many transactions of each stream run at a time.
    pub(super) concurrency: usize,
    call: Box<Call>,
}

/// What the environment says of a [`Shim`].
pub(super) struct ShimSettings {
    pub(super) id: String,
    pub(super) log: Log,
    /// The values of `Stub::config`, under the names of their variables.
    pub(super) config: BTreeMap<String, String>,
    /// How many transactions of each stream run at a time.
    pub(super) concurrency: usize,
}

impl Shim {
    pub(super) fn new<C: Chaincode>(make: impl Fn() -> C + Send + Sync + 'static, settings: ShimSettings) -> Self {
        let ShimSettings { id, log, config, concurrency } = settings;
        let call = move |entry, stub: &Stub| match entry {
            Entry::Init => make().init(stub),
            Entry::Invoke => make().invoke(stub),
        };
        Self { id, log, config, concurrency, call: Box::new(call) }
    }

    pub(super) fn call(&self, entry: Entry, stub: &Stub) -> Response {
        (self.call)(entry, stub)
    }

    /// The value of the variable `CHAINCODE_CONFIG_` and the key, in upper case, with `_` for what no name has.
    pub(super) fn config(&self, key: &str) -> Option<String> {
        let name = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
        self.config.get(&key.chars().map(name).collect::<String>()).cloned()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Established,
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

/// One stream. Dropping it wakes the transactions that wait for an answer.
pub(super) struct Handler {
    shim: Arc<Shim>,
    link: Arc<Link>,
    state: State,
    running: Running,
}

impl Handler {
    /// Registers.
    pub(super) fn register(shim: Arc<Shim>, outbox: Outbox) -> Self {
        let id = ChaincodeId { name: shim.id.clone(), ..Default::default() };
        let link = Arc::new(Link::new(outbox));
        let payload = id.encode_to_vec().into();
        link.tell(ChaincodeMessage { r#type: Type::Register.into(), payload, ..Default::default() });
        let running = Running::new(Arc::clone(&shim), Arc::clone(&link));
        Self { shim, link, state: State::Created, running }
    }

    /// Takes one message of the peer's, in a runtime.
    ///
    /// # Errors
    /// The text with which the stream ends; the peer has been told.
    pub(super) fn handle(&mut self, message: ChaincodeMessage) -> Result<(), NativeError> {
        self.shim.log.debug(|| {
            format!("[{}] {} came in state {}", short(&message.txid), kind_name(&message), self.state.name())
        });
        let txid = message.txid.clone();
        self.take(message).map_err(|text| {
            let payload = Bytes::from(text.clone());
            self.link.tell(ChaincodeMessage { r#type: Type::Error.into(), payload, txid, ..Default::default() });
            NativeError::Stream(format!("error handling message: {text}"))
        })
    }

    /// Whether the peer has taken most of what is for it.
    #[cfg(test)]
    pub(super) fn has_room(&self) -> bool {
        self.link.has_room()
    }

    fn take(&mut self, message: ChaincodeMessage) -> Result<(), String> {
        match (self.state, Type::try_from(message.r#type).unwrap_or(Type::Undefined)) {
            (_, Type::Keepalive) => self.link.echo(message)?,
            (State::Created, Type::Registered) => self.state = State::Established,
            (State::Established, Type::Ready) => {
                self.link.set_multiple(multiple(&message.payload));
                self.state = State::Ready;
                self.shim.log.info(&format!("the peer has registered chaincode {}", self.shim.id));
            }
            (State::Ready, Type::Init | Type::Transaction) => self.running.begin(message)?,
            (State::Ready, Type::Response) => self.link.answer(message)?,
            (State::Ready, Type::Error) => {
                // Fabric's shim 1.4 bears it, too.
                if let Err(nobody) = self.link.answer(message) {
                    self.shim.log.error(&format!("the peer sent ERROR to nobody: {nobody}"));
                }
            }
            (state, _) => {
                return Err(format!(
                    "[{}] Chaincode handler cannot handle message ({}) with payload size ({}) while in state: {}",
                    shown(&message.txid),
                    kind_name(&message),
                    message.payload.len(),
                    state.name()
                ));
            }
        }
        Ok(())
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.link.close();
    }
}

/// Serves a stream until it ends; returns why.
pub(super) async fn chat(mut handler: Handler, messages: &mut Streaming<ChaincodeMessage>) -> NativeError {
    let shim = Arc::clone(&handler.shim);
    let mut patience = Box::pin(tokio::time::sleep(PATIENCE));
    let mut told = false;
    loop {
        let waiting = handler.state == State::Created && !told;
        let message = tokio::select! {
            message = messages.message() => message,
            () = &mut patience, if waiting => {
                told = true;
                shim.log.warning(&format!(
                    "no answer to the registration of chaincode {} after {} s: the peer gives none when a chaincode of this \
                     name is registered already, and when it did not start this one and is not in development mode",
                    shim.id, PATIENCE.as_secs()
                ));
                continue;
            }
        };
        let registered = handler.state != State::Created;
        match message {
            Ok(Some(message)) => {
                if let Err(end) = handler.handle(message) {
                    return end;
                }
            }
            Ok(None) if registered => return NativeError::Stream(EOF.to_owned()),
            Ok(None) => {
                return NativeError::Stream(format!("the peer refused chaincode {}: it ended the stream", shim.id));
            }
            Err(status) if registered => return NativeError::Stream(format!("receive failed: {}", reason(&status))),
            Err(status) => {
                return NativeError::Stream(format!("the peer refused chaincode {}: {}", shim.id, reason(&status)));
            }
        }
    }
}

/// A status in words, with what is below gRPC.
pub(super) fn reason(status: &tonic::Status) -> String {
    let mut text = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        // A status among them shows all of its parts, and has nothing to add.
        if !error.is::<tonic::Status>() && !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn kind_name(message: &ChaincodeMessage) -> String {
    Type::try_from(message.r#type).map_or_else(|_| message.r#type.to_string(), |kind| kind.as_str_name().to_owned())
}

/// What READY says of GET_STATE_MULTIPLE. Peers before 3.0 say nothing, and end the stream when they get one.
fn multiple(ready: &Bytes) -> usize {
    match ChaincodeAdditionalParams::decode(ready.clone()) {
        Ok(params) if params.use_get_multiple_keys => params.max_size_get_multiple_keys.max(LEAST_MULTIPLE) as usize,
        _ => 0,
    }
}
