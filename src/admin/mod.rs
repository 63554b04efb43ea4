//! What an operator does to a running peer over gRPC (Fabric 1.4: `core/admin`): the service `selvedge.Containers`.
//!
//! Invariant: nothing is looked at or done for a request that no administrator of the peer's own organisation signed a short
//! while ago.

use std::time::{Duration, SystemTime};

use prost::Message;
use selvedge_proto::Timestamp;
use selvedge_proto::common::{Envelope, HeaderType};
use selvedge_proto::containers::containers_server::Containers;
use selvedge_proto::containers::operation::Operation as Call;
use selvedge_proto::containers::{
    ChaincodeList, ChaincodeStatus, Done, LogLine, Operation, ReadLogs, RemoveChaincode, StopChaincode,
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::chaincode::{AdministrationError, ChaincodeSupport};
use crate::channel::{AclChecker, LocalPolicy};
use crate::container::LogRequest;
use crate::decode::is_fresh;
use crate::ledger::transaction::BlockTransaction;

/// The last lines of a log that one request may ask for.
const MOST_LINES: u32 = 10_000;

/// The service.
pub struct ContainersService {
    chaincode: ChaincodeSupport,
    acl: AclChecker,
    window: Duration,
}

impl ContainersService {
    /// Administers this chaincode for those whom `acl` knows as administrators. `window` is how far a request's timestamp may
    /// be from the node's time (`peer.authentication.timewindow`).
    pub fn new(chaincode: ChaincodeSupport, acl: AclChecker, window: Duration) -> Self {
        Self { chaincode, acl, window }
    }

    /// What an administrator asks for.
    fn open(&self, envelope: &Envelope) -> Result<Call, Status> {
        let unreadable = |what: &str| Status::invalid_argument(format!("the request {what}"));
        let request = BlockTransaction::from_envelope(envelope).ok_or_else(|| unreadable("is not an envelope"))?;
        if request.header.r#type != HeaderType::PeerAdminOperation as i32 {
            return Err(unreadable("is not of type PEER_ADMIN_OPERATION"));
        }
        if !is_fresh(&request.header, self.window, SystemTime::now()) {
            return Err(unreadable(
                "has no timestamp, or one too far from the peer's time (peer.authentication.timewindow)",
            ));
        }
        self.acl.check_local_envelope(LocalPolicy::Admins, envelope).map_err(|error| {
            tracing::warn!("refused an administrator's request: {error}");
            Status::permission_denied("access denied: this is for the administrators of the peer's own organisation")
        })?;
        let operation = Operation::decode(request.data).map_err(|_| unreadable("holds no operation"))?;
        operation.operation.ok_or_else(|| unreadable("asks for nothing"))
    }
}

/// A request that was signed for another call.
fn misplaced() -> Status {
    Status::invalid_argument("the request asks for another operation than this call's")
}

fn refused(error: AdministrationError) -> Status {
    match &error {
        AdministrationError::NotFound(_) => Status::not_found(error.to_string()),
        AdministrationError::Vm(_) => Status::unknown(error.to_string()),
        _ => Status::failed_precondition(error.to_string()),
    }
}

#[tonic::async_trait]
impl Containers for ContainersService {
    type LogsStream = std::pin::Pin<Box<dyn Stream<Item = Result<LogLine, Status>> + Send>>;

    async fn list(&self, request: Request<Envelope>) -> Result<Response<ChaincodeList>, Status> {
        let Call::List(_) = self.open(request.get_ref())? else { return Err(misplaced()) };
        let chaincodes = self.chaincode.chaincodes().await.into_iter().map(|status| ChaincodeStatus {
            chaincode: status.id,
            vm: status.vm.map(|vm| vm.to_string()).unwrap_or_default(),
            state: status.state,
            since: Some(Timestamp::from(status.since)),
            memory: status.memory,
            transactions: u32::try_from(status.transactions).unwrap_or(u32::MAX),
        });
        Ok(Response::new(ChaincodeList { chaincodes: chaincodes.collect() }))
    }

    async fn stop(&self, request: Request<Envelope>) -> Result<Response<Done>, Status> {
        let Call::Stop(StopChaincode { chaincode }) = self.open(request.get_ref())? else { return Err(misplaced()) };
        self.chaincode.stop_chaincode(&chaincode).await.map_err(refused)?;
        tracing::info!("an administrator stopped chaincode {chaincode}");
        Ok(Response::new(Done {}))
    }

    async fn remove(&self, request: Request<Envelope>) -> Result<Response<Done>, Status> {
        let Call::Remove(RemoveChaincode { chaincode }) = self.open(request.get_ref())? else {
            return Err(misplaced());
        };
        self.chaincode.remove_chaincode(&chaincode).await.map_err(refused)?;
        tracing::info!("an administrator removed what was made to run chaincode {chaincode}");
        Ok(Response::new(Done {}))
    }

    async fn logs(&self, request: Request<Envelope>) -> Result<Response<Self::LogsStream>, Status> {
        let Call::Logs(ReadLogs { chaincode, tail, follow, previous }) = self.open(request.get_ref())? else {
            return Err(misplaced());
        };
        let request = LogRequest { tail: usize::try_from(tail.min(MOST_LINES)).unwrap_or(0), follow, previous };
        let lines = self.chaincode.logs(&chaincode, request).await.map_err(refused)?;
        let lines = lines.map(|line| match line {
            Ok(line) => Ok(LogLine { line }),
            Err(error) => Err(Status::unknown(error.to_string())),
        });
        Ok(Response::new(Box::pin(lines)))
    }
}
