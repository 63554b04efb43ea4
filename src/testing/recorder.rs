//! Records the messages of chaincode streams, at the place where a Handler and a transport meet.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{
    ChaincodeAdditionalParams, ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, DelState, GetState,
    GetStateByRange, GetStateMultiple, PutState, QueryResponse, QueryStateClose, QueryStateNext, Response,
};
use selvedge_proto::{Message, queryresult};

use crate::container::{Budget, ChaincodeStream, EndStream, PeerEnd, Pending, StreamAcceptor, StreamError};

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the chaincode to the peer.
    ToPeer,
    /// From the peer to the chaincode.
    ToChaincode,
}

/// One message, as it passed.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The chaincode's name, as it registered.
    pub chaincode: String,
    /// Which way it went.
    pub direction: Direction,
    /// The message.
    pub message: ChaincodeMessage,
}

/// An acceptor that records what passes through the streams it accepts, and changes nothing.
pub struct Recorder {
    inner: Arc<dyn StreamAcceptor>,
    messages: Arc<Mutex<Vec<Recorded>>>,
    running: Arc<AtomicBool>,
}

impl Recorder {
    /// Records the streams that `inner` accepts, from their first message on.
    pub fn new(inner: Arc<dyn StreamAcceptor>) -> Self {
        Self { inner, messages: Arc::default(), running: Arc::new(AtomicBool::new(true)) }
    }

    /// Stops recording: what passes from here on is not kept.
    pub fn pause(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    /// Records again.
    pub fn resume(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    /// What was recorded since the last call.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut lock(&self.messages))
    }
}

impl StreamAcceptor for Recorder {
    fn accept(&self, stream: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd> {
        let tape = Tape {
            chaincode: Arc::default(),
            messages: Arc::clone(&self.messages),
            running: Arc::clone(&self.running),
        };
        let peer = self.inner.accept(Arc::new(RecordingStream { inner: stream, tape: tape.clone() }));
        Arc::new(RecordingPeer { inner: peer, tape })
    }
}

#[derive(Clone)]
struct Tape {
    chaincode: Arc<Mutex<String>>,
    messages: Arc<Mutex<Vec<Recorded>>>,
    running: Arc<AtomicBool>,
}

impl Tape {
    fn record(&self, direction: Direction, message: &ChaincodeMessage) {
        if message.r#type() == Type::Register
            && let Ok(id) = ChaincodeId::decode(message.payload.clone())
        {
            *lock(&self.chaincode) = id.name;
        }
        if !self.running.load(Ordering::Relaxed) {
            return;
        }
        let chaincode = lock(&self.chaincode).clone();
        lock(&self.messages).push(Recorded { chaincode, direction, message: message.clone() });
    }
}

struct RecordingStream {
    inner: Arc<dyn ChaincodeStream>,
    tape: Tape,
}

impl ChaincodeStream for RecordingStream {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        self.tape.record(Direction::ToChaincode, &message);
        self.inner.send(message)
    }

    fn execute(&self, message: ChaincodeMessage, budget: Budget) -> Result<Option<Pending>, StreamError> {
        self.tape.record(Direction::ToChaincode, &message);
        self.inner.execute(message, budget)
    }
}

struct RecordingPeer {
    inner: Arc<dyn PeerEnd>,
    tape: Tape,
}

impl PeerEnd for RecordingPeer {
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
        self.tape.record(Direction::ToPeer, &message);
        self.inner.receive(message)
    }

    fn closed(&self) {
        self.inner.closed();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renders a recording for a reader, with payloads decoded field by field. What differs between runs (transaction ids,
/// ids of iterators) is numbered in the order of appearance.
pub fn transcript(recorded: &[Recorded]) -> String {
    let mut names = Names::default();
    let mut lines = String::new();
    let mut last_request = BTreeMap::new();
    for Recorded { chaincode, direction, message } in recorded {
        let arrow = match direction {
            Direction::ToPeer => "->",
            Direction::ToChaincode => "<-",
        };
        let kind = message.r#type();
        let place = (chaincode.clone(), message.channel_id.clone(), message.txid.clone());
        let payload = payload(kind, last_request.get(&place).copied(), &message.payload, &mut names);
        let _ = write!(lines, "{chaincode:<8} {arrow} {}", kind.as_str_name());
        if !message.txid.is_empty() {
            let _ = write!(lines, " [{} {}]", names.number("tx", &message.txid), message.channel_id);
        }
        if message.proposal.is_some() {
            lines.push_str(" +proposal");
        }
        if let Some(event) = &message.chaincode_event {
            let _ = write!(lines, " +event {:?} {}", event.event_name, text(&event.payload));
        }
        if !payload.is_empty() {
            let _ = write!(lines, " {payload}");
        }
        lines.push('\n');
        last_request.insert(place, kind);
    }
    lines
}

#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn number(&mut self, prefix: &str, id: &str) -> String {
        if id.is_empty() {
            return String::new();
        }
        let next = self.0.values().filter(|name| name.starts_with(prefix)).count() + 1;
        self.0.entry(id.to_owned()).or_insert_with(|| format!("{prefix}{next}")).clone()
    }
}

/// A payload, by the type of its message; a RESPONSE's by the request that it answers.
fn payload(kind: Type, request: Option<Type>, payload: &Bytes, names: &mut Names) -> String {
    match kind {
        Type::Registered | Type::Ready if payload.is_empty() => String::new(),
        Type::Register => decoded(payload, |id: ChaincodeId| format!("{:?}", id.name)),
        Type::Ready => decoded(payload, |params: ChaincodeAdditionalParams| {
            let (batch, keys) = (params.max_size_write_batch, params.max_size_get_multiple_keys);
            format!(
                "write batch {} {batch}, multiple keys {} {keys}",
                params.use_write_batch, params.use_get_multiple_keys
            )
        }),
        Type::Init | Type::Transaction => decoded(payload, input),
        Type::Completed => decoded(payload, response),
        Type::GetState => decoded(payload, |get: GetState| format!("{:?}{}", get.key, in_collection(&get.collection))),
        Type::DelState => decoded(payload, |del: DelState| format!("{:?}{}", del.key, in_collection(&del.collection))),
        Type::PutState => decoded(payload, |put: PutState| {
            format!("{:?} = {}{}", put.key, text(&put.value), in_collection(&put.collection))
        }),
        Type::GetStateMultiple => decoded(payload, |get: GetStateMultiple| format!("{:?}", get.keys)),
        Type::GetStateByRange => decoded(payload, |range: GetStateByRange| {
            format!("[{:?}, {:?}){}", range.start_key, range.end_key, in_collection(&range.collection))
        }),
        Type::QueryStateNext => decoded(payload, |next: QueryStateNext| names.number("iterator", &next.id)),
        Type::QueryStateClose => decoded(payload, |close: QueryStateClose| names.number("iterator", &close.id)),
        Type::InvokeChaincode => decoded(payload, |spec: ChaincodeSpec| {
            let name = spec.chaincode_id.map(|id| id.name).unwrap_or_default();
            format!("{name:?} {}", spec.input.map(input).unwrap_or_default())
        }),
        Type::Response => match request {
            Some(Type::GetStateByRange | Type::GetQueryResult | Type::QueryStateNext | Type::GetHistoryForKey) => {
                decoded(payload, |response: QueryResponse| rows(&response, names))
            }
            Some(Type::QueryStateClose) => decoded(payload, |response: QueryResponse| {
                format!("{} has_more={}", names.number("iterator", &response.id), response.has_more)
            }),
            Some(Type::InvokeChaincode) => decoded(payload, |message: ChaincodeMessage| {
                format!("{{{} {}}}", message.r#type().as_str_name(), decoded(&message.payload, response))
            }),
            _ => text(payload),
        },
        _ => text(payload),
    }
}

/// The rendering of a message, which must encode to the very bytes that passed.
fn decoded<M: Message + Default>(bytes: &Bytes, render: impl FnOnce(M) -> String) -> String {
    match M::decode(bytes.clone()) {
        Ok(message) if message.encode_to_vec() == *bytes => render(message),
        Ok(_) => format!("(not in canonical form) {}", hex::encode(bytes)),
        Err(error) => format!("({error}) {}", hex::encode(bytes)),
    }
}

fn input(input: ChaincodeInput) -> String {
    let args: Vec<_> = input.args.iter().map(text).collect();
    format!("({})", args.join(", "))
}

fn response(response: Response) -> String {
    format!("status={} message={:?} payload={}", response.status, response.message, text(&response.payload))
}

fn rows(response: &QueryResponse, names: &mut Names) -> String {
    let key = |row: &Bytes| queryresult::Kv::decode(row.clone()).map_or_else(|error| error.to_string(), |kv| kv.key);
    let first = response.results.first().map(|row| key(&row.result_bytes)).unwrap_or_default();
    let last = response.results.last().map(|row| key(&row.result_bytes)).unwrap_or_default();
    let id = names.number("iterator", &response.id);
    format!("{} rows {first:?}..{last:?} has_more={} {id}", response.results.len(), response.has_more)
}

fn in_collection(collection: &str) -> String {
    if collection.is_empty() { String::new() } else { format!(" in {collection:?}") }
}

/// Bytes as text where they are text, else in hex; long ones by length and hash.
fn text(bytes: &Bytes) -> String {
    match std::str::from_utf8(bytes) {
        _ if bytes.len() > 120 => format!("({} bytes)", bytes.len()),
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}"),
        // Hashes and the like differ from run to run.
        _ if bytes.len() > 16 => format!("({} bytes)", bytes.len()),
        _ => format!("0x{}", hex::encode(bytes)),
    }
}
