//! Chaincode that a test plays, for an endorser whose chaincode is not what is tested.

use async_trait::async_trait;
use selvedge_proto::protos::ChaincodeInput;

use crate::chaincode::{ContainerInfo, ExecuteError, Executed, TransactionParams};
use crate::container::Ccid;
use crate::endorser::ChaincodeExecutor;

/// What each invocation comes to, as a function. It is never deployed.
pub struct Played<F>(pub F);

#[async_trait]
impl<F> ChaincodeExecutor for Played<F>
where
    F: Fn(&TransactionParams, &Ccid, ChaincodeInput) -> Executed + Send + Sync,
{
    async fn execute(
        &self,
        params: &TransactionParams,
        ccid: &Ccid,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        Ok((self.0)(params, ccid, input))
    }

    async fn execute_init(
        &self,
        _: &TransactionParams,
        _: &ContainerInfo,
        _: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        unreachable!("nothing is deployed")
    }
}
