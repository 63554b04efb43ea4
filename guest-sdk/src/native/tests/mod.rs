//! The chaincode's end of a stream, with a peer that follows a script at the other.

mod floods;
mod requests;
mod settings;
mod streams;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{self, ChaincodeInput, ChaincodeMessage};
use tokio_stream::StreamExt;

use super::error::NativeError;
use super::handler::{Handler, Shim, ShimSettings};
use super::log::Log;
use super::outbox::{Messages, outbox};
use super::panics;
use super::settings::Environment;
use crate::{Chaincode, Error, Payload, Response, Stub};

const CHANNEL: &str = "mychannel";

/// A chaincode that is one function, for INIT and TRANSACTION.
#[derive(Clone)]
struct Script<F>(F);

impl<F: Fn(&Stub) -> Result<Payload, Error>> Chaincode for Script<F> {
    fn init(&self, stub: &Stub) -> Response {
        self.invoke(stub)
    }

    fn invoke(&self, stub: &Stub) -> Response {
        (self.0)(stub).into()
    }
}

/// The peer's end.
struct Peer {
    handler: Handler,
    sent: Messages,
}

fn message(kind: Type, txid: &str, payload: impl Into<Bytes>) -> ChaincodeMessage {
    let (txid, channel_id) = (txid.to_owned(), CHANNEL.to_owned());
    ChaincodeMessage { r#type: kind.into(), payload: payload.into(), txid, channel_id, ..Default::default() }
}

fn input(args: &[&str]) -> Vec<u8> {
    let args = args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect();
    ChaincodeInput { args, ..Default::default() }.encode_to_vec()
}

impl Peer {
    /// A stream on which REGISTER was sent.
    fn created(
        concurrency: usize,
        script: impl Fn(&Stub) -> Result<Payload, Error> + Clone + Send + Sync + 'static,
    ) -> Self {
        panics::report_in_one_line();
        let config = BTreeMap::from([("MAX_VALUE".to_owned(), "7".to_owned())]);
        let variables = BTreeMap::from([("CORE_CHAINCODE_LOGGING_SHIM".to_owned(), "warning".to_owned())]);
        let log = Log::of(&Environment { variables, ..Environment::default() });
        let settings = ShimSettings { id: "asset:1.0".to_owned(), log, config, concurrency };
        let shim = Arc::new(Shim::new(move || Script(script.clone()), settings));
        let (outbox, sent) = outbox();
        Self { handler: Handler::register(shim, outbox), sent }
    }

    /// A stream that is ready.
    async fn ready(
        script: impl Fn(&Stub) -> Result<Payload, Error> + Clone + Send + Sync + 'static,
    ) -> Result<Self, NativeError> {
        Self::ready_for(8, script, "").await
    }

    async fn ready_for(
        concurrency: usize,
        script: impl Fn(&Stub) -> Result<Payload, Error> + Clone + Send + Sync + 'static,
        ready: impl Into<Bytes>,
    ) -> Result<Self, NativeError> {
        let mut peer = Self::created(concurrency, script);
        peer.expect(Type::Register).await;
        peer.give(message(Type::Registered, "", ""))?;
        peer.give(message(Type::Ready, "", ready))?;
        Ok(peer)
    }

    fn give(&mut self, message: ChaincodeMessage) -> Result<(), NativeError> {
        self.handler.handle(message)
    }

    fn transaction(&mut self, txid: &str, args: &[&str]) -> Result<(), NativeError> {
        self.give(message(Type::Transaction, txid, input(args)))
    }

    /// Answers a request with RESPONSE.
    fn respond(&mut self, request: &ChaincodeMessage, payload: impl Into<Bytes>) -> Result<(), NativeError> {
        let channel_id = request.channel_id.clone();
        self.give(ChaincodeMessage { channel_id, ..message(Type::Response, &request.txid, payload) })
    }

    async fn next(&mut self) -> ChaincodeMessage {
        let next = tokio::time::timeout(Duration::from_secs(10), self.sent.next()).await;
        next.expect("the chaincode says something in time").expect("the stream is open").expect("a message")
    }

    async fn expect(&mut self, kind: Type) -> ChaincodeMessage {
        let message = self.next().await;
        assert_eq!(message.r#type(), kind, "{message:?}");
        message
    }

    /// The response of a transaction that has ended.
    async fn completed(&mut self, txid: &str) -> protos::Response {
        let completed = self.expect(Type::Completed).await;
        assert_eq!((completed.txid.as_str(), completed.channel_id.as_str()), (txid, CHANNEL));
        protos::Response::decode(completed.payload).expect("a response")
    }

    /// The text of the ERROR that ended a transaction.
    async fn failed(&mut self, txid: &str) -> String {
        let error = self.expect(Type::Error).await;
        assert_eq!((error.txid.as_str(), error.channel_id.as_str()), (txid, CHANNEL));
        String::from_utf8_lossy(&error.payload).into_owned()
    }

    /// Nothing more has been sent.
    async fn assert_silent(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(100), self.sent.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
}
