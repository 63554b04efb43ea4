//! The channels of a node: those on disk at the start, and those that it joins (Fabric: `core/peer/peer.go`).
//!
//! A channel is its ledger, its configuration among the [`Channels`], its orderer where it is ordered here, and an INIT of
//! every system chaincode. Invariants: it is made by a task of its own, which no client's going stops; a crash leaves no
//! channel or a whole one, because the ledger is the last thing that can fail and the rest is made of it at every start.

use std::sync::{Arc, OnceLock, Weak};

use anyhow::Context;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::RwLock;

use super::embedded_orderer::{EmbeddedOrderer, ordering_service, ordering_settings};
use crate::channel::genesis::development_block;
use crate::channel::{Bundle, Channels, GenesisBlock};
use crate::config::Config;
use crate::container::Budget;
use crate::ledger::{Ledger, LedgerError, LedgerProvider};
use crate::msp::development::DevelopmentMsp;
use crate::msp::folder::verifying_config;
use crate::ordering::CreatedChannels;
use crate::scc::{ChannelJoiner, Deployer, JoinError};

/// Opens and joins channels.
pub(super) struct ChannelManager {
    ledgers: Arc<LedgerProvider>,
    channels: Arc<Channels>,
    embedded: EmbeddedOrderer,
    /// Where INITs run.
    work: Handle,
    /// None until the chaincode side is there.
    deployer: OnceLock<Deployer>,
    phase: RwLock<Phase>,
}

/// Held for reading while a channel is made, so that whoever closes waits for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
}

impl ChannelManager {
    pub(super) fn new(
        ledgers: Arc<LedgerProvider>,
        channels: Arc<Channels>,
        embedded: EmbeddedOrderer,
        work: Handle,
    ) -> Arc<Self> {
        let (deployer, phase) = (OnceLock::new(), RwLock::new(Phase::Open));
        Arc::new(Self { ledgers, channels, embedded, work, deployer, phase })
    }

    /// Takes up the configuration of every channel on disk. One that cannot be used is left out, and the log says why.
    pub(super) fn open(&self) {
        for ledger in self.ledgers.channels().iter().filter_map(|name| self.ledgers.get(name)) {
            tracing::info!("Loading chain {}", ledger.channel_id());
            let opened = configuration(&ledger).and_then(|bundle| Ok(self.channels.put(bundle)?));
            if let Err(error) = opened {
                tracing::error!("Failed to load chain {}({error})", ledger.channel_id());
            }
        }
    }

    /// Deploys the system chaincodes, for the peer and on every channel that is open; then starts the orderers.
    pub(super) async fn start(&self, deployer: Deployer) -> anyhow::Result<()> {
        let channels = self.channels.names();
        let deployer = self.deployer.get_or_init(|| deployer).clone();
        let deployment = self.work.spawn(async move {
            deployer.deploy_sys_ccs("", None).await;
            deployer.deploy_on_channels(channels).await;
        });
        deployment.await?;
        for channel in self.channels.names() {
            if let Some(ledger) = self.ledgers.get(&channel) {
                self.embedded.start(ledger);
            }
        }
        Ok(())
    }

    /// Joins no more channels. Returns when those whose ledgers are being made are there.
    pub(super) async fn close(&self) {
        *self.phase.write().await = Phase::Closed;
    }

    /// Makes the channel, all but the INITs.
    async fn create(self: &Arc<Self>, genesis: GenesisBlock) -> Result<(), JoinError> {
        let phase = self.phase.read().await;
        if *phase == Phase::Closed {
            return Err(JoinError::Stopping);
        }
        let channel = genesis.channel.clone();
        if self.ledgers.get(&channel).is_some() {
            return Err(LedgerError::LedgerExists.into());
        }
        let this = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            // Fabric makes the ledger first, and keeps it when the configuration turns out to be unusable.
            let bundle = usable(&genesis)?;
            let _naming = this.embedded.created.naming();
            if let Some(created) = this.embedded.created.get(&genesis.channel)
                && !created.begins_with(&genesis.block)
            {
                let (channel, path) = (genesis.channel, created.path.clone());
                return Err(JoinError::CreatedOtherwise { channel, path });
            }
            let ledger = this.ledgers.create(&genesis.channel, &genesis.block)?;
            this.embedded.created.joined(&genesis.channel);
            Ok::<_, JoinError>((bundle, ledger))
        });
        let (bundle, ledger) = made.await.map_err(|died| {
            tracing::error!("the task that made the ledger of channel {channel} died: {died}");
            JoinError::Died
        })??;
        self.channels.put(bundle)?;
        self.embedded.start(ledger);
        tracing::info!("[{channel}] joined");
        Ok(())
    }

    async fn join(self: Arc<Self>, genesis: GenesisBlock, budget: Budget) -> Result<(), JoinError> {
        let channel = genesis.channel.clone();
        self.create(genesis).await?;
        if let Some(deployer) = self.deployer.get() {
            deployer.deploy_sys_ccs(&channel, Some(budget)).await;
        }
        Ok(())
    }
}

/// The manager as the capability holds it: what runs chaincode must not keep alive what it is part of.
pub(super) struct Joiner(pub(super) Weak<ChannelManager>);

#[async_trait]
impl ChannelJoiner for Joiner {
    async fn join(&self, genesis: GenesisBlock, budget: Budget) -> Result<(), JoinError> {
        let manager = self.0.upgrade().ok_or(JoinError::Stopping)?;
        let work = manager.work.clone();
        let channel = genesis.channel.clone();
        work.spawn(manager.join(genesis, budget)).await.unwrap_or_else(|died| {
            tracing::error!("the task that joined channel {channel} died: {died}");
            Err(JoinError::Died)
        })
    }
}

/// The configuration that a channel is to be made with, if this node can serve it.
fn usable(genesis: &GenesisBlock) -> Result<Bundle, JoinError> {
    let bundle = Bundle::from_config(&genesis.channel, &genesis.config)?;
    bundle.check_supported()?;
    if bundle.orderer().is_none() {
        return Err(JoinError::NoOrderer);
    }
    if ordering_service(&bundle).is_empty() {
        return Err(JoinError::NoOrdererAddress);
    }
    Ok(bundle)
}

fn configuration(ledger: &Ledger) -> anyhow::Result<Bundle> {
    let number = ledger.last_config_block_number();
    let block = ledger.block_by_number(number)?;
    let block = block.with_context(|| format!("it lacks its configuration block {number}"))?;
    let bundle = Bundle::from_config_block(&block)?;
    let of = bundle.channel();
    anyhow::ensure!(of == ledger.channel_id(), "its configuration is that of channel {of}; give its file that name");
    Ok(bundle)
}

/// Makes the development channel, where there is no channel yet and the node's identities are of its own making: another
/// organisation's identity would be nobody in a channel of the development organisation.
pub(super) fn make_development_channel(
    config: &Config,
    ledgers: &LedgerProvider,
    made: &DevelopmentMsp,
    created: &CreatedChannels,
) -> anyhow::Result<()> {
    if !ledgers.channels().is_empty() || !ledgers.unopened().is_empty() {
        return Ok(());
    }
    match &config.development.channel {
        Some(channel) if created.get(channel).is_some() => {
            tracing::info!(
                "channel {channel} was created here and waits to be joined: no other one of that name is made"
            );
        }
        Some(channel) if config.peer.msp_config_path.is_none() => {
            let organisation = verifying_config(&made.organisation, &made.mspid)?;
            let block = development_block(channel, &organisation, &ordering_settings(config))
                .context("the development channel cannot be made (network.development)")?;
            ledgers.create(channel, &block).with_context(|| format!("channel {channel} cannot be made"))?;
            tracing::info!("made the development channel {channel}");
        }
        _ => tracing::info!("there is no channel yet; an administrator has this node join one by cscc's JoinChain"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::msp::development;

    #[test]
    fn a_channel_that_waits_to_be_joined_keeps_its_name_from_the_development_channel() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = |name: &str| folder.path().join(name);
        let environment = Environment { variables: Default::default(), directory: path("nowhere"), executable: None };
        let config = Config::load(&environment).expect("is valid");
        let made = development::ensure(&path("msp"), &config.peer.local_msp_id).expect("an MSP");
        let ledgers = LedgerProvider::open(&path("ledgers")).expect("a directory");
        let organisation = verifying_config(&made.organisation, &made.mspid).expect("its definition");
        let block = development_block("mychannel", &organisation, &ordering_settings(&config)).expect("a block");
        let bundle = Bundle::from_config_block(&block).expect("a configuration");
        let open = |name: &str| CreatedChannels::open(&path(name), |_| false).expect("a directory");
        let (none, one) = (open("none"), open("one"));
        one.add(&one.naming(), block, bundle).expect("kept");

        make_development_channel(&config, &ledgers, &made, &one).expect("nothing is made");
        assert!(ledgers.channels().is_empty());
        make_development_channel(&config, &ledgers, &made, &none).expect("the channel is made");
        assert_eq!(ledgers.channels(), ["mychannel"]);
    }
}
