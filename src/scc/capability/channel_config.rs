//! The capability `channel-config`: which channels there are, and how they are configured (for cscc).
//!
//! Invariant: nothing is said, not even that a channel does not exist, before the creator of the transaction's own signed
//! proposal was found to satisfy the ACL of the function.

use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::common::{Block, ChannelHeader, Envelope, HeaderType, Payload};
use selvedge_proto::protos::{ChannelInfo, ChannelQueryResponse, ConfigTree};
use wasmtime::component::{Linker, Resource};

use super::blocking::Blocking;
use super::{Store, check, push};
use crate::chaincode::{AccessControl, Ledgers};
use crate::channel::Channels;
use crate::container::wasm::peer_bindings::channel_config::Error;
use crate::container::wasm::{Blob, Capability, InstanceState};
use crate::decode::decode;

const INTERFACE: &str = "selvedge:peer/channel-config@0.1.0";

/// Updates that are simulated at a time. Each may have more signatures to verify than a thread should spend on a client.
const SIMULATIONS: usize = 2;

/// The host side of `selvedge:peer/channel-config`.
#[derive(Clone)]
pub struct ChannelConfigCapability {
    channels: Arc<Channels>,
    ledgers: Arc<dyn Ledgers>,
    access: Arc<dyn AccessControl>,
    simulations: Blocking,
}

impl ChannelConfigCapability {
    /// Tells of these channels, whose blocks are in `ledgers`, as far as `access` lets the creator of a proposal.
    pub fn new(channels: Arc<Channels>, ledgers: Arc<dyn Ledgers>, access: Arc<dyn AccessControl>) -> Self {
        Self { channels, ledgers, access, simulations: Blocking::new(SIMULATIONS) }
    }

    fn check(&self, state: &InstanceState, function: &str, channel: &str) -> Result<(), Error> {
        check(&*self.access, state, &format!("cscc/{function}"), channel).map_err(Error::AccessDenied)
    }

    fn names(&self) -> Bytes {
        let channels = self.channels.names().into_iter().map(|channel_id| ChannelInfo { channel_id }).collect();
        ChannelQueryResponse { channels }.encode_to_vec().into()
    }

    fn config_block(&self, channel: &str) -> Result<Block, Error> {
        if self.channels.get(channel).is_none() {
            return Err(Error::UnknownChannel);
        }
        let ledger = self.ledgers.ledger(channel).ok_or(Error::UnknownChannel)?;
        let number = ledger.last_config_block_number();
        let block = ledger.block_by_number(number).map_err(|error| Error::Refused(error.to_string()))?;
        block.ok_or_else(|| Error::Refused(format!("channel {channel} lacks its configuration block {number}")))
    }

    async fn simulate(
        &self,
        state: &mut InstanceState,
        channel: String,
        update: Bytes,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(denied) = self.check(state, "SimulateConfigTreeUpdate", &channel) {
            return Ok(Err(denied));
        }
        let channels = Arc::clone(&self.channels);
        let simulated = self.simulations.run(move || simulate(&channels, &channel, &update));
        let died = || Err(Error::Refused("simulating the update panicked".to_owned()));
        Ok(state.wait_for(simulated).await?.unwrap_or_else(died))
    }

    fn config_tree(&self, channel: &str) -> Result<Bytes, Error> {
        let bundle = self.channels.get(channel).ok_or(Error::UnknownChannel)?;
        let tree = ConfigTree { channel_config: Some(bundle.config().clone()), resources_config: None };
        Ok(tree.encode_to_vec().into())
    }
}

fn simulate(channels: &Channels, channel: &str, update: &Bytes) -> Result<(), Error> {
    let update = config_update(update).map_err(Error::Refused)?;
    let bundle = channels.get(channel).ok_or(Error::UnknownChannel)?;
    bundle.propose(&update).map(drop).map_err(|error| Error::Refused(error.to_string()))
}

/// What the update says, if it is one (Fabric: `supportByType`).
fn config_update(bytes: &Bytes) -> Result<Envelope, String> {
    if bytes.is_empty() {
        return Err("Config delta bytes must not be nil".to_owned());
    }
    let envelope: Envelope = decode("Envelope", bytes).map_err(|error| error.cause)?;
    let payload: Payload = decode("Payload", &envelope.payload)
        .map_err(|error| format!("failed unmarshaling payload: {}", error.cause))?;
    // Fabric crashes without one.
    let header = payload.header.ok_or("envelope must have a Header")?;
    let header: ChannelHeader = decode("ChannelHeader", &header.channel_header)
        .map_err(|error| format!("failed unmarshaling payload header: {}", error.cause))?;
    match header.r#type {
        kind if kind == HeaderType::ConfigUpdate as i32 => Ok(envelope),
        kind => Err(format!("invalid payload header type: {kind}")),
    }
}

impl Capability for ChannelConfigCapability {
    fn name(&self) -> &str {
        "channel-config"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let this = self.clone();
        interface.func_wrap("channels", move |store: Store<'_>, (): ()| {
            let found = this.check(store.data(), "GetChannels", "").map(|()| this.names());
            push(store, found)
        })?;
        let this = self.clone();
        interface.func_wrap("config-block", move |store: Store<'_>, (channel,): (String,)| {
            let found = this.check(store.data(), "GetConfigBlock", &channel);
            let found = found.and_then(|()| this.config_block(&channel));
            push(store, found.map(|block| block.encode_to_vec().into()))
        })?;
        let this = self.clone();
        interface.func_wrap("config-tree", move |store: Store<'_>, (channel,): (String,)| {
            let found = this.check(store.data(), "GetConfigTree", &channel);
            let found = found.and_then(|()| this.config_tree(&channel));
            push(store, found)
        })?;
        let this = self.clone();
        interface.func_wrap_async("simulate-update", move |mut store, (channel, update): (String, Resource<Blob>)| {
            let this = this.clone();
            Box::new(async move {
                let update = store.data().blob(&update)?;
                Ok((this.simulate(store.data_mut(), channel, update).await?,))
            })
        })
    }
}
