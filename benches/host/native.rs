//! The baseline: the same work as native code in this process, at the other end of a stream of the same Handler.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use selvedge::container::{Budget, ChaincodeStream, PeerEnd, Pending, StreamAcceptor, StreamError};
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeId, ChaincodeInput, ChaincodeMessage, GetState, PutState, Response};

/// A chaincode without a wall: `empty`, and `ops N` with N reads and N writes of 100 bytes.
#[derive(Default)]
pub(crate) struct Native {
    peer: OnceLock<Arc<dyn PeerEnd>>,
    answer: Arc<Mutex<Option<ChaincodeMessage>>>,
}

struct NativeStream(Arc<Native>);

impl Native {
    /// Registers under `id` with whoever accepts streams.
    pub(crate) fn register(acceptor: &dyn StreamAcceptor, id: &str) -> anyhow::Result<()> {
        let native = Arc::new(Self::default());
        let peer = acceptor.accept(Arc::new(NativeStream(Arc::clone(&native))));
        let _ = native.peer.set(Arc::clone(&peer));
        let payload = ChaincodeId { name: id.to_owned(), ..Default::default() }.encode_to_vec().into();
        peer.receive(ChaincodeMessage { r#type: Type::Register.into(), payload, ..Default::default() })?;
        Ok(())
    }
}

impl ChaincodeStream for NativeStream {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        // One transaction at a time: enough for a baseline, which runs on one thread.
        *self.0.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
        Ok(())
    }

    fn execute(&self, message: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
        let native = Arc::clone(&self.0);
        Ok(Some(Box::pin(async move { native.transaction(message).await })))
    }
}

impl Native {
    async fn transaction(&self, message: ChaincodeMessage) {
        let Some(peer) = self.peer.get() else { return };
        let input = ChaincodeInput::decode(message.payload.clone()).unwrap_or_default();
        let count = match input.args.as_slice() {
            [function, count] if function.as_ref() == b"ops" => {
                std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).unwrap_or(0)
            }
            _ => 0,
        };
        let value = Bytes::from(vec![b'x'; 100]);
        for index in 0..count {
            let key = format!("ops{index}");
            let get = GetState { key: key.clone(), ..Default::default() }.encode_to_vec();
            self.request(peer.as_ref(), &message, Type::GetState, get).await;
            let put = PutState { key, value: value.clone(), ..Default::default() }.encode_to_vec();
            self.request(peer.as_ref(), &message, Type::PutState, put).await;
        }
        let payload = Response { status: 200, ..Default::default() }.encode_to_vec().into();
        let _ = peer.receive(about(&message, Type::Completed, payload));
    }

    async fn request(&self, peer: &dyn PeerEnd, of: &ChaincodeMessage, kind: Type, payload: Vec<u8>) {
        if let Ok(Some(work)) = peer.receive(about(of, kind, payload.into())) {
            work.await;
        }
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn about(of: &ChaincodeMessage, kind: Type, payload: Bytes) -> ChaincodeMessage {
    ChaincodeMessage {
        r#type: kind.into(),
        payload,
        txid: of.txid.clone(),
        channel_id: of.channel_id.clone(),
        ..Default::default()
    }
}
