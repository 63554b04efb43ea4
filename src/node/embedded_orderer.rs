//! The orderers in this process: one for each channel whose blocks this node may sign.
//!
//! Invariant: a channel has one only if its policy `BlockValidation` accepts the embedded orderer's signature: other
//! blocks would be refused by every other peer of the channel. The orderer takes no configuration that would end that.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::channel::{Bundle, Channels};
use crate::ledger::Ledger;
use crate::msp::Signer;
use crate::ordering::{BlockValidator, Orderer, Orderers, may_sign_blocks};

/// What an orderer is started with.
pub(super) struct EmbeddedOrderer {
    pub(super) orderers: Arc<Orderers>,
    pub(super) channels: Arc<Channels>,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) validator: Arc<dyn BlockValidator>,
    /// The runtime that orderers run on: not that of the guests.
    pub(super) runtime: Handle,
}

impl EmbeddedOrderer {
    /// Starts the orderer of a channel that is open, if the channel is ordered here.
    pub(super) fn start(&self, ledger: Arc<Ledger>) {
        let channel = ledger.channel_id().to_owned();
        let Some(bundle) = self.channels.get(&channel) else { return };
        if !may_sign_blocks(&*self.signer, &bundle) {
            tracing::warn!(
                "[{channel}] is ordered elsewhere ({}), and this version fetches no blocks from there: what is joined stays at \
                 the height it has",
                ordering_service(&bundle).join(", ")
            );
            return;
        }
        let _runtime = self.runtime.enter();
        let orderer = Orderer::start(ledger, Arc::clone(&self.signer), &self.channels, Arc::clone(&self.validator));
        self.orderers.insert(&channel, Arc::new(orderer));
    }
}

/// Where the channel's ordering service listens: at the addresses that its organisations name, else at the channel's.
pub(super) fn ordering_service(bundle: &Bundle) -> Vec<String> {
    let organisations = bundle.orderer().into_iter().flat_map(|orderer| orderer.organisations().values());
    let endpoints: Vec<_> = organisations.flat_map(|organisation| &organisation.endpoints).cloned().collect();
    if endpoints.is_empty() { bundle.orderer_addresses().to_vec() } else { endpoints }
}
