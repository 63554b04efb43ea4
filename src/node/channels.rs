//! The channels at start: those on disk, or the development channel when there is none.

use std::sync::Arc;

use anyhow::{Context, anyhow};

use crate::channel::genesis::{OrderingSettings, development_block};
use crate::channel::{Bundle, ChannelResources, Channels};
use crate::config::{ByteSize, Config};
use crate::ledger::LedgerProvider;
use crate::msp::Signer;
use crate::msp::development::DevelopmentMsp;
use crate::msp::folder::verifying_config;
use crate::ordering::{Orderer, Orderers};
use crate::scc::Registry;
use crate::validation::TransactionValidator;

/// Reads the configuration of each channel on disk. A node without channels makes its development channel.
pub(super) fn open(
    config: &Config,
    ledgers: &LedgerProvider,
    channels: &Channels,
    made: &DevelopmentMsp,
) -> anyhow::Result<()> {
    if ledgers.channels().is_empty() {
        let organisation = verifying_config(&made.organisation, &made.mspid)?;
        let channel = &config.development.channel;
        let block = development_block(channel, &organisation, &ordering_settings(config))
            .context("the development channel cannot be made (network.development)")?;
        ledgers.create(channel, &block).with_context(|| format!("channel {channel} cannot be made"))?;
        tracing::info!("made the development channel {channel}");
    }
    for name in ledgers.channels() {
        let ledger = ledgers.get(&name).ok_or_else(|| anyhow!("channel {name} has gone"))?;
        let number = ledger.last_config_block_number();
        let block = ledger
            .block_by_number(number)?
            .ok_or_else(|| anyhow!("channel {name} lacks its configuration block {number}"))?;
        // The node serves its other channels all the same.
        if let Err(error) = Bundle::from_config_block(&block).and_then(|bundle| channels.put(bundle)) {
            tracing::error!("channel {name} is not opened: {error}");
        }
    }
    Ok(())
}

/// The embedded orderer of each channel.
pub(super) fn start_orderers(
    ledgers: &LedgerProvider,
    signer: &Arc<dyn Signer>,
    channels: &Arc<Channels>,
    registry: &Arc<Registry>,
) -> Arc<Orderers> {
    let orderers = Arc::new(Orderers::default());
    let resources: Arc<dyn ChannelResources> = channels.clone();
    let validator = Arc::new(TransactionValidator::new(resources, registry.clone()));
    for ledger in channels.names().iter().filter_map(|name| ledgers.get(name)) {
        let channel = ledger.channel_id().to_owned();
        let orderer = Orderer::start(ledger, Arc::clone(signer), channels, validator.clone());
        orderers.insert(&channel, Arc::new(orderer));
    }
    orderers
}

fn ordering_settings(config: &Config) -> OrderingSettings {
    let development = &config.development;
    let bytes = |size: ByteSize| u32::try_from(size.as_u64()).unwrap_or(u32::MAX);
    OrderingSettings {
        addresses: vec![config.peer.address.clone()],
        max_message_count: development.max_message_count,
        absolute_max_bytes: bytes(development.absolute_max_bytes),
        preferred_max_bytes: bytes(development.preferred_max_bytes),
        batch_timeout: development.batch_timeout,
    }
}
