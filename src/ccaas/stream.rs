//! What a peer elsewhere sends, given to the container (Fabric: `shim.Handler`).
//!
//! Invariant: whoever reads the stream never waits for a transaction, because the answers to its requests stand behind in
//! the same stream.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use tokio::task::JoinSet;
use tonic::Streaming;

use super::Host;
use super::remote_peer::RemotePeer;
use crate::container::{ChaincodeStream, PeerEnd};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Established,
    Ready,
}

/// Serves a stream until it ends; returns why. Its transactions end with it.
pub(super) async fn serve(
    host: &Host,
    peer: &Arc<RemotePeer>,
    container: Arc<dyn ChaincodeStream>,
    mut messages: Streaming<ChaincodeMessage>,
) -> String {
    let mut stream =
        Stream { host, peer: Arc::clone(peer), container, state: State::Created, transactions: JoinSet::new() };
    loop {
        match messages.message().await {
            Ok(Some(message)) => {
                let txid = message.txid.clone();
                if let Err(text) = stream.take(message) {
                    let payload = Bytes::from(text.clone());
                    peer.tell(ChaincodeMessage { r#type: Type::Error.into(), payload, txid, ..Default::default() });
                    return format!("error handling message: {text}");
                }
            }
            Ok(None) => return "received EOF, ending chaincode stream".to_owned(),
            Err(status) => return format!("receive failed: {}", status.message()),
        }
    }
}

struct Stream<'a> {
    host: &'a Host,
    peer: Arc<RemotePeer>,
    container: Arc<dyn ChaincodeStream>,
    state: State,
    /// Those that are dropped when the stream ends.
    transactions: JoinSet<()>,
}

impl Stream<'_> {
    fn take(&mut self, message: ChaincodeMessage) -> Result<(), String> {
        match (self.state, Type::try_from(message.r#type).unwrap_or(Type::Undefined)) {
            // To one who does not listen it says nothing.
            (_, Type::Keepalive) if !self.peer.has_room() => {}
            (_, Type::Keepalive) => self.peer.tell(message),
            (State::Created, Type::Registered) => self.state = State::Established,
            (State::Established, Type::Ready) => {
                self.state = State::Ready;
                tracing::info!("a peer has registered chaincode {}", self.host.ccid);
            }
            (State::Ready, Type::Init | Type::Transaction) => self.begin(message)?,
            (State::Ready, Type::Response) => self.peer.answer(&*self.container, message)?,
            (State::Ready, Type::Error) => {
                // Fabric's shim 1.4 bears it, too.
                if let Err(nobody) = self.peer.answer(&*self.container, message) {
                    tracing::warn!("the peer sent ERROR to nobody: {nobody}");
                }
            }
            (state, kind) => {
                return Err(format!(
                    "[{}] Chaincode handler cannot handle message ({}) with payload size ({}) while in state: {}",
                    shown(&message.txid),
                    if kind == Type::Undefined { message.r#type.to_string() } else { kind.as_str_name().to_owned() },
                    message.payload.len(),
                    format!("{state:?}").to_lowercase()
                ));
            }
        }
        Ok(())
    }

    fn begin(&mut self, message: ChaincodeMessage) -> Result<(), String> {
        while self.transactions.try_join_next().is_some() {}
        let (txid, channel_id) = (message.txid.clone(), message.channel_id.clone());
        let error = move |text: String| {
            let payload = Bytes::from(text);
            ChaincodeMessage { r#type: Type::Error.into(), payload, txid, channel_id, ..Default::default() }
        };
        let entered = match self.peer.running.begin(&message, self.host.call_depth, || self.host.budget()) {
            Ok(entered) => entered,
            Err(refusal) if self.peer.has_room() => {
                tracing::warn!("a transaction of chaincode {} is refused: {refusal}", self.host.ccid);
                self.peer.tell(error(refusal));
                return Ok(());
            }
            Err(refusal) => return Err(format!("{refusal}; and the peer does not take the messages for it")),
        };
        let budget = entered.budget.clone();
        let begun = self.container.execute(message, budget.clone()).map_err(|error| error.to_string())?;
        let Some(execution) = begun else { return Ok(()) };
        let (peer, ccid, allowed) = (Arc::clone(&self.peer), self.host.ccid.clone(), self.host.execute_timeout);
        let work = async move {
            let _entered = entered;
            let execution = async {
                // What waits for the peer is bounded by those that have begun.
                peer.room().await;
                execution.await;
            };
            if tokio::time::timeout_at(budget.deadline().into(), execution).await.is_err() {
                // Its peer has most likely given it up by itself.
                let text = format!("chaincode {ccid} was not done after {allowed:?} (chaincode.executetimeout)");
                budget.fail(text.clone());
                let _ = peer.receive(error(text));
            }
        };
        self.transactions.spawn_on(work, &self.host.work);
        Ok(())
    }
}

/// As much of a transaction id as there is to a real one: an error's text goes into a header.
pub(super) fn shown(txid: &str) -> &str {
    &txid[..txid.floor_char_boundary(64)]
}
