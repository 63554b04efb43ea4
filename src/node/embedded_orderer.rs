//! The orderers in this process: one for each channel whose blocks this node may sign.
//!
//! Invariant: a channel has one only if its policy `BlockValidation` accepts the embedded orderer's signature. Blocks of
//! another's making would be refused by every other peer of the channel.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::channel::Bundle;
use crate::config::DevelopmentConfig;
use crate::ledger::Ledger;
use crate::msp::Signer;
use crate::ordering::{BatchConfig, BlockValidator, Orderer, Orderers};

const BLOCK_VALIDATION: &str = "/Channel/Orderer/BlockValidation";

/// What an orderer is started with.
pub(super) struct EmbeddedOrderer {
    pub(super) orderers: Arc<Orderers>,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) batches: BatchConfig,
    pub(super) validator: Arc<dyn BlockValidator>,
    /// The runtime that orderers run on: not that of the guests.
    pub(super) runtime: Handle,
}

impl EmbeddedOrderer {
    /// Starts the channel's orderer, if the channel is ordered here.
    pub(super) fn start(&self, ledger: Arc<Ledger>, bundle: &Bundle) {
        let channel = bundle.channel();
        if !self.may_sign_blocks(bundle) {
            tracing::warn!(
                "[{channel}] is ordered elsewhere ({}), and this version fetches no blocks from there: what is joined stays at \
                 the height it has",
                ordering_service(bundle).join(", ")
            );
            return;
        }
        let _runtime = self.runtime.enter();
        let orderer = Orderer::start(ledger, Arc::clone(&self.signer), self.batches, Arc::clone(&self.validator));
        self.orderers.insert(channel, Arc::new(orderer));
    }

    fn may_sign_blocks(&self, bundle: &Bundle) -> bool {
        let identity = bundle.msps().deserialize(&self.signer.serialize());
        identity.is_ok_and(|identity| bundle.policies().evaluate(BLOCK_VALIDATION, &[identity]).is_ok())
    }
}

/// Where the channel's ordering service listens: at the addresses that its organisations name, else at the channel's.
pub(super) fn ordering_service(bundle: &Bundle) -> Vec<String> {
    let organisations = bundle.orderer().into_iter().flat_map(|orderer| orderer.organisations().values());
    let endpoints: Vec<_> = organisations.flat_map(|organisation| &organisation.endpoints).cloned().collect();
    if endpoints.is_empty() { bundle.orderer_addresses().to_vec() } else { endpoints }
}

/// How the embedded orderer cuts blocks.
pub(super) fn batch_config(config: &DevelopmentConfig) -> BatchConfig {
    BatchConfig {
        max_message_count: usize::try_from(config.max_message_count).unwrap_or(usize::MAX),
        absolute_max_bytes: config.absolute_max_bytes.as_usize(),
        preferred_max_bytes: config.preferred_max_bytes.as_usize(),
        batch_timeout: config.batch_timeout,
    }
}
