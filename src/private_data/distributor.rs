//! Where private data goes when its transaction is endorsed (Fabric: `gossip/privdata/distributor.go`,
//! `gossip_service.DistributePrivateData`).
//!
//! Invariant: when `distribute` has returned, the data is in this peer's transient store and with as many other peers as
//! its collections ask for. This peer knows no others, so a collection that asks for one cannot be written here.

use std::sync::Arc;

use async_trait::async_trait;
use selvedge_proto::rwset::TxPvtReadWriteSet;
use selvedge_proto::transientstore::TxPvtReadWriteSetWithConfigInfo;
use thiserror::Error;

use crate::ledger::collections::Collections;
use crate::ledger::{LedgerError, TransientStore};

/// Why private data was not handed on. The texts are Fabric's; the `%s` in one of them is a slip of its own.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DistributionError {
    /// The collection asks for copies on more peers than there are.
    #[error(
        "failed to distribute private collection, txID {txid}, channel %s{channel}: could not build private data \
         dissemination plan for chaincode {chaincode} and collection {collection}: required to disseminate to at least \
         {required} peers, but know of only 0 eligible peers"
    )]
    TooFewPeers {
        /// The transaction.
        txid: String,
        /// The channel.
        channel: String,
        /// The chaincode.
        chaincode: String,
        /// The collection.
        collection: String,
        /// Its `required_peer_count`.
        required: i32,
    },
    /// The transient store failed.
    #[error("the private data could not be kept until its transaction is committed: {0}")]
    Store(#[from] LedgerError),
    /// Whoever wrote to the store died.
    #[error("the task that kept private data died")]
    Died,
}

/// Hands private data on before its transaction is endorsed (Fabric: `endorser.privateDataDistributor`).
#[async_trait]
pub trait PrivateDataDistributor: Send + Sync {
    /// Hands on what `txid` wrote to collections.
    ///
    /// # Errors
    /// When it is not where its collections want it. The transaction must not be endorsed then.
    async fn distribute(
        &self,
        channel: &str,
        txid: &str,
        private: TxPvtReadWriteSetWithConfigInfo,
    ) -> Result<(), DistributionError>;
}

/// Distributes to nobody but this peer.
pub struct LocalDistributor {
    transient: Arc<TransientStore>,
}

impl LocalDistributor {
    /// Keeps what is endorsed in `transient`.
    pub fn new(transient: Arc<TransientStore>) -> Self {
        Self { transient }
    }
}

#[async_trait]
impl PrivateDataDistributor for LocalDistributor {
    async fn distribute(
        &self,
        channel: &str,
        txid: &str,
        private: TxPvtReadWriteSetWithConfigInfo,
    ) -> Result<(), DistributionError> {
        check_peer_counts(channel, txid, &private)?;
        let transient = Arc::clone(&self.transient);
        let (channel, txid) = (channel.to_owned(), txid.to_owned());
        let kept =
            tokio::task::spawn_blocking(move || transient.persist(&channel, &txid, private.endorsed_at, &private));
        kept.await.map_err(|died| {
            tracing::error!("the task that kept private data died: {died}");
            DistributionError::Died
        })??;
        Ok(())
    }
}

fn check_peer_counts(
    channel: &str,
    txid: &str,
    private: &TxPvtReadWriteSetWithConfigInfo,
) -> Result<(), DistributionError> {
    let none = TxPvtReadWriteSet::default();
    for namespace in &private.pvt_rwset.as_ref().unwrap_or(&none).ns_pvt_rwset {
        let package = private.collection_configs.get(&namespace.namespace).cloned().unwrap_or_default();
        let collections = Collections::from(package);
        for set in &namespace.collection_pvt_rwset {
            let required = collections.get(&set.collection_name).map_or(0, |config| config.required_peer_count);
            if required > 0 {
                return Err(DistributionError::TooFewPeers {
                    txid: txid.to_owned(),
                    channel: channel.to_owned(),
                    chaincode: namespace.namespace.clone(),
                    collection: set.collection_name.clone(),
                    required,
                });
            }
        }
    }
    Ok(())
}
