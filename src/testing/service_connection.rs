//! The peer's side of chaincode as a service: a stream that somebody else dialled, given to a peer's handler.

use std::sync::Arc;

use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_client::ChaincodeClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

use super::Boxed;
use crate::container::{Budget, ChaincodeStream, Pending, StreamAcceptor, StreamError};

struct ToChaincode(mpsc::UnboundedSender<ChaincodeMessage>);

impl ChaincodeStream for ToChaincode {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        self.0.send(message).map_err(|_| StreamError("the chaincode has closed its stream".to_owned()))
    }

    fn execute(&self, message: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
        self.send(message).map(|()| None)
    }
}

/// Opens `protos.Chaincode/Connect` and gives the stream to `acceptor`. The task ends with the stream, with its status.
///
/// # Errors
/// When the chaincode does not answer.
pub fn connect_service(
    acceptor: &dyn StreamAcceptor,
    connection: Channel,
) -> Boxed<'_, Result<JoinHandle<tonic::Status>, tonic::Status>> {
    Box::pin(async move {
        let (sender, messages) = mpsc::unbounded_channel();
        let mut client = ChaincodeClient::new(connection).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let mut stream = client.connect(UnboundedReceiverStream::new(messages)).await?.into_inner();
        let peer = acceptor.accept(Arc::new(ToChaincode(sender)));
        Ok(tokio::spawn(async move {
            let status = loop {
                match stream.message().await {
                    Ok(Some(message)) => match peer.receive(message) {
                        Ok(Some(work)) => drop(tokio::spawn(work)),
                        Ok(None) => {}
                        Err(end) => break tonic::Status::unknown(end.to_string()),
                    },
                    Ok(None) => break tonic::Status::ok(""),
                    Err(status) => break status,
                }
            };
            peer.closed();
            status
        }))
    })
}
