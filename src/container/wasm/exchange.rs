//! One transaction's way to the peer: a request goes out as a ChaincodeMessage, its answer comes back.
//!
//! The request is answered in the calling task: nothing crosses a thread. Invariant: one request is outstanding at most,
//! so the slot for the answer never overflows.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_message::Type;

use crate::container::PeerEnd;

/// Where the peer's answer is put.
#[derive(Default)]
pub(super) struct ReplySlot(Mutex<Option<ChaincodeMessage>>);

impl ReplySlot {
    pub(super) fn put(&self, message: ChaincodeMessage) {
        let earlier = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(message);
        debug_assert!(earlier.is_none(), "the peer answered one request twice: {earlier:?}");
    }

    fn take(&self) -> Option<ChaincodeMessage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A transaction's end of the stream.
pub(super) struct Exchange {
    peer: Arc<dyn PeerEnd>,
    slot: Arc<ReplySlot>,
    channel_id: String,
    txid: String,
}

impl Exchange {
    pub(super) fn new(peer: Arc<dyn PeerEnd>, slot: Arc<ReplySlot>, channel_id: String, txid: String) -> Self {
        Self { peer, slot, channel_id, txid }
    }

    /// Sends a request and returns the answer as it came.
    ///
    /// # Errors
    /// A text, when there is none.
    pub(super) async fn exchange(&self, kind: Type, payload: Bytes) -> Result<ChaincodeMessage, String> {
        let message = ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid: self.txid.clone(),
            channel_id: self.channel_id.clone(),
            ..Default::default()
        };
        match self.peer.receive(message) {
            Ok(Some(work)) => work.await,
            Ok(None) => {}
            Err(end) => return Err(end.to_string()),
        }
        self.slot.take().ok_or_else(|| format!("the peer gave no answer to {}", kind.as_str_name()))
    }
}
