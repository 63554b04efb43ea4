//! The embedded ordering service and the Deliver services (Fabric: `orderer`, `common/deliver`, `core/peer/deliverevents.go`).
//!
//! | here | in Fabric |
//! |---|---|
//! | [`Orderer`], [`BatchConfig`] | `orderer/consensus/solo`, `orderer/common/{blockcutter,msgprocessor}`, `multichannel.BlockWriter` |
//! | [`ChannelCreation`], [`CreatedChannels`] | `msgprocessor.SystemChannel`, `multichannel.Registrar` |
//! | [`AtomicBroadcastService`] | `orderer/common/{broadcast,server}` |
//! | [`DeliverService`] | `core/peer/deliverevents.go` |
//! | [`DeliverMetrics`] | `common/deliver/metrics.go` |
//! | [`DeliverAccess`] | the policy checks of Deliver |
//! | [`TlsBinding`] | `comm.NewBindingInspector` |
//!
//! What it leaves to others: who may receive ([`DeliverAccess`]), whether a transaction's signatures hold
//! ([`crate::validation`]), and what follows from a configuration ([`crate::channel`], [`crate::committer`]).
//!
//! Invariant: a block reaches a client only after it is durable, and every transaction of it was judged.

mod access;
mod atomic_broadcast;
mod batch;
mod binding;
mod block_writer;
mod created_channel;
mod created_channels;
mod creation;
mod deliver;
mod deliver_metrics;
mod deliver_service;
mod filtered;
mod orderer;
mod processor;
mod seek;
#[cfg(test)]
mod testing;

pub use access::{DeliverAccess, OrdererDirectory, PrivateDataAccess};
pub use atomic_broadcast::{AtomicBroadcastService, Orderers};
pub use batch::BatchConfig;
pub use binding::TlsBinding;
pub use created_channels::{CreatedChannel, CreatedChannels, CreatedChannelsError, Naming};
pub use creation::ChannelCreation;
pub use deliver::{DeliverConfig, Deliverer};
pub use deliver_metrics::DeliverMetrics;
pub use deliver_service::DeliverService;
pub use filtered::filtered_block;
pub use orderer::Orderer;
pub use processor::may_sign_blocks;
