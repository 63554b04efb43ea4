//! The gRPC transport of chaincode streams: `protos.ChaincodeSupport/Register`, on a listener of its own.
//!
//! Existing shims connect here. Invariant: whatever a stream sends, it ends itself at most; the loop that reads it never
//! waits for the work that a message causes.

use std::pin::Pin;
use std::sync::Arc;

use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_support_server::ChaincodeSupport;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::container::{Budget, ChaincodeStream, PeerEnd, Pending, StreamAcceptor, StreamError};

/// Serves `Register`: each stream gets a handler from the acceptor.
pub struct ChaincodeListener {
    acceptor: Arc<dyn StreamAcceptor>,
}

impl ChaincodeListener {
    /// A listener whose streams go to this acceptor.
    pub fn new(acceptor: Arc<dyn StreamAcceptor>) -> Self {
        Self { acceptor }
    }
}

/// What goes to the chaincode. It is unbounded, yet holds at most one message for each transaction that the endorser let
/// in, as a shim has one request in flight for each.
struct GrpcStream(mpsc::UnboundedSender<Result<ChaincodeMessage, Status>>);

impl ChaincodeStream for GrpcStream {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        self.0.send(Ok(message)).map_err(|_| StreamError("the chaincode has closed its stream".to_owned()))
    }

    fn execute(&self, message: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
        self.send(message).map(|()| None)
    }
}

#[tonic::async_trait]
impl ChaincodeSupport for ChaincodeListener {
    type RegisterStream = Pin<Box<dyn Stream<Item = Result<ChaincodeMessage, Status>> + Send>>;

    async fn register(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let peer = self.acceptor.accept(Arc::new(GrpcStream(outgoing.clone())));
        tokio::spawn(async move {
            let end = read(request.into_inner(), peer.as_ref()).await;
            peer.closed();
            if let Err(status) = end {
                let _ = outgoing.send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(queue))))
    }
}

/// Gives the handler each message in its order, until the stream ends.
async fn read(mut incoming: Streaming<ChaincodeMessage>, peer: &dyn PeerEnd) -> Result<(), Status> {
    while let Some(message) = incoming.next().await {
        let message = message.inspect_err(|status| tracing::warn!("receive failed: {status}"))?;
        match peer.receive(message) {
            Ok(Some(work)) => drop(tokio::spawn(work)),
            Ok(None) => {}
            Err(end) => {
                tracing::warn!("{end}");
                return Err(Status::unknown(end.to_string()));
            }
        }
    }
    Ok(())
}
