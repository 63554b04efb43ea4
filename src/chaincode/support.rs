//! The way in: executes transactions on chaincode, launching it where needed (Fabric: `ChaincodeSupport`).
//!
//! Invariant: a root transaction gets a budget here, and every execution below it shares that budget.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage, Response};
use tokio::sync::Semaphore;
use tracing::error;

use super::container_runtime::ContainerRuntime;
use super::handler::{AtOnce, Origin};
use super::message::Type;
use super::metrics::ChaincodeMetrics;
use super::runtime_launcher::RuntimeLauncher;
use super::transaction_context::Execution;
use super::{
    ChaincodeConfig, ChaincodeMode, ContainerInfo, Environment, ExecuteError, Executed, Handler, HandlerRegistry,
    InvokeError, LaunchError, TransactionParams,
};
use crate::container::{
    Budget, Ccid, ChaincodeStream, PeerEnd, StartContainer, StopContainer, StreamAcceptor, StreamError, VmController,
    VmError, VmType,
};
use crate::ledger::SharedSimulator;
use crate::platforms::Platform;

/// The chaincode side of the peer. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct ChaincodeSupport {
    shared: Arc<Shared>,
}

struct Shared {
    config: ChaincodeConfig,
    ready_payload: Bytes,
    registry: Arc<HandlerRegistry>,
    launcher: RuntimeLauncher,
    environment: Environment,
    metrics: Arc<ChaincodeMetrics>,
    scans: Arc<Semaphore>,
    at_once: AtOnce,
}

impl ChaincodeSupport {
    /// The chaincode side of a peer with these VMs.
    pub fn new(
        config: ChaincodeConfig,
        controller: Arc<VmController>,
        environment: Environment,
        metrics: Arc<ChaincodeMetrics>,
    ) -> Self {
        let registry = Arc::new(HandlerRegistry::new(config.mode));
        let launcher = RuntimeLauncher {
            runtime: Arc::new(ContainerRuntime {
                controller,
                packages: Arc::clone(&environment.packages),
                authenticator: environment.authenticator.clone(),
                settings: config.launch.clone(),
            }),
            registry: Arc::clone(&registry),
            startup_timeout: config.startup_timeout,
            metrics: Arc::clone(&metrics),
        };
        let ready_payload = config.runtime_params.map(|params| params.encode()).unwrap_or_default();
        let scans = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, NonZeroUsize::get)));
        let at_once = AtOnce::default();
        Self {
            shared: Arc::new(Shared {
                config,
                ready_payload,
                registry,
                launcher,
                environment,
                metrics,
                scans,
                at_once,
            }),
        }
    }

    /// One for each processor: whoever may look at every row of a chaincode takes one, and a thread of its own.
    pub(super) fn scans(&self) -> &Arc<Semaphore> {
        &self.shared.scans
    }

    /// Sends a TRANSACTION to the chaincode and waits for its response.
    ///
    /// # Errors
    /// [`ExecuteError`], whose text is what the client sees.
    pub async fn execute(
        &self,
        params: &TransactionParams,
        ccid: &Ccid,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        let answer = self.invoke(params.clone(), ccid, input).await;
        conclude(&params.txid, ccid, answer)
    }

    /// Sends an INIT to the chaincode and waits for its response (Fabric: `ExecuteLegacyInit`). What to launch is given:
    /// a chaincode that is being instantiated has no definition yet.
    ///
    /// # Errors
    /// [`ExecuteError`], whose text is what the client sees.
    pub async fn execute_init(
        &self,
        params: &TransactionParams,
        info: &ContainerInfo,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        let id = info.ccid.to_string();
        if self.registry().handler(&id).is_none() {
            self.bring_up(info).await.map_err(InvokeError::LaunchInit)?;
        }
        let handler = self.registry().handler(&id);
        let handler = handler.ok_or_else(|| no_handler(&params.channel_id, &info.ccid))?;
        let answer = self.send(Execution::Init, params.clone(), &info.ccid, input, &handler).await;
        conclude(&params.txid, &info.ccid, answer)
    }

    /// Where chaincode is told to register: `host:port`.
    pub fn peer_address(&self) -> &str {
        &self.config().launch.peer_address
    }

    /// The arguments, variables and files with which a chaincode of this platform would be started now. With TLS there is a
    /// new certificate among them, and an earlier one for `id` registers no more.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn launch_config(&self, id: &str, platform: Platform) -> Result<StartContainer, LaunchError> {
        self.shared.launcher.runtime.launch_config(id, platform)
    }

    /// The handler of a chaincode, which is launched if it does not run.
    ///
    /// # Errors
    /// [`InvokeError`] when it has no definition or does not come up.
    pub async fn launch(
        &self,
        channel: &str,
        ccid: &Ccid,
        simulator: Option<&SharedSimulator>,
    ) -> Result<Arc<Handler>, InvokeError> {
        let id = ccid.to_string();
        if let Some(handler) = self.registry().handler(&id) {
            return Ok(handler);
        }
        let info = match self.shared.environment.definitions.container_info(&ccid.name, simulator).await {
            Ok(info) => info,
            Err(source) => {
                if self.config().mode == ChaincodeMode::Dev {
                    error!(
                        "You are attempting to perform an action other than Deploy on Chaincode that is not ready and \
                         you are in developer mode. Did you forget to Deploy your chaincode?"
                    );
                }
                return Err(InvokeError::ContainerInfo { channel: channel.to_owned(), ccid: ccid.clone(), source });
            }
        };
        let launched = self.bring_up(&info).await;
        launched.map_err(|source| InvokeError::Launch { channel: channel.to_owned(), ccid: ccid.clone(), source })?;
        self.registry().handler(&id).ok_or_else(|| no_handler(channel, ccid))
    }

    async fn bring_up(&self, info: &ContainerInfo) -> Result<(), LaunchError> {
        let launched = self.shared.launcher.launch(info).await;
        if launched.is_err() && self.config().mode == ChaincodeMode::Dev {
            let id = &info.ccid;
            error!(
                "chaincode {id} could not be launched and has not registered; if it is one to be started by hand \
                 (chaincode.mode: dev), start it with CORE_CHAINCODE_ID_NAME={id}"
            );
        }
        launched
    }

    /// The handler that stands in the registry under this id.
    #[cfg(test)]
    pub(crate) fn registered(&self, id: &str) -> Option<Arc<Handler>> {
        self.registry().handler(id)
    }

    /// Sends a TRANSACTION and waits for the message that answers it (Fabric: `Invoke`).
    pub(super) async fn invoke(
        &self,
        params: TransactionParams,
        ccid: &Ccid,
        input: ChaincodeInput,
    ) -> Result<ChaincodeMessage, InvokeError> {
        let handler = self.launch(&params.channel_id, ccid, params.simulator.as_ref()).await?;
        self.send(Execution::Invoke, params, ccid, input, &handler).await
    }

    async fn send(
        &self,
        execution: Execution,
        params: TransactionParams,
        ccid: &Ccid,
        input: ChaincodeInput,
        handler: &Handler,
    ) -> Result<ChaincodeMessage, InvokeError> {
        let budget = params.budget.clone().unwrap_or_else(|| {
            let config = self.config();
            Budget::root(Instant::now() + timeout(config, ccid, &input), config.fuel)
        });
        Ok(handler.execute(execution, params, budget, ccid, &input).await?)
    }

    /// Stops a chaincode that this peer launched, whatever runs on it; says whether there was one (Fabric: `Stop`).
    ///
    /// # Errors
    /// The VM's.
    pub async fn stop(&self, ccid: &Ccid) -> Result<bool, VmError> {
        match self.registry().launched(&ccid.to_string()) {
            Some(info) => self.shared.launcher.stop(&info).await.map(|()| true),
            // A service that was dialled again registers without a launch, and between two tries it has no stream.
            None => match self.controller().stop(VmType::Server, ccid, StopContainer::default()).await {
                Ok(()) => Ok(true),
                Err(VmError::UnsupportedType(_)) => Ok(false),
                Err(VmError::Request { source, .. }) if matches!(*source, VmError::NotFound(_)) => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// Whether requests are answered by whoever reads them.
    pub(super) fn at_once(&self) -> &AtOnce {
        &self.shared.at_once
    }

    pub(super) fn controller(&self) -> &VmController {
        &self.shared.launcher.runtime.controller
    }

    pub(super) fn config(&self) -> &ChaincodeConfig {
        &self.shared.config
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.shared.environment
    }

    pub(super) fn registry(&self) -> &HandlerRegistry {
        &self.shared.registry
    }

    pub(super) fn metrics(&self) -> &Arc<ChaincodeMetrics> {
        &self.shared.metrics
    }

    pub(super) fn ready_payload(&self) -> Bytes {
        self.shared.ready_payload.clone()
    }
}

impl StreamAcceptor for ChaincodeSupport {
    fn accept(&self, stream: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd> {
        Handler::new(self.clone(), stream, Origin::Accepted)
    }

    fn accept_dialled(&self, stream: Arc<dyn ChaincodeStream>, ccid: &Ccid) -> Result<Arc<dyn PeerEnd>, StreamError> {
        if self.environment().system_chaincodes.is_sys_cc(&ccid.name) {
            return Err(StreamError(format!("{} is a system chaincode of this peer", ccid.name)));
        }
        Ok(Handler::new(self.clone(), stream, Origin::Dialled))
    }
}

/// An install unpacks, checks and may even build a package, so it has a time limit of its own, as in Fabric 2.
fn timeout(config: &ChaincodeConfig, ccid: &Ccid, input: &ChaincodeInput) -> Duration {
    let function = input.args.first().map(|function| &function[..]);
    match (ccid.name.as_str(), function) {
        ("lscc", Some(b"install")) | ("_lifecycle", Some(b"InstallChaincode")) => {
            config.install_timeout.max(config.execute_timeout)
        }
        _ => config.execute_timeout,
    }
}

fn no_handler(channel: &str, ccid: &Ccid) -> InvokeError {
    InvokeError::NoHandler { channel: channel.to_owned(), ccid: ccid.clone() }
}

/// Makes of the chaincode's last message what the endorser wants (Fabric: `processChaincodeExecutionResult`).
fn conclude(txid: &str, ccid: &Ccid, answer: Result<ChaincodeMessage, InvokeError>) -> Result<Executed, ExecuteError> {
    let message = answer.map_err(|source| ExecuteError::Failed { txid: txid.to_owned(), source: Box::new(source) })?;
    if message.r#type() != Type::Completed {
        return Err(ExecuteError::Returned(String::from_utf8_lossy(&message.payload).into_owned()));
    }
    let response = Response::decode(message.payload)
        .map_err(|source| ExecuteError::MalformedResponse { txid: txid.to_owned(), source })?;
    let event = message.chaincode_event.map(|mut event| {
        event.chaincode_id = ccid.name.clone();
        event.tx_id = txid.to_owned();
        event
    });
    Ok(Executed { response, event })
}
