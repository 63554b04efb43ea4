//! What an operator sees of running chaincode, and does to it. Not of Fabric, whose operators ask the Docker engine.
//!
//! Invariant: a system chaincode is the peer's own; nothing here ends it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use thiserror::Error;

use super::{ChaincodeInstance, ChaincodeSupport};
use crate::container::{Ccid, ContainerState, LogLines, LogRequest, StopContainer, VmError, VmType};
use crate::platforms::Platform;

/// What is known of one chaincode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeStatus {
    /// `name:version`.
    pub id: String,
    /// What runs it; none where nobody here launched it, as in development mode.
    pub vm: Option<VmType>,
    /// `created`, `established` or `ready`, Fabric's names for the states of its stream; where it has none, how far its
    /// container has come.
    pub state: String,
    /// Since when.
    pub since: SystemTime,
    /// What its container holds of memory, in bytes; none where nobody counts that.
    pub memory: Option<u64>,
    /// Executions that it has not answered yet.
    pub transactions: usize,
}

/// Why something cannot be done with a chaincode.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdministrationError {
    /// Nothing runs under that id, and no VM keeps anything of it.
    #[error("there is no chaincode {0} here; `selvedge chaincode ps` lists what there is (NAME:VERSION)")]
    NotFound(String),
    /// It belongs to the peer.
    #[error("{0} is a system chaincode of this peer; chaincode.system in core.yaml switches it off")]
    System(String),
    /// Somebody else started it.
    #[error("chaincode {0} was not launched by this peer: whoever started it has its log, and can stop it")]
    NotLaunched(String),
    /// Once stopped, nothing of it is left but its package.
    #[error(
        "nothing of chaincode {id} is left to remove: {platform} runs in no container, and its package stays installed"
    )]
    NothingLeft {
        /// `name:version`.
        id: String,
        /// What it is written for.
        platform: Platform,
    },
    /// It must be stopped before.
    #[error("chaincode {0} runs; stop it first")]
    Running(String),
    /// The VM failed.
    #[error(transparent)]
    Vm(#[from] VmError),
}

impl ChaincodeSupport {
    /// All chaincode that runs, or of which a container is left, by id.
    pub async fn chaincodes(&self) -> Vec<ChaincodeStatus> {
        let mut all = BTreeMap::new();
        for (vm, container) in self.controller().containers().await {
            let id = container.ccid.to_string();
            let status = ChaincodeStatus {
                id: id.clone(),
                vm: Some(vm),
                state: container.state.to_string(),
                since: container.since,
                memory: container.memory,
                transactions: 0,
            };
            all.insert(id, status);
        }
        for handler in self.registry().statuses() {
            let status = all.entry(handler.id.clone()).or_insert_with(|| ChaincodeStatus {
                id: handler.id,
                vm: None,
                state: String::new(),
                since: handler.since,
                memory: None,
                transactions: 0,
            });
            handler.state.clone_into(&mut status.state);
            status.since = handler.since;
            status.transactions = handler.transactions;
        }
        all.into_values().collect()
    }

    /// Stops a chaincode of users. What it executes ends with `chaincode stream terminated`; the next call launches it
    /// again.
    ///
    /// # Errors
    /// [`AdministrationError`].
    pub async fn stop_chaincode(&self, id: &str) -> Result<(), AdministrationError> {
        let (ccid, container) = self.container(id).await?;
        let (vm, state) = container.ok_or_else(|| AdministrationError::NotLaunched(id.to_owned()))?;
        if matches!(state, ContainerState::Exited(_)) {
            return Ok(());
        }
        Ok(self.controller().stop(vm, &ccid, StopContainer::default()).await?)
    }

    /// Removes what was made to run a chaincode of users that does not run: containers, images. The next call makes it anew.
    ///
    /// # Errors
    /// [`AdministrationError`].
    pub async fn remove_chaincode(&self, id: &str) -> Result<(), AdministrationError> {
        let ccid = match self.container(id).await {
            Ok((_, Some((_, ContainerState::Exited(_))))) | Err(AdministrationError::NotFound(_)) => ccid(id),
            Ok((_, Some(_))) => return Err(AdministrationError::Running(id.to_owned())),
            Ok((_, None)) => return Err(AdministrationError::NotLaunched(id.to_owned())),
            Err(error) => return Err(error),
        };
        if let Ok(code) = self.environment().packages.code_package(&ccid).await
            && code.platform.vm() != VmType::Docker
        {
            return Err(AdministrationError::NothingLeft { id: id.to_owned(), platform: code.platform });
        }
        // An image outlives its container, and no list has it.
        match self.controller().remove(VmType::Docker, &ccid).await {
            Err(VmError::Request { source, .. }) if matches!(*source, VmError::NotFound(_)) => {
                Err(AdministrationError::NotFound(id.to_owned()))
            }
            Err(VmError::UnsupportedType(_)) => Err(AdministrationError::NotFound(id.to_owned())),
            removed => Ok(removed?),
        }
    }

    /// What a chaincode wrote to its log.
    ///
    /// # Errors
    /// [`AdministrationError`].
    pub async fn logs(&self, id: &str, request: LogRequest) -> Result<LogLines, AdministrationError> {
        let vm = match self.container(id).await {
            Ok((_, Some((vm, _)))) => vm,
            Ok((_, None)) => return Err(AdministrationError::NotLaunched(id.to_owned())),
            Err(AdministrationError::NotFound(_)) => return self.logs_of_the_gone(id, request).await,
            Err(error) => return Err(error),
        };
        Ok(self.controller().logs(vm, &ccid(id), request).await?)
    }

    /// What a chaincode in a container of Docker's wrote outlives it; of others, nothing is kept.
    async fn logs_of_the_gone(&self, id: &str, request: LogRequest) -> Result<LogLines, AdministrationError> {
        let package = self.environment().packages.code_package(&ccid(id)).await;
        let not_found = || AdministrationError::NotFound(id.to_owned());
        if package.as_ref().is_ok_and(|code| code.platform.vm() != VmType::Docker) {
            return Err(not_found());
        }
        match self.controller().logs(VmType::Docker, &ccid(id), request).await {
            Err(VmError::NotFound(_) | VmError::UnsupportedType(_)) => Err(not_found()),
            // Of what nobody installed, no engine need be asked.
            Err(_) if package.is_err() => Err(not_found()),
            lines => Ok(lines?),
        }
    }

    /// The container of a chaincode of users; none where it runs and was not launched here.
    async fn container(&self, id: &str) -> Result<(Ccid, Option<(VmType, ContainerState)>), AdministrationError> {
        let ccid = ccid(id);
        if self.environment().system_chaincodes.is_sys_cc(&ccid.name) {
            return Err(AdministrationError::System(ccid.name));
        }
        let containers = self.controller().containers().await;
        let container = containers.into_iter().find(|(_, container)| container.ccid == ccid);
        if container.is_none() && self.registry().handler(id).is_none() {
            return Err(AdministrationError::NotFound(id.to_owned()));
        }
        Ok((ccid, container.map(|(vm, container)| (vm, container.state))))
    }
}

fn ccid(id: &str) -> Ccid {
    let ChaincodeInstance { name, version, .. } = ChaincodeInstance::parse(id);
    Ccid::new(name, version)
}
