//! The second half of lscc's deploy and upgrade: the chaincode's Init, in lscc's own simulation (Fabric 1.4: the end of
//! `Endorser.callChaincode`).
//!
//! Invariant: what lscc wrote and what Init wrote are one transaction or none. lscc's answer is the client's; of Init only
//! counts whether it came to an end.

use bytes::Bytes;
use selvedge_proto::protos::{ChaincodeDeploymentSpec, ChaincodeInput};

use super::service::EndorserParts;
use super::{EndorserError, decode};
use crate::chaincode::TransactionParams;
use crate::container::Ccid;
use crate::ledger::collections::LSCC;
use crate::platforms::{Platform, PlatformError, validate_code_package};

/// A chaincode that lscc was asked to deploy.
#[derive(Debug)]
pub(super) struct Deployment {
    /// The `ChaincodeDeploymentSpec` of the arguments.
    spec: Bytes,
}

impl Deployment {
    /// The deployment that a call asks for; none if it is another one.
    pub(super) fn asked(chaincode: &str, input: &ChaincodeInput) -> Option<Self> {
        match input.args.as_slice() {
            [function, _, spec, ..] if chaincode == LSCC && matches!(&function[..], b"deploy" | b"upgrade") => {
                Some(Self { spec: spec.clone() })
            }
            _ => None,
        }
    }

    /// Runs the chaincode's Init, under the version that is to be, with the client's input.
    pub(super) async fn init(self, parts: &EndorserParts, params: &TransactionParams) -> Result<(), EndorserError> {
        let (ccid, input) = self.read().await?;
        let installed = parts.definitions.installed(&ccid).await;
        let info = installed.map_err(EndorserError::NotInstalled)?;
        if parts.system_chaincodes.is_sys_cc(&info.ccid.name) {
            let (name, channel) = (info.ccid.name, params.channel_id.clone());
            return Err(EndorserError::DeploySystemChaincode { name, channel });
        }
        if let Err(failure) = parts.executor.execute_init(params, &info, input).await {
            parts.metrics.instantiation_failed(&params.channel_id, &info.ccid);
            return Err(failure.into());
        }
        Ok(())
    }

    /// Name, version and input in the arguments. Code that there may be is checked, because the commit will; it is not what
    /// runs. Where Fabric 1.4 ends its process on a missing part, that is an error.
    async fn read(self) -> Result<(Ccid, ChaincodeInput), EndorserError> {
        let spec: ChaincodeDeploymentSpec =
            decode("ChaincodeDeploymentSpec", &self.spec).map_err(EndorserError::Payload)?;
        let (spec, code) = (spec.chaincode_spec.unwrap_or_default(), spec.code_package);
        let platform = Platform::of_spec(spec.r#type).map_err(PlatformError::from)?;
        if !code.is_empty() {
            let checked = tokio::task::spawn_blocking(move || validate_code_package(platform, &code)).await;
            checked.map_err(|_| EndorserError::NoInput("checking the code of the deployment spec panicked"))??;
        }
        let id = spec.chaincode_id.ok_or(EndorserError::NoInput("the deployment spec names no chaincode"))?;
        // Decorations are the endorser's to give.
        let input = ChaincodeInput { decorations: Default::default(), ..spec.input.unwrap_or_default() };
        Ok((Ccid::new(id.name, id.version), input))
    }
}

#[cfg(test)]
mod tests;
