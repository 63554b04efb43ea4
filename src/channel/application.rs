//! What a channel's configuration says about its peers (Fabric: `channelconfig.ApplicationConfig`).

use std::collections::BTreeMap;

use selvedge_proto::common::{AcLs, AnchorPeers, ConfigGroup};

use super::capabilities::ApplicationCapabilities;
use super::organisation::{MSP, Msps};
use super::{ConfigError, values};

const ACLS: &str = "ACLs";
const CAPABILITIES: &str = "Capabilities";
const ANCHOR_PEERS: &str = "AnchorPeers";
/// What a policy's name is relative to.
const PREFIX: &str = "/Channel/Application/";

/// The group `/Channel/Application`.
#[derive(Clone, Debug)]
pub struct Application {
    capabilities: ApplicationCapabilities,
    acls: BTreeMap<String, String>,
    organisations: BTreeMap<String, ApplicationOrganisation>,
}

/// An organisation that has peers on the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationOrganisation {
    /// The id of its MSP.
    pub mspid: String,
    /// Where peers of other organisations reach it.
    pub anchor_peers: Vec<AnchorPeer>,
}

/// The address of an anchor peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorPeer {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Application {
    pub(super) fn read(group: &ConfigGroup, msps: &mut Msps) -> Result<Self, ConfigError> {
        values::check_keys(group, &[ACLS, CAPABILITIES])?;
        let capabilities = ApplicationCapabilities::new(values::read(group, CAPABILITIES)?);
        let acls: AcLs = values::read(group, ACLS)?;
        if group.values.contains_key(ACLS) && !capabilities.acls() {
            return Err(ConfigError::AclsWithoutCapability);
        }
        let named = acls.acls.into_iter().filter_map(|(resource, policy)| {
            let policy = policy.policy_ref;
            if policy.is_empty() {
                tracing::warn!(
                    "Policy reference for resource '{resource}' is specified, but empty, falling back to default"
                );
                return None;
            }
            Some((resource, if policy.starts_with('/') { policy } else { format!("{PREFIX}{policy}") }))
        });
        let acls = named.collect();
        let mut organisations = BTreeMap::new();
        for (name, organisation) in &group.groups {
            organisations.insert(name.clone(), ApplicationOrganisation::read(name, organisation, msps)?);
        }
        Ok(Self { capabilities, acls, organisations })
    }

    /// What the channel asks of its peers.
    pub fn capabilities(&self) -> &ApplicationCapabilities {
        &self.capabilities
    }

    /// The policies, by their absolute paths, of the resources that have another than the default one. Empty on a
    /// channel without the capability: there the configuration cannot name any.
    pub fn acls(&self) -> &BTreeMap<String, String> {
        &self.acls
    }

    /// The organisations by the names of their groups, which are usually, but not always, those of their MSPs.
    pub fn organisations(&self) -> &BTreeMap<String, ApplicationOrganisation> {
        &self.organisations
    }
}

impl ApplicationOrganisation {
    fn read(name: &str, group: &ConfigGroup, msps: &mut Msps) -> Result<Self, ConfigError> {
        if !group.groups.is_empty() {
            return Err(ConfigError::SubGroups("ApplicationOrg"));
        }
        values::check_keys(group, &[ANCHOR_PEERS, MSP])?;
        let addresses: AnchorPeers = values::read(group, ANCHOR_PEERS)?;
        let mspid = msps.add(name, group)?;
        // Fabric takes any address into the configuration and passes over what nobody can connect to.
        let usable = addresses.anchor_peers.into_iter().filter_map(|peer| match u16::try_from(peer.port) {
            Ok(port) if port > 0 && !peer.host.is_empty() => Some(AnchorPeer { host: peer.host, port }),
            _ => {
                tracing::warn!("organisation {name}: anchor peer '{}:{}' has no usable address", peer.host, peer.port);
                None
            }
        });
        Ok(Self { anchor_peers: usable.collect(), mspid })
    }
}
