//! A package's bytes, and the hashes by which the ledger knows it (Fabric: `CDSPackage`, `SignedCDSPackage`).
//!
//! A package is a ChaincodeDeploymentSpec, or an envelope with a SignedChaincodeDeploymentSpec in it; nothing in the bytes
//! says which. Invariant: everything in a [`ChaincodePackage`] is a slice of the bytes it was read from, so one of 50 MiB is
//! in memory once.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::Envelope;
use selvedge_proto::protos::{CdsData, ChaincodeDeploymentSpec, ChaincodeId, ChaincodeInput, SignedCdsData};
use sha2::{Digest, Sha256};

use super::PackageError;
use super::owners::signed_spec;
use crate::platforms::{CodePackage, Platform, UnknownPlatform};

/// A package.
#[derive(Clone, Debug)]
pub struct ChaincodePackage {
    id: ChaincodeId,
    spec_type: i32,
    input: Option<ChaincodeInput>,
    code: Bytes,
    deployment_spec: Bytes,
    owners: Option<Owners>,
}

/// What the owners of a signed package agreed on.
#[derive(Clone, Debug)]
struct Owners {
    instantiation_policy: Bytes,
    identities: Vec<Bytes>,
}

/// How a package is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageForm {
    /// A ChaincodeDeploymentSpec.
    Plain,
    /// A SignedChaincodeDeploymentSpec in an envelope.
    Signed,
}

/// The hashes of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// What lscc writes to the ledger: a marshalled `CDSData` or `SignedCDSData`.
    pub data: Bytes,
    /// SHA-256 over the hashes in `data`: the chaincode's id.
    pub id: [u8; 32],
}

impl ChaincodePackage {
    /// What is to be installed. Where both forms fit, it is a signed package (Fabric: `GetCCPackage`).
    ///
    /// # Errors
    /// [`PackageError::NoPackage`] when neither fits.
    pub fn parse(bytes: &Bytes) -> Result<Self, PackageError> {
        let signed = Self::signed(bytes).and_then(Self::printable);
        signed.or_else(|_| Self::plain(bytes)).map_err(|_| PackageError::NoPackage)
    }

    /// What was installed. Where both forms fit, it is a plain package (Fabric: `GetChaincodeFromPath`).
    ///
    /// # Errors
    /// Why it is no signed package, when it is no plain one either.
    pub fn parse_installed(bytes: &Bytes) -> Result<Self, PackageError> {
        Self::plain(bytes).or_else(|_| Self::signed(bytes))
    }

    fn plain(bytes: &Bytes) -> Result<Self, PackageError> {
        let spec = ChaincodeDeploymentSpec::decode(bytes.clone()).map_err(|_| PackageError::NoDeploymentSpec)?;
        Self::of(spec, bytes.clone())?.printable()
    }

    fn signed(bytes: &Bytes) -> Result<Self, PackageError> {
        let envelope = Envelope::decode(bytes.clone()).map_err(|_| PackageError::NoEnvelope)?;
        let signed = signed_spec(&envelope)?;
        let spec_bytes = signed.chaincode_deployment_spec;
        let spec = ChaincodeDeploymentSpec::decode(spec_bytes.clone());
        let mut package = Self::of(spec.map_err(|_| PackageError::NoSignedDeploymentSpec)?, spec_bytes)?;
        let instantiation_policy = signed.instantiation_policy.ok_or_else(|| PackageError::NoInstantiationPolicy {
            name: package.id.name.clone(),
            version: package.id.version.clone(),
        })?;
        let identities = signed.owner_endorsements.into_iter().map(|endorsement| endorsement.endorser).collect();
        package.owners = Some(Owners { instantiation_policy, identities });
        Ok(package)
    }

    fn of(spec: ChaincodeDeploymentSpec, bytes: Bytes) -> Result<Self, PackageError> {
        let chaincode = spec.chaincode_spec.ok_or(PackageError::NoChaincodeId)?;
        let id = chaincode.chaincode_id.ok_or(PackageError::NoChaincodeId)?;
        let spec_type = chaincode.r#type;
        Ok(Self {
            id,
            spec_type,
            input: chaincode.input,
            code: spec.code_package,
            deployment_spec: bytes,
            owners: None,
        })
    }

    /// Bytes of another kind may decode, and then have a name of control characters.
    fn printable(self) -> Result<Self, PackageError> {
        match self.id.name.chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' ')) {
            true => Err(PackageError::NotPrintable(self.id.name)),
            false => Ok(self),
        }
    }

    /// The chaincode's name.
    pub fn name(&self) -> &str {
        &self.id.name
    }

    /// The chaincode's version.
    pub fn version(&self) -> &str {
        &self.id.version
    }

    /// Where the source was when it was packaged.
    pub fn path(&self) -> &str {
        &self.id.path
    }

    /// The code, as it was packaged.
    pub fn code(&self) -> &Bytes {
        &self.code
    }

    /// What the code is for.
    ///
    /// # Errors
    /// When this peer does not have it.
    pub fn platform(&self) -> Result<Platform, UnknownPlatform> {
        Platform::of_spec(self.spec_type)
    }

    /// What is to run.
    ///
    /// # Errors
    /// As for [`Self::platform`].
    pub fn code_package(&self) -> Result<CodePackage, UnknownPlatform> {
        let platform = self.platform()?;
        Ok(CodePackage { platform, path: self.id.path.clone(), bytes: self.code.clone() })
    }

    /// The arguments that were packaged with it.
    pub fn input(&self) -> Option<&ChaincodeInput> {
        self.input.as_ref()
    }

    /// How it is made.
    pub fn form(&self) -> PackageForm {
        if self.owners.is_some() { PackageForm::Signed } else { PackageForm::Plain }
    }

    /// The marshalled `SignaturePolicyEnvelope` of a signed package; may be empty.
    pub fn instantiation_policy(&self) -> Option<&Bytes> {
        self.owners.as_ref().map(|owners| &owners.instantiation_policy)
    }

    /// The marshalled ChaincodeDeploymentSpec, as it was packaged.
    pub fn deployment_spec(&self) -> &Bytes {
        &self.deployment_spec
    }

    /// Hashes the whole package: not for a thread that others wait for.
    pub fn fingerprint(&self) -> Fingerprint {
        let sha256 = |parts: &[&[u8]]| -> Bytes {
            let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
            Bytes::copy_from_slice(&hash.finalize())
        };
        let codehash = sha256(&[&self.code]);
        let metadatahash = sha256(&[self.id.name.as_bytes(), self.id.version.as_bytes()]);
        let hash = Sha256::new().chain_update(&codehash).chain_update(&metadatahash);
        let (hash, data) = match &self.owners {
            None => (hash, CdsData { codehash, metadatahash }.encode_to_vec()),
            Some(owners) => {
                // Who signed, and not the signatures: another one of the same owner changes nothing.
                let mut signers: Vec<&[u8]> = vec![&owners.instantiation_policy];
                signers.extend(owners.identities.iter().map(|identity| &**identity));
                let signaturehash = sha256(&signers);
                let hash = hash.chain_update(&signaturehash);
                (hash, SignedCdsData { codehash, metadatahash, signaturehash }.encode_to_vec())
            }
        };
        Fingerprint { data: data.into(), id: hash.finalize().into() }
    }
}
