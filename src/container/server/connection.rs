//! The connection to one service: dials it, serves its stream, and dials it again when it is lost.
//!
//! One task owns all of it. It sleeps in one of two places: beside the stream while there is one, and between two tries
//! while there is none; in both it hears of a launch, which wants a connection now. A connection that never carried a
//! registration is given up when it ends: its launch fails, and the next one tries anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::ChaincodeMessage;
use selvedge_proto::protos::chaincode_client::ChaincodeClient;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_stream::StreamExt;
use tonic::Status;
use tonic::transport::Channel;
use tracing::{debug, info, warn};

use super::super::grpc::{Admission, Reader, outbox, registers};
use super::super::{Ccid, StreamAcceptor, VmError};
use super::Redial;
use super::backoff::Backoff;
use super::connection_info::ChaincodeServerInfo;
use crate::tls::{self, ConnectError};

/// Between two tries to reach a service within `dial_timeout`: one that is just being started has not bound its port yet.
const RETRY: Duration = Duration::from_millis(100);

/// A connection, as the VM holds it.
pub(super) struct Connection {
    ccid: Ccid,
    launches: mpsc::Sender<Launch>,
    progress: watch::Receiver<Progress>,
    abort: AbortHandle,
    task: Mutex<JoinHandle<()>>,
    since: SystemTime,
}

/// A launch that wants a connection.
struct Launch {
    info: ChaincodeServerInfo,
    dialled: oneshot::Sender<Result<(), VmError>>,
}

/// How far it has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Launches that found a connection, or made one.
    launches: u64,
    /// Why there will be none any more.
    ended: Option<String>,
}

impl Connection {
    /// One that waits for its first launch, on the runtime `sockets`.
    pub(super) fn new(
        ccid: Ccid,
        acceptor: Arc<dyn StreamAcceptor>,
        redial: Redial,
        work: Handle,
        sockets: &Handle,
    ) -> Self {
        let (launches, requests) = mpsc::channel(1);
        let (told, progress) = watch::channel(Progress::default());
        let task = Task { ccid: ccid.clone(), acceptor, redial, work, requests, progress: told };
        let task = sockets.spawn(task.run());
        Self { ccid, launches, progress, abort: task.abort_handle(), task: Mutex::new(task), since: SystemTime::now() }
    }

    /// Whether nobody dials any more.
    pub(super) fn has_ended(&self) -> bool {
        self.progress.borrow().ended.is_some()
    }

    /// When it was made.
    pub(super) fn since(&self) -> SystemTime {
        self.since
    }

    /// Resolves when there is a connection or the service cannot be reached; with none if this connection has ended.
    pub(super) async fn dial(&self, info: ChaincodeServerInfo) -> Option<Result<(), VmError>> {
        let (dialled, told) = oneshot::channel();
        self.launches.send(Launch { info, dialled }).await.ok()?;
        told.await.ok()
    }

    /// Resolves when the connection has ended, or serves a later launch.
    ///
    /// # Errors
    /// Why, unless it was stopped.
    pub(super) async fn ended(&self) -> Result<(), VmError> {
        let mut progress = self.progress.clone();
        let launches = progress.borrow_and_update().launches;
        let ended = progress.wait_for(|now| now.ended.is_some() || now.launches != launches).await;
        // The task was cut off.
        let Ok(now) = ended else { return Ok(()) };
        let cause = now.ended.clone().unwrap_or_else(|| "a later launch has taken it over".to_owned());
        Err(VmError::Terminated { ccid: self.ccid.to_string(), cause })
    }

    /// Cuts it off.
    pub(super) fn close(&self) {
        self.abort.abort();
    }

    /// The same, and waits until nothing of it runs any more.
    pub(super) async fn stop(&self) {
        self.close();
        // Cut off is what it should be.
        let _ = (&mut *self.task.lock().await).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

struct Task {
    ccid: Ccid,
    acceptor: Arc<dyn StreamAcceptor>,
    redial: Redial,
    work: Handle,
    requests: mpsc::Receiver<Launch>,
    progress: watch::Sender<Progress>,
}

/// Why a stream ended.
struct Lost {
    cause: String,
    registered: bool,
}

impl Task {
    async fn run(mut self) {
        let cause = self.keep().await;
        // Before the channel closes, so that whoever finds it closed sees why.
        self.progress.send_modify(|progress| progress.ended = Some(cause));
    }

    /// Returns when nobody will dial any more.
    async fn keep(&mut self) -> String {
        let Some(first) = self.requests.recv().await else { return "nobody wants it".to_owned() };
        let mut info = first.info.clone();
        let mut channel = match self.launch(first).await {
            Ok(channel) => channel,
            Err(cause) => return cause,
        };
        let mut backoff = Backoff::new(self.redial);
        loop {
            let since = Instant::now();
            let lost = self.serve(channel, &info.address).await;
            if !lost.registered {
                warn!("chaincode {} did not register: {}", self.ccid, lost.cause);
                return lost.cause;
            }
            backoff.lasted(since.elapsed());
            warn!("the connection to chaincode {} at {} is lost: {}", self.ccid, info.address, lost.cause);
            channel = match self.redial(&mut info, &mut backoff).await {
                Ok(channel) => channel,
                Err(cause) => return cause,
            };
        }
    }

    /// Dials for a launch.
    async fn launch(&mut self, launch: Launch) -> Result<Channel, String> {
        let made = dial(&launch.info).await;
        let address = &launch.info.address;
        let (told, outcome) = match made {
            Ok(channel) => {
                self.progress.send_modify(|progress| progress.launches += 1);
                (Ok(()), Ok(channel))
            }
            Err(cause) => {
                let (ccid, address) = (self.ccid.to_string(), address.clone());
                (Err(VmError::Connection { ccid, address, cause: cause.clone() }), Err(cause))
            }
        };
        // A launch that was given up stops the connection.
        let _ = launch.dialled.send(told);
        outcome
    }

    /// Dials until there is a connection again, which a launch does at once; a launch that fails ends it all.
    async fn redial(&mut self, info: &mut ChaincodeServerInfo, backoff: &mut Backoff) -> Result<Channel, String> {
        let lost = Instant::now();
        loop {
            let pause = backoff.next();
            debug!("chaincode {} at {} is dialled again in {pause:?}", self.ccid, info.address);
            tokio::select! {
                launch = self.requests.recv() => {
                    let launch = launch.ok_or("nobody wants it")?;
                    *info = launch.info.clone();
                    return self.launch(launch).await;
                }
                () = tokio::time::sleep(pause) => {}
            }
            let error = tokio::select! {
                launch = self.requests.recv() => {
                    let launch = launch.ok_or("nobody wants it")?;
                    *info = launch.info.clone();
                    return self.launch(launch).await;
                }
                made = dial(info) => match made {
                    Ok(channel) => {
                        info!("chaincode {} at {} is connected again", self.ccid, info.address);
                        return Ok(channel);
                    }
                    Err(error) => error,
                },
            };
            debug!("chaincode {} at {}: {error}", self.ccid, info.address);
            if lost.elapsed() >= self.redial.give_up_after {
                let after = self.redial.give_up_after;
                warn!(
                    "chaincode {} at {} is not dialled any more after {after:?} (chaincode.ccaas.redial.giveUpAfter): {error}; \
                     the next transaction dials it",
                    self.ccid, info.address
                );
                return Err(format!("no connection for {after:?}: {error}"));
            }
        }
    }

    /// Serves the stream on a connection until it ends. A launch meanwhile has what it wants.
    async fn serve(&mut self, channel: Channel, address: &str) -> Lost {
        let registered = Arc::new(AtomicBool::new(false));
        let admission = Dialled { id: self.ccid.to_string(), registered: Arc::clone(&registered) };
        let (acceptor, work) = (Arc::clone(&self.acceptor), self.work.clone());
        let ended = stream(channel, acceptor, &self.ccid, admission, work);
        tokio::pin!(ended);
        let cause = loop {
            tokio::select! {
                cause = &mut ended => break cause,
                Some(launch) = self.requests.recv() => {
                    debug!("chaincode {} at {address} is connected already", self.ccid);
                    self.progress.send_modify(|progress| progress.launches += 1);
                    let _ = launch.dialled.send(Ok(()));
                }
            }
        };
        Lost { cause, registered: registered.load(Ordering::Acquire) }
    }
}

/// Makes a connection. As in Fabric, a service that is not there is tried until the time is up; one that proves to be
/// another is not.
async fn dial(info: &ChaincodeServerInfo) -> Result<Channel, String> {
    let until = tokio::time::Instant::now() + info.dial_timeout;
    let mut last = None;
    loop {
        let error = match tokio::time::timeout_at(until, tls::connect(&info.address, info.tls.as_ref())).await {
            Ok(Ok(channel)) => return Ok(channel),
            Ok(Err(ConnectError::Unreachable(reason))) => reason,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => last.take().unwrap_or_else(|| "it does not answer".to_owned()),
        };
        if until.saturating_duration_since(tokio::time::Instant::now()) <= RETRY {
            return Err(format!("context deadline exceeded: no connection within {:?}: {error}", info.dial_timeout));
        }
        last = Some(error);
        tokio::time::sleep(RETRY).await;
    }
}

/// Opens the stream and reads it to its end; returns why it ended. Dropping the future closes it, and the connection.
async fn stream(
    channel: Channel,
    acceptor: Arc<dyn StreamAcceptor>,
    ccid: &Ccid,
    admission: Dialled,
    work: Handle,
) -> String {
    let (outbox, messages) = outbox();
    let peer = match acceptor.accept_dialled(Arc::new(outbox.clone()), ccid) {
        Ok(peer) => peer,
        Err(refusal) => return refusal.to_string(),
    };
    // From here on, however this ends, the peer's end is told.
    let reader = Reader::new(peer, admission);
    let mut client = ChaincodeClient::new(channel).max_decoding_message_size(MAX_MESSAGE_SIZE);
    // Only the listener's side of a stream ends it with a status.
    let messages = messages.map_while(Result::ok);
    let stream = match client.connect(messages).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return format!("the service refuses protos.Chaincode/Connect: {}", status.message()),
    };
    let ended = reader.read(stream, &outbox, &work).await;
    ended.map_or_else(|| "the service has closed the stream".to_owned(), |status| status.message().to_owned())
}

/// A dialled service registers as what it was dialled for.
struct Dialled {
    id: String,
    registered: Arc<AtomicBool>,
}

impl Admission for Dialled {
    fn refusal(&mut self, message: &ChaincodeMessage) -> Option<Status> {
        let id = registers(message)?;
        if id == self.id {
            self.registered.store(true, Ordering::Release);
            return None;
        }
        // A stranger's text goes into errors and the log: no more of it than of a name.
        let shown = &id[..id.floor_char_boundary(200)];
        Some(Status::permission_denied(format!(
            "the service registers as {shown:?}, and it was dialled for {:?}: start it with this id (CHAINCODE_ID, or \
             CORE_CHAINCODE_ID_NAME), or correct the address in connection.json",
            self.id
        )))
    }
}
