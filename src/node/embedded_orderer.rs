//! The orderers in this process: one for each channel whose blocks this node may sign.
//!
//! Invariant: a channel has one only if its policy `BlockValidation` accepts the embedded orderer's signature, and if this
//! node has every capability that the channel asks of its ordering service. Other blocks would be refused by every other
//! peer of the channel, or made by other rules than its configuration's. The orderer takes no configuration that would end
//! that.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::channel::{Bundle, Channels};
use crate::ledger::Ledger;
use crate::msp::Signer;
use crate::ordering::{Orderer, Orderers, may_sign_blocks};
use crate::validation::BlockValidator;

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
        if let Some(Err(missing)) = bundle.orderer().map(|orderer| orderer.capabilities().check_supported()) {
            tracing::error!("[channel {channel}] incompatible: {missing}. It is served, and not ordered");
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

#[cfg(test)]
mod tests {
    use prost::Message;
    use selvedge_proto::common::{Capabilities, Capability, ConfigValue};

    use super::*;
    use crate::endorser::fixture::{CHANNEL, MSPID, Network, Sccs};
    use crate::msp::SigningIdentity;
    use crate::validation::TransactionValidator;

    fn embedded(network: &Network) -> EmbeddedOrderer {
        let channels = Arc::clone(&network.channels);
        EmbeddedOrderer {
            orderers: Arc::default(),
            validator: Arc::new(TransactionValidator::new(Arc::clone(&channels), Arc::new(Sccs))),
            channels,
            signer: Arc::new(SigningIdentity::load(&network.msp.orderer, MSPID).expect("the orderer's key")),
            runtime: Handle::current(),
        }
    }

    #[tokio::test]
    async fn a_channel_that_asks_its_ordering_service_for_more_is_not_ordered_here() {
        let network = Network::new();
        let ledger = network.parts.ledgers.ledger(CHANNEL).expect("a ledger");
        let able = embedded(&network);
        able.start(Arc::clone(&ledger));
        assert!(able.orderers.get(CHANNEL).is_some(), "the development channel is ordered here");
        able.orderers.shutdown().await;

        let mut config = network.channels.get(CHANNEL).expect("joined").config().clone();
        let orderer = config.channel_group.as_mut().and_then(|root| root.groups.get_mut("Orderer")).expect("a group");
        let asked = Capabilities { capabilities: [("V9_9".to_owned(), Capability {})].into() };
        let asked = ConfigValue { value: asked.encode_to_vec().into(), ..ConfigValue::default() };
        orderer.values.insert("Capabilities".into(), asked);
        let bundle = Bundle::from_config(CHANNEL, &config).expect("a configuration");
        network.channels.put(bundle).expect("its peers need not know it");
        let unable = embedded(&network);
        unable.start(ledger);
        assert!(unable.orderers.get(CHANNEL).is_none(), "its rules are not known here");
    }
}
