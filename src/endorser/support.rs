//! What the endorser needs of others (Fabric: `endorser.Support`).

use async_trait::async_trait;
use selvedge_proto::protos::ChaincodeInput;

use crate::chaincode::{ChaincodeSupport, ContainerInfo, ExecuteError, Executed, TransactionParams};
use crate::container::Ccid;

/// Runs chaincode (Fabric: `ChaincodeSupport.Execute` and `ExecuteLegacyInit`).
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

    /// Runs a chaincode's Init, when nothing is defined yet (Fabric: `ExecuteLegacyInit`).
    ///
    /// # Errors
    /// As for [`Self::execute`].
    async fn execute_init(
        &self,
        params: &TransactionParams,
        info: &ContainerInfo,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError>;
}

#[async_trait]
impl ChaincodeExecutor for ChaincodeSupport {
    async fn execute(
        &self,
        params: &TransactionParams,
        ccid: &Ccid,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        Self::execute(self, params, ccid, input).await
    }

    async fn execute_init(
        &self,
        params: &TransactionParams,
        info: &ContainerInfo,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        Self::execute_init(self, params, info, input).await
    }
}
