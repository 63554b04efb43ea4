//! What a peer elsewhere sends, given to the container (Fabric: `shim.Handler`).
//!
//! Invariant: whoever reads the stream never waits for a transaction, because the answers to its requests stand behind in
//! the same stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;
use tokio::task::JoinSet;
use tonic::Streaming;

use super::Host;
use super::remote_peer::RemotePeer;
use crate::container::{Budget, ChaincodeStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Established,
    Ready,
}

/// The budgets of the transactions that run, by id: what one calls, and comes back here, is on its budget.
type Running = Arc<Mutex<HashMap<String, Budget>>>;

/// Serves a stream until it ends; returns why. Its transactions end with it.
pub(super) async fn serve(
    host: &Host,
    peer: &Arc<RemotePeer>,
    container: Arc<dyn ChaincodeStream>,
    mut messages: Streaming<ChaincodeMessage>,
) -> String {
    let mut stream = Stream {
        host,
        peer: Arc::clone(peer),
        container,
        state: State::Created,
        running: Running::default(),
        transactions: JoinSet::new(),
    };
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
    running: Running,
    /// Those that are dropped when the stream ends.
    transactions: JoinSet<()>,
}

impl Stream<'_> {
    fn take(&mut self, message: ChaincodeMessage) -> Result<(), String> {
        match (self.state, Type::try_from(message.r#type).unwrap_or(Type::Undefined)) {
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
                    message.txid,
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
        let (budget, root) = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            match running.get(&txid) {
                Some(budget) => (budget.nested(), None),
                None => {
                    let budget = self.host.budget();
                    running.insert(txid.clone(), budget.clone());
                    (budget, Some(Root { running: Arc::clone(&self.running), txid: txid.clone() }))
                }
            }
        };
        let begun = self.container.execute(message, budget.clone()).map_err(|error| error.to_string())?;
        let Some(execution) = begun else { return Ok(()) };
        let (peer, ccid, allowed) = (Arc::clone(&self.peer), self.host.ccid.clone(), self.host.execute_timeout);
        let work = async move {
            let _root = root;
            if tokio::time::timeout_at(budget.deadline().into(), execution).await.is_err() {
                // Its peer has most likely given it up by itself.
                let text = format!("chaincode {ccid} was not done after {allowed:?} (chaincode.executetimeout)");
                let payload = Bytes::from(text);
                peer.tell(ChaincodeMessage {
                    r#type: Type::Error.into(),
                    payload,
                    txid,
                    channel_id,
                    ..Default::default()
                });
            }
        };
        self.transactions.spawn_on(work, &self.host.work);
        Ok(())
    }
}

/// The first execution of a transaction on this stream.
struct Root {
    running: Running,
    txid: String,
}

impl Drop for Root {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.txid);
    }
}
