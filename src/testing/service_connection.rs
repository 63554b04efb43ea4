//! Chaincode as a service: a process that serves, and the peer's side, a dialled stream that is given to a handler.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_client::ChaincodeClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

use super::chaincode_process::{ChaincodeProcess, Output};
use super::{Boxed, config, guest_path};
use crate::ccaas;
use crate::container::{Budget, ChaincodeStream, PeerEnd, Pending, StreamAcceptor, StreamError};

/// How long it may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that serves a chaincode; killed when dropped.
pub struct Service {
    /// Where.
    pub address: String,
    _process: ChaincodeProcess,
}

impl Service {
    /// Starts it and waits until it listens. Blocks the thread.
    ///
    /// # Errors
    /// When it does not; with what it said.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let process = ChaincodeProcess::start(command, Output::Error)?;
        let line = process.wait_for("listens on ", PATIENCE)?;
        let address = line.split("listens on ").nth(1).and_then(|rest| rest.split(' ').next());
        Ok(Self { address: address.context("an address")?.to_owned(), _process: process })
    }
}

/// Serves `examples/asset` from a sandbox in this process, as `selvedge ccaas` does, with a [`config`] in `folder`; returns
/// where. It is served until the runtime ends.
///
/// # Errors
/// When it was not built, or cannot be served.
pub fn serve_sandboxed<'a>(
    folder: &'a Path,
    id: &'a str,
    overrides: &'a [(&'a str, &'a str)],
) -> Boxed<'a, anyhow::Result<String>> {
    Box::pin(async move {
        let config = config(folder, &[], overrides)?;
        let (file, address) = (guest_path("asset")?, "127.0.0.1:0".to_owned());
        let listening = ccaas::listen(&config, ccaas::Service { file, id: id.to_owned(), address, tls: None }).await?;
        let address = listening.address.to_string();
        tokio::spawn(listening.serve());
        Ok(address)
    })
}

struct ToChaincode(mpsc::UnboundedSender<ChaincodeMessage>);

impl ChaincodeStream for ToChaincode {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        self.0.send(message).map_err(|_| StreamError("the chaincode has closed its stream".to_owned()))
    }

    fn execute(&self, message: ChaincodeMessage, _: Budget) -> Result<Option<Pending>, StreamError> {
        self.send(message).map(|()| None)
    }
}

/// The peer's end; it is closed however the task that reads for it ends.
struct Accepted(Arc<dyn PeerEnd>);

impl Drop for Accepted {
    fn drop(&mut self) {
        self.0.closed();
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
        let peer = Accepted(acceptor.accept(Arc::new(ToChaincode(sender))));
        Ok(tokio::spawn(async move {
            loop {
                match stream.message().await {
                    Ok(Some(message)) => match peer.0.receive(message) {
                        Ok(Some(work)) => drop(tokio::spawn(work)),
                        Ok(None) => {}
                        Err(end) => break tonic::Status::unknown(end.to_string()),
                    },
                    Ok(None) => break tonic::Status::ok(""),
                    Err(status) => break status,
                }
            }
        }))
    })
}
