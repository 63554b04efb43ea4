//! What the endorser needs of others (Fabric: `endorser.Support`).

use std::sync::Arc;

use async_trait::async_trait;
use selvedge_proto::protos::ChaincodeInput;

use crate::chaincode::{ExecuteError, Executed, TransactionParams};
use crate::container::Ccid;
use crate::ledger::Ledger;

/// Which chaincodes are system chaincodes.
pub trait SystemChaincodes: Send + Sync {
    /// Whether `name` is reserved for a system chaincode, be it enabled or not.
    fn is_sys_cc(&self, name: &str) -> bool;

    /// Whether it is one that clients may not call.
    fn is_sys_cc_and_not_invokable_external(&self, name: &str) -> bool;

    /// The version that all system chaincodes have.
    fn version(&self) -> String;
}

/// Runs chaincode (Fabric: `ChaincodeSupport.Execute`).
#[async_trait]
pub trait ChaincodeExecutor: Send + Sync {
    /// Runs one transaction; the chaincode is launched first if it does not run.
    ///
    /// # Errors
    /// When there is no answer; displayed, the error is what the client sees.
    async fn execute(
        &self,
        params: &TransactionParams,
        ccid: &Ccid,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError>;
}

/// The ledgers of the channels that this peer has joined.
pub trait Ledgers: Send + Sync {
    /// The channel's ledger.
    fn ledger(&self, channel: &str) -> Option<Arc<Ledger>>;
}
