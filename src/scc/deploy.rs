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
use crate::container::Budget;
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

    /// Deploys all system chaincodes on one channel, one after the other; on `""` for the peer itself. Where a transaction
    /// asked for it, the INITs ride on its budget; once that is over, and where there is none, each has its own.
    pub async fn deploy_sys_ccs(&self, channel: &str, mut budget: Option<Budget>) {
        for chaincode in self.registry.chaincodes() {
            let (name, path) = (&chaincode.name, chaincode.path.display());
            if !chaincode.runs() {
                info!("system chaincode ({name},{path}) disabled");
                continue;
            }
            match self.deploy_on(channel, chaincode, &mut budget).await {
                Ok(()) => info!("system chaincode {name}/{channel}({path}) deployed"),
                Err(cause) => error!("system chaincode {name}/{channel}({path}) not deployed: {cause}"),
            }
        }
    }

    /// Deploys one of them. What the transaction's budget did not suffice for (its time, its fuel, its depth) is done again on
    /// one of its own: a channel is not to lack an INIT because its client had little left.
    async fn deploy_on(
        &self,
        channel: &str,
        chaincode: &SystemChaincode,
        budget: &mut Option<Budget>,
    ) -> Result<(), DeployError> {
        if budget.as_ref().is_some_and(Budget::is_over) {
            // Not only left alone: the place that it keeps is for others.
            *budget = None;
        }
        if let Some(running) = budget.clone() {
            match self.deploy_sys_cc(channel, chaincode, Some(running)).await {
                Err(DeployError::Execute(cause)) => info!("INIT of {} on {channel} again: {cause}", chaincode.name),
                deployed => return deployed,
            }
        }
        self.deploy_sys_cc(channel, chaincode, None).await
    }

    /// Deploys all system chaincodes on many channels at once.
    pub async fn deploy_on_channels(&self, channels: impl IntoIterator<Item = String>) {
        let mut deployments = JoinSet::new();
        for channel in channels {
            let deployer = self.clone();
            deployments.spawn(async move { deployer.deploy_sys_ccs(&channel, None).await });
        }
        while let Some(deployed) = deployments.join_next().await {
            if let Err(panic) = deployed {
                error!("the deployment of system chaincodes on a channel panicked: {panic}");
            }
        }
    }

    /// Deploys one system chaincode on one channel: on `budget`, or on one of its own.
    ///
    /// # Errors
    /// [`DeployError`] when it is not deployed there.
    pub async fn deploy_sys_cc(
        &self,
        channel: &str,
        chaincode: &SystemChaincode,
        budget: Option<Budget>,
    ) -> Result<(), DeployError> {
        let mut params = TransactionParams {
            txid: Uuid::new_v4().to_string(),
            channel_id: channel.to_owned(),
            budget,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use selvedge_proto::protos::chaincode_message::Type;
    use selvedge_proto::protos::{ChaincodeMessage, PutState, Response};

    use super::*;
    use crate::chaincode::testing::{CHANNEL, OTHER_CHANNEL, TestChaincode, TestPeer};

    fn chaincode(name: &str) -> SystemChaincode {
        SystemChaincode {
            name: name.into(),
            enabled: true,
            whitelisted: true,
            init_args: vec![b"one".into(), b"two".into()],
            ..SystemChaincode::default()
        }
    }

    fn deployer(peer: &TestPeer) -> Deployer {
        let off = SystemChaincode { whitelisted: false, ..chaincode("off") };
        let registry = Registry::new(vec![chaincode("a"), off, chaincode("b")], "1.0");
        Deployer::new(Arc::new(registry), peer.support.clone(), peer.ledgers.clone())
    }

    /// The INITs of the next deployments, one for each channel, in the order of their channels.
    async fn inits(chaincode: &mut TestChaincode, channels: &[&str]) -> Vec<ChaincodeMessage> {
        let mut inits = Vec::new();
        for _ in channels {
            inits.push(chaincode.next().await);
        }
        inits.sort_by(|one, other| one.channel_id.cmp(&other.channel_id));
        assert_eq!(inits.iter().map(|init| init.channel_id.as_str()).collect::<Vec<_>>(), channels);
        inits
    }

    #[tokio::test]
    async fn every_channel_inits_every_chaincode_and_a_failure_stops_no_other() {
        let peer = TestPeer::new();
        let (mut a, mut b) = (peer.chaincode("a:1.0").await, peer.chaincode("b:1.0").await);
        let channels = ["", CHANNEL, OTHER_CHANNEL];
        let deployer = deployer(&peer);
        let deployment = tokio::spawn(async move { deployer.deploy_on_channels(channels.map(String::from)).await });

        // Channels do not wait for each other: all INITs are out before one is answered.
        let inits_of_a = inits(&mut a, &channels).await;
        let txids: BTreeSet<_> = inits_of_a.iter().map(|init| &init.txid).collect();
        assert_eq!(txids.len(), channels.len());
        for init in &inits_of_a {
            assert_eq!(init.r#type(), Type::Init);
            assert!(init.proposal.is_none() && Uuid::try_parse(&init.txid).is_ok());
            assert_eq!(ChaincodeInput::decode(init.payload.clone()).unwrap().args, ["one", "two"]);
            let put = PutState { key: "k".into(), value: "v".into(), collection: String::new() };
            assert_eq!(a.ask(init, Type::PutState, &put).await.is_ok(), !init.channel_id.is_empty());
            a.tell(init, Type::Error, "the first chaincode fails");
        }
        for init in inits(&mut b, &channels).await {
            b.complete(&init, "");
        }
        deployment.await.unwrap();
        let written = peer.ledgers.get(CHANNEL).unwrap().new_tx_simulator("t").unwrap().get_state("a", "k").unwrap();
        assert_eq!(written, None, "what an INIT writes is thrown away");
    }

    #[tokio::test]
    async fn why_a_chaincode_is_not_deployed() {
        let peer = TestPeer::new();
        let mut a = peer.chaincode("a:1.0").await;
        let deployer = deployer(&peer);
        let nowhere = deployer.deploy_sys_cc("nowhere", &chaincode("a"), None).await.unwrap_err();
        assert_eq!(nowhere.to_string(), "unexpected nil ledger for channel nowhere");

        let deployment = tokio::spawn(async move { deployer.deploy_sys_cc(CHANNEL, &chaincode("a"), None).await });
        let init = a.next().await;
        let response = Response { status: 500, message: "no configuration".into(), ..Response::default() };
        a.tell(&init, Type::Completed, response.encode_to_vec());
        assert_eq!(deployment.await.unwrap().unwrap_err().to_string(), "no configuration");
    }
}
