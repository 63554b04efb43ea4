//! The peer's Deliver service: full blocks, filtered ones, and blocks with private data (Fabric:
//! `core/peer/deliverevents.go`; the last is of Fabric 2.0).
//!
//! Invariant: only committed blocks, filter filled in.

use std::sync::Arc;

use selvedge_proto::common::{Block, Envelope, Status};
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::deliver_server::Deliver;
use selvedge_proto::protos::{BlockAndPrivateData, DeliverResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Streaming};

use super::deliver::{Form, RESPONSES, Sent};
use super::deliver_metrics::BlockForm;
use super::{Deliverer, PrivateDataAccess, filtered_block};
use crate::channel::resource;
use crate::ledger::{Ledger, LedgerError};
use crate::tls::TlsInfo;

/// Implements `protos.Deliver`.
#[derive(Clone)]
pub struct DeliverService {
    deliverer: Arc<Deliverer>,
    private_data: Arc<dyn PrivateDataAccess>,
}

impl DeliverService {
    /// Streams what `deliverer` reads, with the private data that `private_data` lets go.
    pub fn new(deliverer: Arc<Deliverer>, private_data: Arc<dyn PrivateDataAccess>) -> Self {
        Self { deliverer, private_data }
    }
}

#[tonic::async_trait]
impl Deliver for DeliverService {
    type DeliverStream = ReceiverStream<Sent<DeliverResponse>>;
    type DeliverFilteredStream = ReceiverStream<Sent<DeliverResponse>>;
    type DeliverWithPrivateDataStream = ReceiverStream<Sent<DeliverResponse>>;

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

    async fn deliver_with_private_data(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::DeliverWithPrivateDataStream>, tonic::Status> {
        let form = BlocksWithPrivateData(Arc::clone(&self.private_data));
        stream(&self.deliverer, form, request)
    }
}

/// Serves a stream in a task of its own, which ends with the client.
pub(super) fn stream<F: Form>(
    deliverer: &Arc<Deliverer>,
    form: F,
    request: Request<Streaming<Envelope>>,
) -> Result<Response<ReceiverStream<Sent<F::Response>>>, tonic::Status> {
    let (responses, stream) = mpsc::channel(RESPONSES);
    let deliverer = Arc::clone(deliverer);
    let certificate = TlsInfo::client_cert_hash_of(&request);
    tokio::spawn(async move {
        deliverer.serve(form, certificate, request.into_inner(), responses).await;
    });
    Ok(Response::new(ReceiverStream::new(stream)))
}

#[derive(Clone, Copy)]
pub(super) struct FullBlocks;

impl Form for FullBlocks {
    type Response = DeliverResponse;
    const RESOURCE: &'static str = resource::BLOCK_EVENT;

    fn block(&self, _: &Ledger, _: &Envelope, block: Block) -> Result<DeliverResponse, LedgerError> {
        Ok(DeliverResponse { r#type: Some(Type::Block(block)) })
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

    fn block(&self, ledger: &Ledger, _: &Envelope, block: Block) -> Result<DeliverResponse, LedgerError> {
        Ok(DeliverResponse { r#type: Some(Type::FilteredBlock(filtered_block(ledger.channel_id(), &block))) })
    }

    fn status(status: Status) -> DeliverResponse {
        FullBlocks::status(status)
    }
}

#[derive(Clone)]
pub(super) struct BlocksWithPrivateData(pub(super) Arc<dyn PrivateDataAccess>);

impl Form for BlocksWithPrivateData {
    type Response = DeliverResponse;
    const RESOURCE: &'static str = resource::BLOCK_EVENT;

    fn block(&self, ledger: &Ledger, request: &Envelope, block: Block) -> Result<DeliverResponse, LedgerError> {
        let number = block.header.as_ref().map_or(0, |header| header.number);
        let private_data_map = self.0.readable(ledger, number, request)?;
        let block = BlockAndPrivateData { block: Some(block), private_data_map };
        Ok(DeliverResponse { r#type: Some(Type::BlockAndPrivateData(block)) })
    }

    fn status(status: Status) -> DeliverResponse {
        FullBlocks::status(status)
    }
}

impl std::fmt::Debug for DeliverService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DeliverService").field("deliverer", &self.deliverer).finish_non_exhaustive()
    }
}
