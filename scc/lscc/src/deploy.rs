//! Deploy and upgrade: what becomes of an installed package on the transaction's channel (Fabric: `executeDeployOrUpgrade`).
//!
//! The arguments name the chaincode and say how it is endorsed; what it is comes from the package. Invariants: nothing is
//! written whose instantiation policy the client does not satisfy, which the host decides, and at an upgrade that of the
//! definition before as well; the checks come in Fabric's order, because a client sees the first that fails.
//!
//! Three things differ from Fabric. The channel in the arguments has to be the transaction's, whose state is written and
//! whose validators judge the result; Fabric takes any that the peer has joined, and looks there for policies. State that
//! cannot be read is an error, and not a chaincode that is not there. Fabric's process ends where the deployment spec names no
//! chaincode; here that is an empty name.

#[cfg(test)]
mod tests;

use prost::Message;
use selvedge_sdk::{CollectionsError, Level, PackageDefinition, PackageError, Policies};

use super::{Answer, COLLECTION_SEPARATOR, Request, arg, arg_bytes, chaincode_data};
use crate::message::{ChaincodeData, ChaincodeDeploymentSpec, LifecycleEvent, decode};

/// Name, channel, deployment spec, endorsement policy, escc, vscc, collections.
const MOST_ARGS: usize = 7;

/// The name of an upgrade's event.
const UPGRADE: &str = "upgrade";

/// What is done with the definition on the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// There is none yet.
    Deploy,
    /// There is one, of another version.
    Upgrade,
}

/// What the arguments say.
struct Asked {
    name: String,
    version: String,
    policy: Vec<u8>,
    escc: String,
    vscc: String,
    /// A marshalled `CollectionConfigPackage`; empty where there is none.
    collections: Vec<u8>,
}

pub(super) fn deploy_or_upgrade(request: &Request<'_>, change: Change) -> Answer {
    let stub = request.stub;
    let channel = arg(stub, 1);
    let own = stub.channel_id();
    match channel.as_str() {
        "" => return Err("invalid channel name: ".to_owned()),
        other if other != own => return Err(format!("invalid channel name: {other} (the proposal's is '{own}')")),
        _ => {}
    }
    let policies = stub.policies();
    let capabilities = policies.capabilities()?;
    let asked = Asked::read(request, &policies, capabilities.private_channel_data)?;
    let data = asked.definition(request, change, &policies)?;
    stub.put_state(&data.name, data.encode_to_vec()).map_err(|error| error.to_string())?;
    if !asked.collections.is_empty() {
        if change == Change::Upgrade && !capabilities.collection_upgrade {
            return Err("as V1_2 capability is not enabled, collection upgrades are not allowed".to_owned());
        }
        asked.put_collections(request, &policies)?;
    }
    if change == Change::Upgrade {
        let event = LifecycleEvent { chaincode_name: asked.name };
        stub.set_event(UPGRADE, event.encode_to_vec()).map_err(|error| error.to_string())?;
    }
    Ok(data.encode_to_vec().into())
}

impl Asked {
    fn read(request: &Request<'_>, policies: &Policies<'_>, private_data: bool) -> Result<Self, String> {
        if request.count >= MOST_ARGS && !private_data {
            let missing =
                "as V1_2 or later capability is not enabled, private channel collections and data are not available";
            return Err(missing.to_owned());
        }
        if request.count > MOST_ARGS {
            return Err(request.wrong_count());
        }
        let stub = request.stub;
        let spec: ChaincodeDeploymentSpec = decode(&arg_bytes(stub, 2))
            .map_err(|error| format!("error unmarshaling ChaincodeDeploymentSpec: {error}"))?;
        let id = spec.chaincode_spec.unwrap_or_default().chaincode_id.unwrap_or_default();
        let policy = match arg_bytes(stub, 3) {
            policy if policy.is_empty() => policies.default_endorsement()?,
            policy => policy,
        };
        let plugin = |index, default: &str| match arg_bytes(stub, index) {
            name if name.is_empty() => Ok(default.to_owned()),
            name => String::from_utf8(name).map_err(|_| format!("the name of the {default} is no UTF-8")),
        };
        let (escc, vscc) = (plugin(4, "escc")?, plugin(5, "vscc")?);
        Ok(Self { name: id.name, version: id.version, policy, escc, vscc, collections: arg_bytes(stub, 6) })
    }

    /// The definition that is to be on the ledger, if everybody agrees who has to.
    fn definition(
        &self,
        request: &Request<'_>,
        change: Change,
        policies: &Policies<'_>,
    ) -> Result<ChaincodeData, String> {
        let (name, version) = (&self.name, &self.version);
        check_name(name)?;
        check_version(version)?;
        // Who does not satisfy the package's policy is told later.
        let package = match request.stub.packages().definition(name, version) {
            Ok(package) => Ok(package),
            Err(PackageError::AccessDenied(reason)) => Err(reason),
            Err(PackageError::Unavailable(cause)) => {
                let refusal = format!("cannot get package for chaincode ({name}:{version})");
                request.stub.log(Level::Error, format!("{refusal}-err:{cause}"));
                return Err(refusal);
            }
        };
        let entry = request.stub.get_state(name).map_err(|error| format!("transaction not found: {error}"))?;
        match (change, entry) {
            (Change::Deploy, None) => {}
            (Change::Deploy, Some(_)) => return Err(format!("chaincode with name '{name}' already exists")),
            (Change::Upgrade, None) => return Err(format!("could not find chaincode with name '{name}'")),
            (Change::Upgrade, Some(entry)) => {
                let before = chaincode_data(name, &entry)?;
                if before.version == *version {
                    return Err(format!("version already exists for chaincode with name '{name}'"));
                }
                if before.instantiation_policy.is_empty() {
                    return Err("instantiation policy missing".to_owned());
                }
                policies.check_instantiation(&before.instantiation_policy)?;
            }
        }
        let PackageDefinition { data, id, instantiation_policy } = package?;
        Ok(ChaincodeData {
            name: name.clone(),
            version: version.clone(),
            escc: self.escc.clone(),
            vscc: self.vscc.clone(),
            policy: self.policy.clone(),
            data,
            id,
            instantiation_policy,
        })
    }

    fn put_collections(&self, request: &Request<'_>, policies: &Policies<'_>) -> Result<(), String> {
        let Self { name, version, collections, .. } = self;
        policies.check_collections(collections).map_err(|error| match error {
            CollectionsError::Undecodable => {
                format!("invalid collection configuration supplied for chaincode {name}:{version}")
            }
            CollectionsError::Refused(reason) => reason,
        })?;
        let key = format!("{name}{COLLECTION_SEPARATOR}collection");
        let put = request.stub.put_state(&key, collections);
        put.map_err(|error| format!("error putting collection for chaincode {name}:{version}: {error}"))
    }
}

/// `^[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*$`
fn check_name(name: &str) -> Result<(), String> {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if name.split(['-', '_']).all(is_part) {
        return Ok(());
    }
    Err(format!(
        "invalid chaincode name '{name}'. Names must start with an alphanumeric character and can only consist of \
         alphanumerics, '_', and '-'"
    ))
}

/// `^[A-Za-z0-9_.+-]+$`
fn check_version(version: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    if !version.is_empty() && version.bytes().all(allowed) {
        return Ok(());
    }
    // The two blanks are Fabric's.
    Err(format!(
        "invalid chaincode version '{version}'. Versions must not be empty and can only consist of alphanumerics, '_',  \
         '-', '+', and '.'"
    ))
}
