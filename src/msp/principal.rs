//! What a policy asks of an identity (Fabric: `satisfiesPrincipalInternalPreV13`, `V13`, `V143`, `collectPrincipals`).

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::msp_identity_anonymity::MspIdentityAnonymityType;
use selvedge_proto::common::msp_principal::Classification;
use selvedge_proto::common::msp_role::MspRoleType;
use selvedge_proto::common::{CombinedPrincipal, MspIdentityAnonymity, MspPrincipal, MspRole, OrganizationUnit};

use super::{Identity, Msp, MspError, MspVersion, Role};

/// Whether `identity` of `msp` matches `principal`.
pub(super) fn satisfies(msp: &Msp, identity: &Identity, principal: &MspPrincipal) -> Result<(), MspError> {
    collect(principal, msp.version())?.iter().try_for_each(|single| satisfies_single(msp, identity, single))
}

/// The principals that a combined one consists of, in their order. Without recursion, because nothing but the size of
/// the message limits how deep they are nested.
fn collect(principal: &MspPrincipal, version: MspVersion) -> Result<Vec<MspPrincipal>, MspError> {
    let mut singles = Vec::new();
    let mut waiting = vec![principal.clone()];
    while let Some(next) = waiting.pop() {
        if next.principal_classification != Classification::Combined as i32 {
            singles.push(next);
            continue;
        }
        if version <= MspVersion::V1_1 {
            return Err(MspError::Principal(format!("invalid principal type {}", next.principal_classification)));
        }
        let combined =
            CombinedPrincipal::decode_as_go(next.principal).map_err(|error| unreadable("CombinedPrincipal", &error))?;
        if combined.principals.is_empty() {
            return Err(MspError::Principal("No principals in CombinedPrincipal".into()));
        }
        waiting.extend(combined.principals.into_iter().rev());
    }
    Ok(singles)
}

fn satisfies_single(msp: &Msp, identity: &Identity, principal: &MspPrincipal) -> Result<(), MspError> {
    let content = principal.principal.clone();
    match Classification::try_from(principal.principal_classification) {
        Ok(Classification::Role) => {
            let asked = MspRole::decode_as_go(content).map_err(|error| unreadable("MSPRole", &error))?;
            check_msp(msp, identity, &asked.msp_identifier)?;
            let role = match MspRoleType::try_from(asked.role) {
                Ok(MspRoleType::Member) => Role::Member,
                Ok(MspRoleType::Admin) => Role::Admin,
                Ok(MspRoleType::Client) => Role::Client,
                Ok(MspRoleType::Peer) => Role::Peer,
                Ok(MspRoleType::Orderer) => Role::Orderer,
                Err(_) => return refuse(format!("invalid MSP role type {}", asked.role)),
            };
            identity.check_role(role)
        }
        Ok(Classification::OrganizationUnit) => {
            let asked =
                OrganizationUnit::decode_as_go(content).map_err(|error| unreadable("OrganizationUnit", &error))?;
            check_msp(msp, identity, &asked.msp_identifier)?;
            let belongs = identity.organizational_units().contains(&asked.organizational_unit_identifier)
                && identity.certifiers_identifier() == asked.certifiers_identifier;
            if belongs { Ok(()) } else { refuse("The identities do not match".into()) }
        }
        Ok(Classification::Identity) => {
            let asked = msp.deserialize(&content).map_err(|error| {
                MspError::Principal(format!("invalid identity principal, not a certificate: {error}"))
            })?;
            if asked.is_same_as(identity) { Ok(()) } else { refuse("The identities do not match".into()) }
        }
        Ok(Classification::Anonymity) if msp.version() >= MspVersion::V1_3 => {
            let asked = MspIdentityAnonymity::decode_as_go(content)
                .map_err(|error| unreadable("MSPIdentityAnonymity", &error))?;
            match MspIdentityAnonymityType::try_from(asked.anonymity_type) {
                Ok(MspIdentityAnonymityType::Nominal) => Ok(()),
                Ok(MspIdentityAnonymityType::Anonymous) => {
                    refuse("Principal is anonymous, but X.509 MSP does not support anonymous identities".into())
                }
                Err(_) => refuse(format!("Unknown principal anonymity type: {}", asked.anonymity_type)),
            }
        }
        _ => refuse(format!("invalid principal type {}", principal.principal_classification)),
    }
}

fn check_msp(msp: &Msp, identity: &Identity, asked: &str) -> Result<(), MspError> {
    if asked == msp.id() && identity.mspid() == msp.id() {
        return Ok(());
    }
    refuse(format!("the identity is a member of a different MSP (expected {asked}, got {})", identity.mspid()))
}

fn unreadable(what: &str, error: &prost::DecodeError) -> MspError {
    MspError::Principal(format!("could not unmarshal {what} from principal: {error}"))
}

fn refuse(cause: String) -> Result<(), MspError> {
    Err(MspError::Principal(cause))
}
