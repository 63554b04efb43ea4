//! Chaincode that somebody else runs as a service, and this peer dials (Fabric 2: `core/chaincode/extcc`, and the stock
//! `ccaas` builder behind `externalbuilder.Instance.ChaincodeServerInfo`).
//!
//! A package of such a chaincode holds no code but a `connection.json` (`connection_info` says what may stand in it). To
//! start it is to dial: the service registers on that stream as chaincode in a container would, and whoever reads the
//! stream is the same (`container::grpc`). A connection that breaks is dialled again until it is there, given up, or stopped
//! (`connection`).
//!
//! Invariants: a service registers as the chaincode it was dialled for or not at all, so it can hurt no other; one that was
//! stopped leaves neither task nor socket behind; nothing of a package but its address is ever logged.

mod backoff;
mod connection;
mod connection_info;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;

use self::connection::Connection;
use self::connection_info::ChaincodeServerInfo;
use super::{
    Ccid, ContainerState, ContainerStatus, LogLines, LogRequest, StartContainer, StopContainer, StreamAcceptor, Vm,
    VmError,
};
use crate::platforms::{CONNECTION, MAX_CONNECTION, read_file};

/// How services are dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// What `{{.name}}` in a connection.json stands for, by name (Fabric: `CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG` of the
    /// stock builder).
    pub values: BTreeMap<String, String>,
    /// When a lost connection is dialled again.
    pub redial: Redial,
}

/// When a lost connection is dialled again: the pause doubles from try to try. Each is shortened by up to a half, at random,
/// so that the peers of a service that comes back do not all come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redial {
    /// The first pause.
    pub min_delay: Duration,
    /// The longest pause. A connection that lasted as long counts as good: the pauses begin anew.
    pub max_delay: Duration,
    /// After this long without a connection nobody dials any more, until the next transaction does.
    pub give_up_after: Duration,
}

impl Default for Redial {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(30),
            give_up_after: Duration::from_secs(3600),
        }
    }
}

/// The VM of chaincode that runs as a service.
pub struct ServerVm {
    config: ServerConfig,
    sockets: Handle,
    work: Handle,
    /// None before [`Self::set_acceptor`] and after [`Self::close`].
    acceptor: Mutex<Option<Arc<dyn StreamAcceptor>>>,
    connections: Mutex<HashMap<Ccid, Arc<Connection>>>,
}

impl ServerVm {
    /// A VM that polls its sockets at `sockets`, and works on what chaincode asks for at `work`.
    pub fn new(config: ServerConfig, sockets: Handle, work: Handle) -> Self {
        Self { config, sockets, work, acceptor: Mutex::default(), connections: Mutex::default() }
    }

    /// Names who takes the streams. Once, before the first start.
    pub fn set_acceptor(&self, acceptor: Arc<dyn StreamAcceptor>) {
        *self.acceptor() = Some(acceptor);
    }

    /// Closes every connection, and makes none any more. What runs there is cut off. Whoever takes the streams holds this VM
    /// in its turn, so one that is not closed is never dropped, nor are the ledgers.
    pub fn close(&self) {
        let acceptor = self.acceptor().take();
        drop(acceptor);
        let connections = std::mem::take(&mut *self.connections());
        connections.values().for_each(|connection| connection.close());
    }

    fn connection(&self, ccid: &Ccid) -> Result<Arc<Connection>, VmError> {
        let connection = self.connections().get(ccid).cloned();
        connection.ok_or_else(|| VmError::NotFound(ccid.container_name()))
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Arc<dyn StreamAcceptor>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<Ccid, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is yet to be dialled.
    fn connect(&self, ccid: &Ccid) -> Result<Arc<Connection>, VmError> {
        // Held until the connection is entered: `close` takes the acceptor, and then closes what it finds.
        let held = self.acceptor();
        let acceptor = held.clone();
        let acceptor = acceptor.ok_or_else(|| VmError::Other("nothing takes chaincode streams now".to_owned()))?;
        let made = Connection::new(ccid.clone(), acceptor, self.config.redial, self.work.clone(), &self.sockets);
        let made = Arc::new(made);
        self.connections().insert(ccid.clone(), Arc::clone(&made));
        Ok(made)
    }

    /// What the package says of its service.
    async fn server_info(&self, request: StartContainer) -> Result<ChaincodeServerInfo, VmError> {
        let code = request.code.ok_or_else(|| {
            VmError::Other("there is no package of this chaincode, which would say where its service is".to_owned())
        })?;
        let values = self.config.values.clone();
        let read = tokio::task::spawn_blocking(move || {
            let file = read_file(&code.bytes, CONNECTION, MAX_CONNECTION).map_err(|error| error.to_string())?;
            let file =
                file.ok_or("connection.json not found in source folder: the chaincode package does not hold it")?;
            ChaincodeServerInfo::read(&file, &values)
        });
        let read = read.await.unwrap_or_else(|_| Err("reading the chaincode package panicked".to_owned()));
        read.map_err(VmError::Other)
    }
}

#[async_trait]
impl Vm for ServerVm {
    /// Returns when there is a connection. One that was lost, and would be dialled after a pause, is dialled at once.
    async fn start(&self, ccid: &Ccid, request: StartContainer) -> Result<(), VmError> {
        let info = self.server_info(request).await?;
        let running = self.connections().get(ccid).cloned();
        if let Some(running) = running
            && let Some(dialled) = running.dial(info.clone()).await
        {
            return dialled;
        }
        let made = self.connect(ccid)?;
        let dialled = made.dial(info).await;
        dialled.unwrap_or_else(|| Err(VmError::Other(format!("the connection to {ccid} was closed"))))
    }

    async fn stop(&self, ccid: &Ccid, _: StopContainer) -> Result<(), VmError> {
        let connection = self.connection(ccid)?;
        self.connections().remove(ccid);
        connection.stop().await;
        Ok(())
    }

    /// Resolves when the connection is stopped, given up, or another launch has taken it over; not while it is dialled again.
    async fn wait(&self, ccid: &Ccid) -> Result<i32, VmError> {
        self.connection(ccid)?.ended().await.map(|()| 0)
    }

    /// A service that is gone is not this peer's illness.
    async fn health_check(&self) -> Result<(), VmError> {
        Ok(())
    }

    /// One that has no connection now is being dialled.
    async fn containers(&self) -> Result<Vec<ContainerStatus>, VmError> {
        let connections = self.connections();
        let status = |(ccid, connection): (&Ccid, &Arc<Connection>)| ContainerStatus {
            ccid: ccid.clone(),
            state: ContainerState::Starting,
            since: connection.since(),
            memory: None,
        };
        Ok(connections.iter().filter(|(_, connection)| !connection.has_ended()).map(status).collect())
    }

    async fn logs(&self, ccid: &Ccid, _: LogRequest) -> Result<LogLines, VmError> {
        self.connection(ccid)?;
        Err(VmError::Other(format!("chaincode {ccid} is a service: its log is where it runs")))
    }
}
