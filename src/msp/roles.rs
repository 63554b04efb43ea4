//! Who is what in an MSP: organisational units and node OUs (Fabric: `validateIdentityOUsV1`, `V11`, `V143`,
//! `hasOURole`, `setupNodeOUs`, `setupNodeOUsV143`, `setupOUs`).
//!
//! Texts are Fabric's, because policy failures show them.

use std::collections::BTreeMap;

use selvedge_proto::common::{FabricMspConfig, FabricNodeOUs, FabricOuIdentifier};

use super::authorities::Authorities;
use super::{MspError, MspVersion};

/// What an identity is in its MSP. Without node OUs there are two: nobody is a client, peer or orderer then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Any valid identity.
    Member,
    /// One whose certificate the MSP lists under `admincerts` or, from MSP version 1.4.3, with the unit for admins.
    Admin,
    /// One with the organisational unit that the MSP has for clients.
    Client,
    /// One with the organisational unit that the MSP has for peers.
    Peer,
    /// One with the organisational unit that the MSP has for orderers, from MSP version 1.4.3.
    Orderer,
}

impl Role {
    /// The role's name in Fabric's texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "MEMBER",
            Self::Admin => "ADMIN",
            Self::Client => "CLIENT",
            Self::Peer => "PEER",
            Self::Orderer => "ORDERER",
        }
    }
}

/// What a certificate says of its holder that decides about roles.
#[derive(Clone, Debug)]
pub(crate) struct Units {
    /// The subject's organisational units.
    pub(crate) names: Vec<String>,
    /// The hash of the chain that vouches for them.
    pub(crate) certifiers: Vec<u8>,
}

impl Units {
    fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|unit| unit == name)
    }

    /// As Fabric prints them: each with the first eight bytes of its certifiers identifier.
    fn list(&self) -> String {
        let certifiers = hex::encode_upper(&self.certifiers[..self.certifiers.len().min(8)]);
        let units: Vec<String> = self.names.iter().map(|name| format!("{name}({certifiers})")).collect();
        format!("[{}]", units.join(" "))
    }
}

/// The unit that stands for one role.
#[derive(Clone, Debug)]
struct NodeOu {
    unit: String,
    /// Who has to vouch for it; anybody of the MSP if empty.
    certifiers: Vec<u8>,
}

impl NodeOu {
    fn new(identifier: Option<&FabricOuIdentifier>, authorities: &Authorities) -> Result<Option<Self>, MspError> {
        let Some(identifier) = identifier else { return Ok(None) };
        let certifiers = match identifier.certificate.is_empty() {
            true => Vec::new(),
            false => authorities.identifier_of(&identifier.certificate)?,
        };
        Ok(Some(Self { unit: identifier.organizational_unit_identifier.clone(), certifiers }))
    }
}

/// An MSP's rules for units and roles.
#[derive(Debug)]
pub(crate) struct Rules {
    mspid: String,
    version: MspVersion,
    /// Units of which an identity needs one, with the chains that may vouch for them; empty if it needs none.
    required: BTreeMap<String, Vec<Vec<u8>>>,
    enforced: bool,
    client: Option<NodeOu>,
    peer: Option<NodeOu>,
    admin: Option<NodeOu>,
    orderer: Option<NodeOu>,
}

impl Rules {
    pub(crate) fn new(
        config: &FabricMspConfig,
        version: MspVersion,
        authorities: &Authorities,
    ) -> Result<Self, MspError> {
        let mut required = BTreeMap::<String, Vec<Vec<u8>>>::new();
        for unit in &config.organizational_unit_identifiers {
            let certifiers = authorities.identifier_of(&unit.certificate).map_err(|error| MspError::Definition {
                mspid: config.name.clone(),
                cause: format!("failed getting certificate for [{}]: {error}", unit.organizational_unit_identifier),
            })?;
            required.entry(unit.organizational_unit_identifier.clone()).or_default().push(certifiers);
        }
        let mut rules = Self {
            mspid: config.name.clone(),
            version,
            required,
            enforced: false,
            client: None,
            peer: None,
            admin: None,
            orderer: None,
        };
        if let Some(node_ous) = config.fabric_node_ous.as_ref().filter(|_| version >= MspVersion::V1_1) {
            rules.set_node_ous(node_ous, authorities)?;
        }
        Ok(rules)
    }

    fn set_node_ous(&mut self, config: &FabricNodeOUs, authorities: &Authorities) -> Result<(), MspError> {
        self.client = NodeOu::new(config.client_ou_identifier.as_ref(), authorities)?;
        self.peer = NodeOu::new(config.peer_ou_identifier.as_ref(), authorities)?;
        if self.version < MspVersion::V1_4_3 {
            for (name, node_ou) in [("ClientOU", &self.client), ("PeerOU", &self.peer)] {
                if node_ou.as_ref().is_none_or(|node_ou| node_ou.unit.is_empty()) {
                    let cause = format!("Failed setting up NodeOUs. {name} must be different from nil.");
                    return Err(MspError::Definition { mspid: self.mspid.clone(), cause });
                }
            }
        } else {
            self.admin = NodeOu::new(config.admin_ou_identifier.as_ref(), authorities)?;
            self.orderer = NodeOu::new(config.orderer_ou_identifier.as_ref(), authorities)?;
        }
        self.enforced = config.enable && self.node_ous().next().is_some();
        Ok(())
    }

    pub(crate) fn mspid(&self) -> &str {
        &self.mspid
    }

    pub(crate) fn version(&self) -> MspVersion {
        self.version
    }

    /// Whether node OUs tell roles apart.
    pub(crate) fn enforced(&self) -> bool {
        self.enforced
    }

    /// Whether somebody can be an administrator without being listed.
    pub(crate) fn has_admin_unit(&self) -> bool {
        self.enforced && self.admin.is_some()
    }

    fn node_ous(&self) -> impl Iterator<Item = &NodeOu> {
        [&self.client, &self.peer, &self.admin, &self.orderer].into_iter().flatten()
    }

    /// Whether somebody with these units is valid: has a required unit, and with node OUs exactly one of those.
    pub(crate) fn validate(&self, units: &Units) -> Result<(), MspError> {
        let refuse = |cause: String| Err(MspError::OrganizationalUnits(cause));
        let vouched =
            |name: &String| self.required.get(name).is_some_and(|certifiers| certifiers.contains(&units.certifiers));
        if !self.required.is_empty() && !units.names.iter().any(vouched) {
            return refuse(match units.names.is_empty() {
                true => "the identity certificate does not contain an Organizational Unit (OU)".into(),
                false => {
                    format!("none of the identity's organizational units {} are in MSP {}", units.list(), self.mspid)
                }
            });
        }
        if !self.enforced {
            return Ok(());
        }
        let mut special = 0;
        for name in &units.names {
            // Of two roles with one unit Fabric takes the first up to 1.3 and the last from 1.4.3.
            let mut candidates = self.node_ous().filter(|node_ou| node_ou.unit == *name);
            let node_ou = match self.version < MspVersion::V1_4_3 {
                true => candidates.next(),
                false => candidates.last(),
            };
            let Some(node_ou) = node_ou else { continue };
            if !node_ou.certifiers.is_empty() && node_ou.certifiers != units.certifiers {
                return refuse(format!("certifiersIdentifier does not match: {}, MSP: [{}]", units.list(), self.mspid));
            }
            special += 1;
            if special > 1 {
                break;
            }
        }
        if special == 1 {
            return Ok(());
        }
        let kinds = match self.version < MspVersion::V1_4_3 {
            true => "a client or a peer identity",
            false => "a client, a peer, an orderer or an admin identity",
        };
        refuse(format!(
            "the identity must be {kinds} to be valid, not a combination of them. OUs: {}, MSP: [{}]",
            units.list(),
            self.mspid
        ))
    }

    /// Whether the units contain the one that stands for `role`; the error is Fabric's text.
    pub(crate) fn has_unit_of(&self, units: &Units, role: Role) -> Result<(), String> {
        if !self.enforced {
            return Err("NodeOUs not activated. Cannot tell apart identities.".into());
        }
        let node_ou = match role {
            Role::Client => &self.client,
            Role::Peer => &self.peer,
            Role::Admin => &self.admin,
            Role::Orderer => &self.orderer,
            Role::Member => return Err("Invalid MSPRoleType. It must be CLIENT, PEER, ADMIN or ORDERER".into()),
        };
        let (role, mspid) = (role.name(), &self.mspid);
        match node_ou {
            None => {
                Err(format!("cannot test for classification, node ou for type [{role}], not defined, msp: [{mspid}]"))
            }
            Some(node_ou) if units.contains(&node_ou.unit) => Ok(()),
            Some(_) => Err(format!("The identity does not contain OU [{role}], MSP: [{mspid}]")),
        }
    }

    /// Whether a valid identity has a role.
    pub(crate) fn check_role(&self, units: &Units, listed_admin: bool, role: Role) -> Result<(), MspError> {
        let with_admin_unit = self.version >= MspVersion::V1_4_3 && self.enforced;
        let kind = match role {
            Role::Member => return Ok(()),
            Role::Admin if listed_admin => return Ok(()),
            Role::Admin if !with_admin_unit => return Err(MspError::NotAdmin),
            Role::Admin => "an admin".to_owned(),
            Role::Orderer if !with_admin_unit => return Err(MspError::Principal("invalid MSP role type 4".into())),
            Role::Client | Role::Peer | Role::Orderer => format!("a [{}]", role.name()),
        };
        self.has_unit_of(units, role).map_err(|cause| {
            MspError::Principal(format!("The identity is not {kind} under this MSP [{}]: {cause}", self.mspid))
        })
    }
}
