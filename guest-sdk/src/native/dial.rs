//! A chaincode that dials its peer: `protos.ChaincodeSupport/Register` (Fabric: `shim.Start`).

use std::sync::Arc;
use std::time::Duration;

use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::chaincode_support_client::ChaincodeSupportClient;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

use super::error::NativeError;
use super::handler::{self, Shim};
use super::outbox::outbox;
use super::tls::{ClientTls, Handshake};

/// As in Fabric's Go shim: peers cut off who asks more often.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Until the connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the peer has for the last word of a stream that this side ends.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Where the peer is.
#[derive(Debug)]
pub(super) struct PeerAddress {
    /// `host:port`.
    pub(super) address: String,
    /// The argument or variable that said so.
    pub(super) setting: String,
    pub(super) tls: Option<ClientTls>,
}

/// Registers with the peer and serves it.
///
/// # Errors
/// Always, in the end: no connection, or the end of the stream.
pub(super) async fn dial(shim: Arc<Shim>, peer: PeerAddress) -> Result<(), NativeError> {
    let how = if peer.tls.is_some() { "with TLS" } else { "without TLS" };
    shim.log.info(&format!("chaincode {} dials the peer at {} {how}", shim.id, peer.address));
    let channel = connect(&peer).await?;
    let mut client = ChaincodeSupportClient::new(channel).max_decoding_message_size(MAX_MESSAGE_SIZE);
    let (outbox, messages) = outbox();
    let messages = messages.map_while(Result::ok);
    // The answer's headers may come with the answer to REGISTER only, so that has to be on its way.
    let begun = handler::Handler::register(Arc::clone(&shim), outbox);
    let stream = client.register(messages).await.map_err(|status| {
        NativeError::Stream(format!("the peer refused chaincode {}: {}", shim.id, handler::reason(&status)))
    })?;
    let mut stream = stream.into_inner();
    let end = handler::chat(begun, &mut stream).await;
    // The process ends with what is returned, and the connection with the process: the peer first takes the last word, which
    // says why, and ends the stream in its turn.
    let taken = async { while let Ok(Some(_)) = stream.message().await {} };
    let _ = tokio::time::timeout(LAST_WORD, taken).await;
    Err(end)
}

async fn connect(peer: &PeerAddress) -> Result<Channel, NativeError> {
    let failed =
        |reason: String| NativeError::Connect { address: peer.address.clone(), setting: peer.setting.clone(), reason };
    let scheme = if peer.tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{}", peer.address))
        .map_err(|error| failed(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let connected = match &peer.tls {
        None => endpoint.connect().await,
        Some(tls) => endpoint.connect_with_connector(Handshake::new(&peer.address, tls)).await,
    };
    connected.map_err(|error| failed(innermost(&error)))
}

/// The cause of all: what is around it says no more than that a connection failed.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}
