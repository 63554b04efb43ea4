//! Starts the system chaincodes and sends each its INIT, once for the peer and once for every channel (Fabric 1.4:
//! `Provider.DeploySysCCs`).
//!
//! The first INIT of a chaincode launches it; the later ones find it running. What an INIT writes is thrown away: it runs
//! on a simulator that nobody asks for results. A chaincode that fails its INIT is logged and the others go on, as in
//! Fabric; but `deployed` is only said of those that are.

use std::sync::{Arc, Mutex};

use selvedge_proto::protos::ChaincodeInput;
use thiserror::Error;
use tokio::task::JoinSet;
use tracing::{error, info};
use uuid::Uuid;

use super::{Registry, SystemChaincode};
use crate::chaincode::{ChaincodeSupport, ExecuteError, Ledgers, TransactionParams};
use crate::ledger::LedgerError;

/// Shim status for success (Fabric: `shim.OK`).
const OK: i32 = 200;

/// Deploys system chaincodes. Cheap to clone.
#[derive(Clone)]
pub struct Deployer {
    registry: Arc<Registry>,
    support: ChaincodeSupport,
    ledgers: Arc<dyn Ledgers>,
}

/// Why a system chaincode is not deployed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The peer is not in the channel. (Fabric panics.)
    #[error("unexpected nil ledger for channel {0}")]
    NoLedger(String),
    /// The channel's ledger gave no simulator.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chaincode did not come up or failed its INIT.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The chaincode's INIT returned another status than 200.
    #[error("{0}")]
    Refused(String),
}

impl Deployer {
    /// A deployer of the registry's chaincodes.
    pub fn new(registry: Arc<Registry>, support: ChaincodeSupport, ledgers: Arc<dyn Ledgers>) -> Self {
        Self { registry, support, ledgers }
    }

    /// Deploys all system chaincodes on one channel, one after the other; on `""` for the peer itself.
    pub async fn deploy_sys_ccs(&self, channel: &str) {
        for chaincode in self.registry.chaincodes() {
            let (name, path) = (&chaincode.name, chaincode.path.display());
            if !chaincode.runs() {
                info!("system chaincode ({name},{path}) disabled");
                continue;
            }
            match self.deploy_sys_cc(channel, chaincode).await {
                Ok(()) => info!("system chaincode {name}/{channel}({path}) deployed"),
                Err(cause) => error!("system chaincode {name}/{channel}({path}) not deployed: {cause}"),
            }
        }
    }

    /// Deploys all system chaincodes on many channels at once.
    pub async fn deploy_on_channels(&self, channels: impl IntoIterator<Item = String>) {
        let mut deployments = JoinSet::new();
        for channel in channels {
            let deployer = self.clone();
            deployments.spawn(async move { deployer.deploy_sys_ccs(&channel).await });
        }
        while let Some(deployed) = deployments.join_next().await {
            if let Err(panic) = deployed {
                error!("the deployment of system chaincodes on a channel panicked: {panic}");
            }
        }
    }

    /// Deploys one system chaincode on one channel.
    ///
    /// # Errors
    /// [`DeployError`] when it is not deployed there.
    pub async fn deploy_sys_cc(&self, channel: &str, chaincode: &SystemChaincode) -> Result<(), DeployError> {
        let mut params = TransactionParams {
            txid: Uuid::new_v4().to_string(),
            channel_id: channel.to_owned(),
            ..TransactionParams::default()
        };
        if !channel.is_empty() {
            let ledger = self.ledgers.ledger(channel).ok_or_else(|| DeployError::NoLedger(channel.to_owned()))?;
            params.simulator = Some(Arc::new(Mutex::new(ledger.new_tx_simulator(&params.txid)?)));
        }
        let args = chaincode.init_args.iter().cloned().map(Into::into).collect();
        let input = ChaincodeInput { args, ..ChaincodeInput::default() };
        let executed = self.support.execute_init(&params, &self.registry.info(chaincode), input).await?;
        match executed.response.status {
            OK => Ok(()),
            _ => Err(DeployError::Refused(executed.response.message)),
        }
    }
}
