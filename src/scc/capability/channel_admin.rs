//! The capability `channel-admin`: joining a channel (for cscc).
//!
//! Invariants: nobody joins whose proposal does not satisfy `cscc/JoinChain`; a join is the [`ChannelJoiner`]'s own task, so
//! what becomes of the transaction that asked for it does not matter to it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;
use wasmtime::component::{Linker, Resource};

use super::check;
use crate::chaincode::AccessControl;
use crate::channel::{ChannelError, GenesisBlock, GenesisError};
use crate::container::Budget;
use crate::container::wasm::peer_bindings::channel_admin::{Error, OfChannel};
use crate::container::wasm::{Blob, Capability, InstanceState, wait_for_guests};
use crate::ledger::LedgerError;

const INTERFACE: &str = "selvedge:peer/channel-admin@0.1.0";
const JOIN_CHAIN: &str = "cscc/JoinChain";

/// Joins channels (Fabric: `peer.CreateChainFromBlock`, `peer.InitChain`).
#[async_trait]
pub trait ChannelJoiner: Send + Sync + 'static {
    /// Resolves when the channel is there and its system chaincodes have had their INIT, which ride on `budget` as long as
    /// it lasts. Dropping the future leaves the join running.
    ///
    /// # Errors
    /// [`JoinError`]: there is no trace of the channel then, or it was there before.
    async fn join(&self, genesis: GenesisBlock, budget: Budget) -> Result<(), JoinError>;
}

/// Why a channel was not joined. The texts are Fabric's where Fabric has them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The ledger could not be made, or is there.
    #[error("cannot create ledger from genesis block: {0}")]
    Ledger(#[from] LedgerError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ChannelError),
    /// The configuration does not say who orders.
    #[error("no orderer config in bundle")]
    NoOrderer,
    /// The configuration does not say where the ordering service is.
    #[error("no ordering service endpoint provided in configuration block")]
    NoOrdererAddress,
    /// The node's own orderer made the channel, and from another block.
    #[error(
        "this node's orderer has created a channel {channel} with another first block: join it with that block, or stop the \
         node and remove {}",
        path.display()
    )]
    CreatedOtherwise {
        /// The channel.
        channel: String,
        /// Where that block is.
        path: PathBuf,
    },
    /// The node stops.
    #[error("the peer is shutting down and joins no channel")]
    Stopping,
    /// The task that joined died.
    #[error("the peer failed while it joined the channel; its log has the cause")]
    Died,
}

/// The host side of `selvedge:peer/channel-admin`.
#[derive(Clone)]
pub struct ChannelAdminCapability {
    joiner: Arc<dyn ChannelJoiner>,
    access: Arc<dyn AccessControl>,
}

impl ChannelAdminCapability {
    /// Has `joiner` join for those whom `access` lets.
    pub fn new(joiner: Arc<dyn ChannelJoiner>, access: Arc<dyn AccessControl>) -> Self {
        Self { joiner, access }
    }

    /// The block, if it is one and the transaction's creator may join with it. Fabric's order: the block first.
    fn admit(&self, state: &InstanceState, block: &Bytes) -> Result<GenesisBlock, Error> {
        let genesis = GenesisBlock::decode(block).map_err(refused)?;
        let denied = |reason| Error::AccessDenied(OfChannel { channel: genesis.channel.clone(), reason });
        check(&*self.access, state, JOIN_CHAIN, "").map_err(denied)?;
        Ok(genesis)
    }
}

fn refused(error: GenesisError) -> Error {
    let reason = error.to_string();
    match error {
        GenesisError::NoBlock(_) => Error::NoBlock(reason),
        GenesisError::NoChannel(_) => Error::NoChannel(reason),
        GenesisError::NoConfiguration { channel, .. } => Error::NoConfiguration(OfChannel { channel, reason }),
    }
}

impl Capability for ChannelAdminCapability {
    fn name(&self) -> &str {
        "channel-admin"
    }

    fn link(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        let this = self.clone();
        linker.instance(INTERFACE)?.func_wrap_async("join", move |store, (block,): (Resource<Blob>,)| {
            let this = this.clone();
            Box::new(async move {
                let block = store.data().blob(&block)?;
                let genesis = match this.admit(store.data(), &block) {
                    Ok(genesis) => genesis,
                    Err(error) => return Ok((Err(error),)),
                };
                let joining = this.joiner.join(genesis, store.data().nested_budget());
                let joined = wait_for_guests(store, joining).await?;
                Ok((joined.map_err(|error| Error::Refused(error.to_string())),))
            })
        })
    }
}
