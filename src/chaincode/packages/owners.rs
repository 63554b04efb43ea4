//! Packages that their owners sign (Fabric: `core/common/ccpackage`).
//!
//! An owner signs the deployment spec, the instantiation policy and its own identity, one after the other. Invariant: every
//! owner of a package has signed the same spec and policy, because there is one of each in it.

use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::Timestamp;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignaturePolicyEnvelope};
use selvedge_proto::protos::{Endorsement, SignedChaincodeDeploymentSpec};
use thiserror::Error;

use super::PackageError;
use crate::msp::{MspError, Signer};

/// Why a package cannot be signed. Fabric's texts.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// It is no signed package.
    #[error("{0}")]
    Package(#[from] PackageError),
    /// A part is missing, or no owner signed it when it was made.
    #[error("invalid signed deployment spec")]
    Incomplete,
    /// This owner's signature is there.
    #[error("the package is already signed by this identity; another owner signs with another CORE_PEER_MSPCONFIGPATH")]
    AlreadySigned,
    /// The key failed.
    #[error("Could not sign the ccpackage, err {0}")]
    Sign(#[from] MspError),
}

/// A signed package of a marshalled ChaincodeDeploymentSpec; with `owner`, its first signature (Fabric:
/// `OwnerCreateSignedCCDepSpec`). Owners can be added to a package that has one.
///
/// # Errors
/// When the key fails.
pub fn create_signed_package(
    deployment_spec: Bytes,
    instantiation_policy: &SignaturePolicyEnvelope,
    owner: Option<&dyn Signer>,
) -> Result<Envelope, OwnerError> {
    let mut spec = SignedChaincodeDeploymentSpec {
        chaincode_deployment_spec: deployment_spec,
        instantiation_policy: Some(instantiation_policy.encode_to_vec().into()),
        owner_endorsements: Vec::new(),
    };
    if let Some(owner) = owner {
        endorse(&mut spec, owner)?;
    }
    Ok(envelope_of(&spec))
}

/// The package with one owner more (Fabric: `SignExistingPackage`).
///
/// # Errors
/// When it is no signed package, nobody signed it when it was made, or this owner did.
pub fn sign_package(package: &Envelope, owner: &dyn Signer) -> Result<Envelope, OwnerError> {
    let mut spec = signed_spec(package)?;
    let policy = spec.instantiation_policy.as_ref();
    if spec.chaincode_deployment_spec.is_empty() || policy.is_none() || spec.owner_endorsements.is_empty() {
        return Err(OwnerError::Incomplete);
    }
    let identity = owner.serialize();
    if spec.owner_endorsements.iter().any(|endorsement| endorsement.endorser == identity) {
        return Err(OwnerError::AlreadySigned);
    }
    endorse(&mut spec, owner)?;
    Ok(envelope_of(&spec))
}

/// What an envelope of type CHAINCODE_PACKAGE holds (Fabric: `ExtractSignedCCDepSpec`).
pub(super) fn signed_spec(package: &Envelope) -> Result<SignedChaincodeDeploymentSpec, PackageError> {
    let payload = Payload::decode(package.payload.clone())?;
    let header = ChannelHeader::decode(payload.header.ok_or(PackageError::NoHeader)?.channel_header)?;
    let signed = SignedChaincodeDeploymentSpec::decode(payload.data)?;
    match header.r#type == HeaderType::ChaincodePackage as i32 {
        true => Ok(signed),
        false => Err(PackageError::EnvelopeType),
    }
}

fn endorse(spec: &mut SignedChaincodeDeploymentSpec, owner: &dyn Signer) -> Result<(), OwnerError> {
    let endorser = owner.serialize();
    let policy = spec.instantiation_policy.as_deref().unwrap_or_default();
    let signature = owner.sign(&[&spec.chaincode_deployment_spec[..], policy, &endorser].concat())?;
    spec.owner_endorsements.push(Endorsement { endorser, signature });
    Ok(())
}

fn envelope_of(spec: &SignedChaincodeDeploymentSpec) -> Envelope {
    let now = Timestamp::from(SystemTime::now());
    let channel_header = ChannelHeader {
        r#type: HeaderType::ChaincodePackage as i32,
        // Fabric's packages tell the time in whole seconds.
        timestamp: Some(Timestamp { nanos: 0, ..now }),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: channel_header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: spec.encode_to_vec().into() };
    Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaincode::packages::{ChaincodePackage, PackageForm};
    use crate::msp::{Msp, SigningIdentity};
    use crate::policies::language;
    use crate::testing::Golden;

    const POLICY: &str = "AND('AlphaMSP.admin','BetaMSP.admin')";

    fn golden(name: &str) -> Bytes {
        std::fs::read(Golden::V1_4.path(&format!("packages/{name}"))).unwrap().into()
    }

    fn owner(folder: &str, mspid: &str) -> SigningIdentity {
        SigningIdentity::load(&Golden::V1_4.path(&format!("msp/{folder}")), mspid).unwrap()
    }

    /// Who signed, as far as they are who they say and signed this.
    fn signers(package: &Envelope) -> Vec<String> {
        let spec = signed_spec(package).unwrap();
        let policy = spec.instantiation_policy.as_deref().unwrap();
        let names = spec.owner_endorsements.iter().map(|endorsement| {
            let msps = [("alpha-org", "AlphaMSP"), ("beta-org", "BetaMSP")];
            let msps = msps.map(|(folder, id)| Msp::load(&Golden::V1_4.path(&format!("msp/{folder}")), id).unwrap());
            let identity = msps.iter().find_map(|msp| msp.deserialize(&endorsement.endorser).ok()).unwrap();
            let message = [&spec.chaincode_deployment_spec[..], policy, &endorsement.endorser].concat();
            identity.verify(&message, &endorsement.signature).unwrap();
            identity.mspid().to_owned()
        });
        names.collect()
    }

    #[test]
    fn a_package_signed_here_is_the_one_that_fabric_signed() {
        let fabrics = golden("signedcc-7.scds");
        let recorded = Envelope::decode(fabrics.clone()).unwrap();
        assert_eq!(signers(&recorded), ["AlphaMSP"], "what is signed is what Fabric signs");

        let fabrics = ChaincodePackage::parse(&fabrics).unwrap();
        let alpha = owner("alpha-admin", "AlphaMSP");
        let policy = language::parse(POLICY).unwrap();
        let ours = create_signed_package(fabrics.deployment_spec().clone(), &policy, Some(&alpha)).unwrap();
        assert_eq!(signers(&ours), ["AlphaMSP"]);
        let bytes = Bytes::from(ours.encode_to_vec());
        let package = ChaincodePackage::parse(&bytes).unwrap();
        assert_eq!(package.form(), PackageForm::Signed);
        assert_eq!(package.fingerprint(), fabrics.fingerprint());
    }

    #[test]
    fn owners_are_added_to_what_fabric_made() {
        let recorded = Envelope::decode(golden("signedcc-7.scds")).unwrap();
        let signed = sign_package(&recorded, &owner("beta-admin", "BetaMSP")).unwrap();
        assert_eq!(signers(&signed), ["AlphaMSP", "BetaMSP"]);
        let package = |envelope: &Envelope| ChaincodePackage::parse(&envelope.encode_to_vec().into()).unwrap();
        assert_ne!(package(&signed).fingerprint(), package(&recorded).fingerprint());
        assert_eq!(package(&signed).deployment_spec(), package(&recorded).deployment_spec());
    }

    #[test]
    fn what_cannot_be_signed_is_said_in_fabrics_words() {
        let alpha = owner("alpha-admin", "AlphaMSP");
        let refused = |envelope: &Envelope| sign_package(envelope, &alpha).unwrap_err().to_string();
        let spec = ChaincodePackage::parse(&golden("kv-1.cds")).unwrap().deployment_spec().clone();
        let unsigned = create_signed_package(spec, &language::parse(POLICY).unwrap(), None).unwrap();
        assert_eq!(refused(&unsigned), "invalid signed deployment spec");
        let recorded = Envelope::decode(golden("signedcc-7.scds")).unwrap();
        let twice = sign_package(&recorded, &owner("beta-admin", "BetaMSP")).unwrap();
        assert!(refused(&twice).starts_with("the package is already signed by this identity"));
        assert_eq!(refused(&Envelope::default()), "channel header cannot be nil");
        let other = ChannelHeader { r#type: HeaderType::Config as i32, ..ChannelHeader::default() };
        let header = Header { channel_header: other.encode_to_vec().into(), ..Header::default() };
        let payload = Payload { header: Some(header), ..Payload::default() };
        let other = Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() };
        assert_eq!(refused(&other), "invalid type of envelope for chaincode package");
    }
}
