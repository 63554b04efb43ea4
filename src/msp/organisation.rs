//! One organisation's membership rules (Fabric: `msp.bccspmsp`).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    FabricMspConfig, MspConfig, MspPrincipal, MspRole, SerializedIdentity, msp_principal, msp_role,
};

use super::cache::Generations;
use super::certificate::Certificate;
use super::revocation::RevocationList;
use super::{Identity, MspError, Role, chain, folder};

/// Identities that one MSP keeps parsed, in each of two generations. Fabric keeps 100; a channel's clients are more,
/// and an entry is about 3 KiB.
const CACHED_IDENTITIES: usize = 1024;

/// One MSP: its authorities, its administrators, what it revoked. Immutable; a changed configuration makes a new one.
#[derive(Debug)]
pub struct Msp {
    id: String,
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    admins: Vec<Certificate>,
    revocations: Vec<RevocationList>,
    identities: Mutex<Generations<Bytes, Identity>>,
}

impl Msp {
    /// From an MSP folder: `cacerts`, `intermediatecerts`, `admincerts`, `crls`.
    ///
    /// # Errors
    /// When the folder cannot be read, or as for [`Msp::new`].
    pub fn load(dir: &Path, mspid: &str) -> Result<Self, MspError> {
        Self::new(&folder::verifying_config(dir, mspid)?)
    }

    /// From a channel configuration's `MSP` value.
    ///
    /// # Errors
    /// When it is no X.509 MSP, or as for [`Msp::new`].
    pub fn from_config_value(config: &MspConfig) -> Result<Self, MspError> {
        let definition = |cause: String| MspError::Definition { mspid: "of a channel configuration".into(), cause };
        if config.r#type != 0 {
            return Err(definition(format!("type {} is not an X.509 MSP (type 0)", config.r#type)));
        }
        let config = FabricMspConfig::decode(config.config.clone()).map_err(|error| definition(error.to_string()))?;
        Self::new(&config)
    }

    /// From an MSP's definition.
    ///
    /// # Errors
    /// When a certificate or revocation list is unusable, an administrator is no member, or the definition asks for
    /// node OUs or organisational units.
    pub fn new(config: &FabricMspConfig) -> Result<Self, MspError> {
        let id = config.name.clone();
        refuse_what_is_not_built(config)?;
        let read = |pems: &[Bytes]| pems.iter().map(|pem| Certificate::from_pem(pem)).collect::<Result<Vec<_>, _>>();
        let roots = read(&config.root_certs)?;
        let intermediates = read(&config.intermediate_certs)?;
        if id.is_empty() || roots.is_empty() {
            let cause = "an MSP needs a name and at least one CA certificate (cacerts)".into();
            return Err(MspError::Definition { mspid: id, cause });
        }
        for authority in roots.iter().chain(&intermediates) {
            check_authority(authority)?;
        }
        let authorities: Vec<&Certificate> = roots.iter().chain(&intermediates).collect();
        let revocations = config
            .revocation_list
            .iter()
            .map(|pem| RevocationList::from_pem(pem, &authorities))
            .collect::<Result<Vec<_>, _>>()?;
        let admins = read(&config.admins)?;
        let identities = Mutex::new(Generations::new(CACHED_IDENTITIES));
        let msp = Self { id, roots, intermediates, admins, revocations, identities };
        for authority in &msp.intermediates {
            msp.find_issuer(authority)?;
        }
        for admin in &msp.admins {
            msp.validate(admin)?;
        }
        Ok(msp)
    }

    /// The MSP's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Reads and verifies a `SerializedIdentity` of this MSP. A repeated one costs a look-up. An expired certificate is
    /// accepted: Fabric asks for expiry only where messages come in from clients ([`Identity::expires_at`]).
    ///
    /// # Errors
    /// When the bytes name another MSP, or the certificate does not chain to this one, is revoked, or is an
    /// authority's.
    pub fn deserialize(&self, serialized: &[u8]) -> Result<Identity, MspError> {
        if let Some(identity) = self.cache().get(serialized) {
            return Ok(identity);
        }
        let parsed = SerializedIdentity::decode(serialized).map_err(MspError::NotAnIdentity)?;
        if parsed.mspid != self.id {
            return Err(MspError::OtherMsp { expected: self.id.clone(), received: parsed.mspid });
        }
        let certificate = Certificate::from_pem(&parsed.id_bytes)?;
        self.validate(&certificate)?;
        let is_admin = self.admins.iter().any(|admin| admin.signed_part == certificate.signed_part);
        let role = if is_admin { Role::Admin } else { Role::Member };
        // A copy, because the bytes may be a slice of a large proposal that the cache must not keep alive.
        let key = Bytes::copy_from_slice(serialized);
        let identity = Identity::verified(&self.id, key.clone(), certificate, role)?;
        self.cache().insert(key, identity.clone());
        Ok(identity)
    }

    /// Whether `identity` matches a policy's principal.
    ///
    /// # Errors
    /// [`MspError::NotAdmin`] or [`MspError::Principal`] when it does not, or when the principal's kind is not built
    /// yet.
    pub fn satisfies(&self, identity: &Identity, principal: &MspPrincipal) -> Result<(), MspError> {
        let refuse = |cause: String| MspError::Principal { mspid: identity.mspid().to_owned(), cause };
        match msp_principal::Classification::try_from(principal.principal_classification) {
            Ok(msp_principal::Classification::Role) => {
                let role = MspRole::decode(principal.principal.clone()).map_err(|error| refuse(error.to_string()))?;
                if role.msp_identifier != self.id || identity.mspid() != self.id {
                    return Err(refuse(format!(
                        "the identity is a member of a different MSP (expected {})",
                        role.msp_identifier
                    )));
                }
                match msp_role::MspRoleType::try_from(role.role) {
                    Ok(msp_role::MspRoleType::Member) => Ok(()),
                    Ok(msp_role::MspRoleType::Admin) => identity.require_admin(),
                    _ => Err(refuse("NodeOUs not activated. Cannot tell apart identities.".into())),
                }
            }
            Ok(msp_principal::Classification::Identity)
                if self.deserialize(&principal.principal)?.is_same_as(identity) =>
            {
                Ok(())
            }
            Ok(msp_principal::Classification::Identity) => Err(refuse("the identities do not match".into())),
            _ => Err(refuse(format!("principals of class {} are not supported", principal.principal_classification))),
        }
    }

    fn validate(&self, certificate: &Certificate) -> Result<(), MspError> {
        if certificate.authority.is_some() {
            return Err(MspError::CertificateAuthority);
        }
        certificate.check_extensions()?;
        let issuer = self.find_issuer(certificate)?;
        if self.revocations.iter().any(|list| list.revokes(certificate, issuer)) {
            return Err(MspError::Revoked);
        }
        Ok(())
    }

    fn find_issuer(&self, certificate: &Certificate) -> Result<&Certificate, MspError> {
        chain::issuer_of(certificate, &self.roots, &self.intermediates).map_err(|cause| MspError::NoChain {
            subject: certificate.subject_text.clone(),
            mspid: self.id.clone(),
            cause,
        })
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Generations<Bytes, Identity>> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_authority(certificate: &Certificate) -> Result<(), MspError> {
    let refuse =
        |cause: &str| MspError::Certificate { subject: certificate.subject_text.clone(), cause: cause.to_owned() };
    match &certificate.authority {
        None => Err(refuse("CA Certificate did not have the CA attribute")),
        Some(authority) if !authority.signs_certificates => {
            Err(refuse("its key usage does not allow signing certificates"))
        }
        Some(_) if certificate.subject_key_id.is_none() => {
            Err(refuse("CA Certificate problem with Subject Key Identifier extension"))
        }
        Some(_) => Ok(()),
    }
}

fn refuse_what_is_not_built(config: &FabricMspConfig) -> Result<(), MspError> {
    let unsupported = |feature, instead| Err(MspError::Unsupported { mspid: config.name.clone(), feature, instead });
    if config.fabric_node_ous.as_ref().is_some_and(|ous| ous.enable) {
        return unsupported(
            "telling roles by node OUs (NodeOUs.Enable)",
            "use an MSP that lists its administrators in admincerts",
        );
    }
    if !config.organizational_unit_identifiers.is_empty() {
        return unsupported(
            "restricting an MSP to organisational units (OrganizationalUnitIdentifiers)",
            "remove the restriction",
        );
    }
    Ok(())
}
