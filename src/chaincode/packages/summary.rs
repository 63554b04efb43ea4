//! What is known of an installed package without its code, and whether it is the one that a channel agreed on (Fabric:
//! `CCPackage.GetChaincodeData`, `CCPackage.ValidateCC`).

use bytes::Bytes;
use selvedge_proto::protos::{CdsData, ChaincodeData, SignedCdsData};

use super::{ChaincodePackage, PackageForm};
use crate::decode::decode;
use crate::platforms::{Platform, UnknownPlatform};

/// A package without its code: a few hundred bytes, whatever the package has.
#[derive(Clone, Debug)]
pub struct PackageSummary {
    /// The chaincode's name, as the package has it.
    pub name: String,
    /// The chaincode's version, as the package has it.
    pub version: String,
    /// What its code is for.
    pub platform: Result<Platform, UnknownPlatform>,
    /// The marshalled `SignaturePolicyEnvelope` of a signed package; may be empty.
    pub instantiation_policy: Option<Bytes>,
    form: PackageForm,
    hashes: Bytes,
}

impl PackageSummary {
    /// Hashes the whole package: not for a thread that others wait for.
    pub fn of(package: &ChaincodePackage) -> Self {
        Self {
            name: package.name().to_owned(),
            version: package.version().to_owned(),
            platform: package.platform(),
            // Copies: a slice would keep the whole package in memory.
            instantiation_policy: package.instantiation_policy().map(|policy| Bytes::copy_from_slice(policy)),
            form: package.form(),
            hashes: package.fingerprint().data,
        }
    }

    /// Whether this is the package that the definition on the ledger was made from.
    ///
    /// # Errors
    /// What differs, in Fabric's words. Where names differ, Fabric shows the whole definition, with its hashes.
    pub fn validate(&self, defined: &ChaincodeData) -> Result<(), String> {
        let ChaincodeData { name, version, data, .. } = defined;
        if (&self.name, &self.version) != (name, version) {
            let (ours, ours_version) = (&self.name, &self.version);
            return Err(format!(
                "invalid chaincode data name:{name:?} version:{version:?}  (name:{ours:?} version:{ours_version:?} )"
            ));
        }
        let same = match self.form {
            PackageForm::Plain => self.hashes_are::<CdsData>(data)?,
            PackageForm::Signed => self.hashes_are::<SignedCdsData>(data)?,
        };
        if same { Ok(()) } else { Err("data mismatch".to_owned()) }
    }

    fn hashes_are<M: selvedge_proto::DecodeAsGo + PartialEq>(&self, defined: &Bytes) -> Result<bool, String> {
        let hashes = |bytes| decode::<M>("hashes", bytes).map_err(|undecodable| undecodable.cause);
        Ok(hashes(&self.hashes)? == hashes(defined)?)
    }
}
