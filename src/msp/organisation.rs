//! One organisation's membership rules (Fabric: `msp.bccspmsp`).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{FabricMspConfig, MspConfig, MspPrincipal, SerializedIdentity};

use super::authorities::{self, Authorities, Chain};
use super::cache::Generations;
use super::certificate::Certificate;
use super::public_key::PublicKey;
use super::revocation::{self, RevocationList};
use super::roles::{Rules, Units};
use super::{Identity, MspError, MspVersion, Role, folder, principal};

/// Identities that one MSP keeps parsed, in each of two generations. Fabric keeps 100; a channel's clients are more,
/// and an entry is about 3 KiB.
const CACHED_IDENTITIES: usize = 1024;
/// Bytes of an identity that is kept, at most. An ordinary one has about 1 KiB, and PEM has room for any text around it:
/// members could fill the memory otherwise.
const CACHED_LENGTH: usize = 8 << 10;

/// One MSP: its authorities, its administrators, its rules, what it revoked. Immutable; a changed configuration makes a
/// new one.
#[derive(Debug)]
pub struct Msp {
    authorities: Authorities,
    revocations: Vec<RevocationList>,
    rules: Arc<Rules>,
    /// The certificates of the listed administrators.
    admins: Vec<Vec<u8>>,
    identities: Mutex<Generations<Bytes, Identity>>,
}

impl Msp {
    /// From an MSP folder, by the rules of [`MspVersion::NEWEST`] as Fabric's local MSP.
    ///
    /// # Errors
    /// When the folder cannot be read, or as for [`Msp::new`].
    pub fn load(dir: &Path, mspid: &str) -> Result<Self, MspError> {
        Self::new(&folder::verifying_config(dir, mspid)?, MspVersion::NEWEST)
    }

    /// From a channel configuration's `MSP` value.
    ///
    /// # Errors
    /// When it is no X.509 MSP, or as for [`Msp::new`].
    pub fn from_config_value(config: &MspConfig, version: MspVersion) -> Result<Self, MspError> {
        let definition = |cause: String| MspError::Definition { mspid: "of a channel configuration".into(), cause };
        if config.r#type != 0 {
            return Err(definition(format!("type {} is not an X.509 MSP (type 0)", config.r#type)));
        }
        let config =
            FabricMspConfig::decode_as_go(config.config.clone()).map_err(|error| definition(error.to_string()))?;
        Self::new(&config, version)
    }

    /// From an MSP's definition.
    ///
    /// # Errors
    /// When a certificate or revocation list is unusable, an authority does not chain to a root or was revoked, an
    /// administrator is not what `version` asks for, or an organisational unit names an authority that the MSP lacks.
    pub fn new(config: &FabricMspConfig, version: MspVersion) -> Result<Self, MspError> {
        let definition = |cause: String| MspError::Definition { mspid: config.name.clone(), cause };
        if config.name.is_empty() {
            return Err(MspError::Definition { mspid: "without a name".into(), cause: "an MSP needs a name".into() });
        }
        let revocations =
            config.revocation_list.iter().map(|list| RevocationList::read(list)).collect::<Result<Vec<_>, _>>()?;
        let authorities = Authorities::new(config, &revocations)?;
        authorities::check_tls(config, &revocations)?;
        let rules = Arc::new(Rules::new(config, version, &authorities)?);
        let identities = Mutex::new(Generations::new(CACHED_IDENTITIES));
        let mut msp = Self { authorities, revocations, rules, admins: Vec::new(), identities };
        if config.admins.is_empty() && version >= MspVersion::V1_4_3 && !msp.rules.has_admin_unit() {
            return Err(definition("administrators must be declared when no admin ou classification is set".into()));
        }
        for (index, pem) in config.admins.iter().enumerate() {
            let admin = msp
                .admin(pem)
                .map_err(|error| definition(format!("admin {index} (admincerts) is invalid: {error}")))?;
            msp.admins.push(admin.der);
        }
        Ok(msp)
    }

    /// Reads and checks the certificate of a listed administrator (Fabric: `postSetupV1`, `V11`, `V143`).
    fn admin(&self, pem: &[u8]) -> Result<Certificate, MspError> {
        let certificate = self.authorities.normalised(Certificate::from_pem(pem)?)?;
        if !self.rules.enforced() {
            self.validate(&certificate)?;
        } else if self.rules.version() < MspVersion::V1_4_3 {
            let (units, _) = self.validate(&certificate)?;
            self.rules.check_role(&units, false, Role::Client)?;
        } else {
            let chain = self.authorities.chain_of_identity(&certificate)?;
            let units = self.units(&certificate, &chain);
            let as_client = self.rules.has_unit_of(&units, Role::Client);
            let as_admin = self.rules.has_unit_of(&units, Role::Admin);
            if let (Err(client), Err(admin)) = (as_client, as_admin) {
                return Err(MspError::Principal(format!("[{client},{admin}]")));
            }
        }
        Ok(certificate)
    }

    /// The MSP's name.
    pub fn id(&self) -> &str {
        self.rules.mspid()
    }

    /// The version of the rules it follows.
    pub fn version(&self) -> MspVersion {
        self.rules.version()
    }

    /// Reads and verifies a `SerializedIdentity` of this MSP. A repeated one costs a look-up. An expired certificate is
    /// accepted: Fabric asks for expiry only where messages come in from clients ([`Identity::expires_at`]).
    ///
    /// # Errors
    /// When the bytes name another MSP, or the certificate does not chain to this one, is revoked, has not the
    /// organisational units that the MSP asks for, or is an authority's.
    pub fn deserialize(&self, serialized: &[u8]) -> Result<Identity, MspError> {
        if let Some(identity) = self.cache().get(serialized) {
            return Ok(identity);
        }
        let parsed = SerializedIdentity::decode_as_go(serialized).map_err(MspError::NotAnIdentity)?;
        if parsed.mspid != self.id() {
            return Err(MspError::OtherMsp { expected: self.id().to_owned(), received: parsed.mspid });
        }
        // A copy, because the bytes may be a slice of a large proposal that the cache must not keep alive.
        let key = Bytes::copy_from_slice(serialized);
        let identity = self.identify(Certificate::from_pem(&parsed.id_bytes)?, key.clone())?;
        if key.len() <= CACHED_LENGTH {
            self.cache().insert(key, identity.clone());
        }
        Ok(identity)
    }

    /// Whether `identity` matches a policy's principal.
    ///
    /// # Errors
    /// [`MspError::NotAdmin`] or [`MspError::Principal`] when it does not, with Fabric's text.
    pub fn satisfies(&self, identity: &Identity, principal: &MspPrincipal) -> Result<(), MspError> {
        principal::satisfies(self, identity, principal)
    }

    /// The identity of a certificate, if it is a valid one of this MSP.
    pub(super) fn identify(&self, certificate: Certificate, serialized: Bytes) -> Result<Identity, MspError> {
        let (units, issuer) = self.validate(&certificate)?;
        let certificate = certificate.with_low_s(issuer)?;
        let listed_admin = self.admins.contains(&certificate.der);
        Identity::verified(serialized, certificate, units, listed_admin, Arc::clone(&self.rules))
    }

    /// Everything that makes a certificate somebody's of this MSP; returns its organisational units and its issuer's
    /// key.
    fn validate(&self, certificate: &Certificate) -> Result<(Units, &PublicKey), MspError> {
        let chain = self.authorities.chain_of_identity(certificate)?;
        revocation::check(&self.revocations, certificate, chain.issuer())?;
        let units = self.units(certificate, &chain);
        self.rules.validate(&units)?;
        Ok((units, &chain.issuer().key))
    }

    fn units(&self, certificate: &Certificate, chain: &Chain<'_>) -> Units {
        Units { names: certificate.units.clone(), certifiers: self.authorities.identifier(chain.authorities()) }
    }

    /// Whether an identity of these bytes is kept parsed.
    #[cfg(test)]
    pub(super) fn keeps(&self, serialized: &[u8]) -> bool {
        self.cache().get(serialized).is_some()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Generations<Bytes, Identity>> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
