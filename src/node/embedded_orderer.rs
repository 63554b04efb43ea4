//! The orderers in this process: one for each channel whose blocks this node may sign.
//!
//! Invariant: a channel has one only if its policy `BlockValidation` accepts the embedded orderer's signature, and if this
//! node has every capability that the channel asks of its ordering service. Other blocks would be refused by every other
//! peer of the channel, or made by other rules than its configuration's. The orderer takes no configuration that would end
//! that.

use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

use crate::channel::creation::ChannelTemplate;
use crate::channel::genesis::OrderingSettings;
use crate::channel::{Bundle, Channels};
use crate::committer::Committer;
use crate::config::{ByteSize, Config};
use crate::ledger::{Ledger, LedgerProvider, ReplacedChaincode};
use crate::msp::development::DevelopmentMsp;
use crate::msp::folder::verifying_config;
use crate::msp::{Signer, SigningIdentity};
use crate::ordering::{ChannelCreation, CreatedChannels, Orderer, Orderers, may_sign_blocks};
use crate::validation::BlockValidator;

/// The organisation of the embedded orderer on channels that are created here by a node with an MSP of its own. The
/// orderer's authority is of the node's making, so it cannot be that of the node's organisation.
const ORDERER_MSP: &str = "EmbeddedOrdererMSP";

/// What an orderer is started with.
pub(super) struct EmbeddedOrderer {
    pub(super) orderers: Arc<Orderers>,
    pub(super) channels: Arc<Channels>,
    /// The orderer, by each name that its organisation may have on a channel.
    pub(super) signers: Vec<Arc<dyn Signer>>,
    /// Channels that were made here and are not joined yet.
    pub(super) created: Arc<CreatedChannels>,
    pub(super) validator: Arc<dyn BlockValidator>,
    /// Where it is told which versions of chaincode are out of use.
    pub(super) replaced: UnboundedSender<ReplacedChaincode>,
    /// The runtime that orderers run on: not that of the guests.
    pub(super) runtime: Handle,
}

impl EmbeddedOrderer {
    /// Starts the orderer of a channel that is open, if the channel is ordered here.
    pub(super) fn start(&self, ledger: Arc<Ledger>) {
        let channel = ledger.channel_id().to_owned();
        let Some(bundle) = self.channels.get(&channel) else { return };
        let Some(signer) = self.signers.iter().find(|signer| may_sign_blocks(&***signer, &bundle)) else {
            tracing::warn!(
                "[{channel}] is ordered elsewhere ({}), and this version fetches no blocks from there: what is joined stays at \
                 the height it has",
                ordering_service(&bundle).join(", ")
            );
            return;
        };
        if let Some(Err(missing)) = bundle.orderer().map(|orderer| orderer.capabilities().check_supported()) {
            tracing::error!("[channel {channel}] incompatible: {missing}. It is served, and not ordered");
            return;
        }
        let _runtime = self.runtime.enter();
        let committer = Committer::new(ledger, Arc::clone(&self.channels), Arc::clone(&self.validator));
        let committer = committer.telling(self.replaced.clone());
        let orderer = Orderer::start(committer, Arc::clone(signer), &self.channels);
        self.orderers.insert(&channel, Arc::new(orderer));
    }
}

/// The embedded orderer's identity by each name that its organisation may have, the one for new channels first.
pub(super) fn signers(config: &Config, made: &DevelopmentMsp) -> anyhow::Result<Vec<Arc<dyn Signer>>> {
    let own = config.peer.local_msp_id.as_str();
    let names = match &config.peer.msp_config_path {
        None => vec![own],
        Some(_) => vec![ORDERER_MSP, own],
    };
    let load = |name: &str| Ok(Arc::new(SigningIdentity::load(&made.orderer, name)?) as Arc<dyn Signer>);
    names.into_iter().map(load).collect()
}

/// What makes channels: of the node's own organisation, which is also the one that orders them, unless it has an MSP of its
/// own.
pub(super) fn creation(
    config: &Config,
    made: &DevelopmentMsp,
    signer: Arc<dyn Signer>,
    ledgers: Arc<LedgerProvider>,
    created: Arc<CreatedChannels>,
) -> anyhow::Result<ChannelCreation> {
    let own = &config.peer.local_msp_id;
    let (folder, orderers) = match &config.peer.msp_config_path {
        None => (&made.organisation, own.as_str()),
        Some(folder) => (folder, ORDERER_MSP),
    };
    let member =
        verifying_config(folder, own).context("the node's organisation, for channels that are created here")?;
    let orderers = verifying_config(&made.organisation, orderers)?;
    let ordering = ordering_settings(config);
    let limit = usize::try_from(ordering.absolute_max_bytes).unwrap_or(usize::MAX);
    let template = ChannelTemplate::new(&config.development.consortium, &[member], &orderers, &ordering);
    Ok(ChannelCreation::new(template, signer, ledgers, created, limit))
}

/// How blocks are cut, and where the orderer is found, on channels that are made here.
pub(super) fn ordering_settings(config: &Config) -> OrderingSettings {
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
    use crate::validation::TransactionValidator;

    fn embedded(network: &Network, folder: &std::path::Path) -> EmbeddedOrderer {
        let channels = Arc::clone(&network.channels);
        EmbeddedOrderer {
            orderers: Arc::default(),
            validator: Arc::new(TransactionValidator::new(Arc::clone(&channels), Arc::new(Sccs))),
            channels,
            signers: vec![Arc::new(SigningIdentity::load(&network.msp.orderer, MSPID).expect("the orderer's key"))],
            created: Arc::new(CreatedChannels::open(folder, |_| false).expect("a directory")),
            replaced: tokio::sync::mpsc::unbounded_channel().0,
            runtime: Handle::current(),
        }
    }

    #[tokio::test]
    async fn a_channel_that_asks_its_ordering_service_for_more_is_not_ordered_here() {
        let network = Network::new();
        let ledger = network.parts.ledgers.ledger(CHANNEL).expect("a ledger");
        let folder = tempfile::tempdir().expect("a directory");
        let able = embedded(&network, folder.path());
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
        let unable = embedded(&network, folder.path());
        unable.start(ledger);
        assert!(unable.orderers.get(CHANNEL).is_none(), "its rules are not known here");
    }
}
