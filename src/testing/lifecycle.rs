//! Installing and instantiating chaincode, as an administrator of the development organisation.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{
    ChaincodeDeploymentSpec, ChaincodeId, ChaincodeInput, ChaincodeSpec, Response, TxValidationCode, chaincode_spec,
};

use super::{Boxed, TestPeer};

/// What lscc is asked to instantiate.
#[derive(Clone, Debug)]
pub struct Deployment<'a> {
    /// The channel.
    pub channel: &'a str,
    /// The chaincode's name.
    pub name: &'a str,
    /// The version that is to be.
    pub version: &'a str,
    /// The arguments of its Init.
    pub init: &'a [&'a str],
    /// A marshalled `SignaturePolicyEnvelope`; empty for any member of the channel.
    pub policy: Bytes,
    /// A marshalled `CollectionConfigPackage`.
    pub collections: Option<Bytes>,
}

impl<'a> Deployment<'a> {
    /// Of a chaincode whose Init has the argument `init`, for any member of the development channel.
    pub fn new(name: &'a str, version: &'a str) -> Self {
        Self { channel: "mychannel", name, version, init: &["init"], policy: Bytes::new(), collections: None }
    }

    /// lscc's arguments.
    pub fn args(&self, function: &'static str) -> Vec<Bytes> {
        let id = ChaincodeId { name: self.name.into(), version: self.version.into(), ..ChaincodeId::default() };
        let args = self.init.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect();
        let spec = ChaincodeSpec {
            r#type: chaincode_spec::Type::Golang as i32,
            chaincode_id: Some(id),
            input: Some(ChaincodeInput { args, ..ChaincodeInput::default() }),
            ..ChaincodeSpec::default()
        };
        let spec = ChaincodeDeploymentSpec { chaincode_spec: Some(spec), ..ChaincodeDeploymentSpec::default() };
        let mut args =
            vec![function.into(), self.channel.to_owned().into(), spec.encode_to_vec().into(), self.policy.clone()];
        args.extend(["escc".into(), "vscc".into()]);
        args.extend(self.collections.clone());
        args
    }
}

impl TestPeer {
    /// What lscc answers to the installation of a package.
    ///
    /// # Errors
    /// The endorser's refusal.
    pub fn install<'a>(&'a self, package: &'a Bytes) -> Boxed<'a, anyhow::Result<Response>> {
        Box::pin(async move {
            let admin = self.admin()?;
            self.call(&*admin, "lscc", vec![Bytes::from_static(b"install"), package.clone()]).await
        })
    }

    /// Has lscc instantiate a chaincode, and waits until that is committed.
    ///
    /// # Errors
    /// A refusal on the way, with its text.
    pub fn instantiate<'a>(&'a self, deployment: &'a Deployment<'a>) -> Boxed<'a, anyhow::Result<TxValidationCode>> {
        self.deploy("deploy", deployment)
    }

    /// The same for an upgrade.
    ///
    /// # Errors
    /// As for [`Self::instantiate`].
    pub fn upgrade<'a>(&'a self, deployment: &'a Deployment<'a>) -> Boxed<'a, anyhow::Result<TxValidationCode>> {
        self.deploy("upgrade", deployment)
    }

    fn deploy<'a>(
        &'a self,
        function: &'static str,
        deployment: &'a Deployment<'a>,
    ) -> Boxed<'a, anyhow::Result<TxValidationCode>> {
        Box::pin(async move {
            let client = self.client_on(self.admin()?, deployment.channel).await?;
            client.submit_bytes("lscc", deployment.args(function)).await
        })
    }
}
