//! Stops the versions of chaincode that upgrades have put out of use. (Fabric 1.4 leaves them running until the peer stops,
//! and its documentation has operators remove the containers.)
//!
//! Invariant: a version is stopped only while no channel of this peer has it. A transaction that runs on it may end, for as
//! long as a transaction may take; then its stream is closed. One that has read the definition of before the upgrade may
//! launch the old version once more, so it is looked for again after that time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};

use super::ChaincodeSupport;
use crate::container::Ccid;
use crate::ledger::{LedgerProvider, ReplacedChaincode};

/// How often a chaincode that is to be stopped is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Stops versions that are out of use.
#[derive(Clone)]
pub struct Retirement {
    support: ChaincodeSupport,
    ledgers: Arc<LedgerProvider>,
}

impl Retirement {
    /// Of chaincode that was launched by `support` for the channels of `ledgers`.
    pub fn new(support: ChaincodeSupport, ledgers: Arc<LedgerProvider>) -> Self {
        Self { support, ledgers }
    }

    /// Stops what it is told of, side by side, until nobody can tell it of any more.
    pub async fn run(self, mut replaced: UnboundedReceiver<ReplacedChaincode>) {
        while let Some(ReplacedChaincode { name, version }) = replaced.recv().await {
            tokio::spawn(self.clone().retire(Ccid::new(name, version)));
        }
    }

    async fn retire(self, ccid: Ccid) {
        let patience = self.support.config().execute_timeout;
        self.stop(&ccid, patience).await;
        tokio::time::sleep(patience).await;
        self.stop(&ccid, patience).await;
    }

    /// Stops it once it is idle, or its time is up.
    async fn stop(&self, ccid: &Ccid, patience: Duration) {
        let id = ccid.to_string();
        let ended = async {
            while self.support.registry().handler(&id).is_some_and(|handler| handler.is_busy()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, ended).await.is_err() {
            warn!("chaincode {id} is out of use and still has transactions after {} s", patience.as_secs());
        }
        // An upgrade back to it may have come meanwhile, or it is on another channel.
        if self.is_instantiated(ccid).await {
            return;
        }
        match self.support.stop(ccid).await {
            Ok(true) => info!("chaincode {id} is out of use: stopped"),
            Ok(false) => {}
            Err(error) => warn!("chaincode {id} is out of use and was not stopped: {error}"),
        }
    }

    async fn is_instantiated(&self, ccid: &Ccid) -> bool {
        let (ledgers, Ccid { name, version }) = (Arc::clone(&self.ledgers), ccid.clone());
        let asked = tokio::task::spawn_blocking(move || ledgers.has_instantiated(&name, &version));
        asked.await.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests;
