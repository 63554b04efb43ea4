//! The peer's Deliver service: full blocks and filtered ones (Fabric: `core/peer/deliverevents.go`).
//!
//! Invariant: only committed blocks, filter filled in.

use std::sync::Arc;

use selvedge_proto::common::{Block, Envelope, Status};
use selvedge_proto::protos::DeliverResponse;
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::deliver_server::Deliver;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Streaming};

use super::deliver::{Form, RESPONSES, Sent};
use super::deliver_metrics::BlockForm;
use super::{Deliverer, filtered_block};
use crate::channel::resource;
use crate::tls::TlsInfo;

/// Implements `protos.Deliver`.
#[derive(Clone, Debug)]
pub struct DeliverService {
    deliverer: Arc<Deliverer>,
}

impl DeliverService {
    /// Streams what `deliverer` reads.
    pub fn new(deliverer: Arc<Deliverer>) -> Self {
        Self { deliverer }
    }
}

#[tonic::async_trait]
impl Deliver for DeliverService {
    type DeliverStream = ReceiverStream<Sent<DeliverResponse>>;
    type DeliverFilteredStream = ReceiverStream<Sent<DeliverResponse>>;

    async fn deliver(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverStream>, tonic::Status> {
        stream(&self.deliverer, FullBlocks, request)
    }

    async fn deliver_filtered(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverFilteredStream>, tonic::Status> {
        stream(&self.deliverer, FilteredBlocks, request)
    }
}

/// Serves a stream in a task of its own, which ends with the client; refuses it where too many are open.
pub(super) fn stream<F: Form>(
    deliverer: &Arc<Deliverer>,
    form: F,
    request: Request<Streaming<Envelope>>,
) -> Result<Response<ReceiverStream<Sent<F::Response>>>, tonic::Status> {
    let slot = deliverer.slot(F::SERVICE)?;
    let (responses, stream) = mpsc::channel(RESPONSES);
    let deliverer = Arc::clone(deliverer);
    let certificate = TlsInfo::client_cert_hash_of(&request);
    tokio::spawn(async move {
        deliverer.serve(form, certificate, request.into_inner(), responses).await;
        drop(slot);
    });
    Ok(Response::new(ReceiverStream::new(stream)))
}

#[derive(Clone, Copy)]
pub(super) struct FullBlocks;

impl Form for FullBlocks {
    type Response = DeliverResponse;
    const RESOURCE: &'static str = resource::BLOCK_EVENT;

    fn block(&self, _channel: &str, block: Block) -> DeliverResponse {
        DeliverResponse { r#type: Some(Type::Block(block)) }
    }

    fn status(status: Status) -> DeliverResponse {
        DeliverResponse { r#type: Some(Type::Status(status as i32)) }
    }
}

#[derive(Clone, Copy)]
pub(super) struct FilteredBlocks;

impl Form for FilteredBlocks {
    type Response = DeliverResponse;
    const RESOURCE: &'static str = resource::FILTERED_BLOCK_EVENT;
    const BLOCK_FORM: BlockForm = BlockForm::Filtered;

    fn block(&self, channel: &str, block: Block) -> DeliverResponse {
        DeliverResponse { r#type: Some(Type::FilteredBlock(filtered_block(channel, &block))) }
    }

    fn status(status: Status) -> DeliverResponse {
        FullBlocks::status(status)
    }
}
