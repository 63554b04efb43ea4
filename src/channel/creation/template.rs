//! What channels are made from.

use std::collections::BTreeMap;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{
    ChannelHeader, Config, ConfigGroup, ConfigPolicy, ConfigUpdate, ConfigUpdateEnvelope, Consortium, Envelope,
    FabricMspConfig, Payload, Policy, implicit_meta_policy,
};

use super::{APPLICATION, CONSORTIUM, CREATED, CreationError};
use crate::channel::Bundle;
use crate::channel::config_tree::{ADMINS, implicit, value};
use crate::channel::genesis::{OrderingSettings, ordered_group, organisation_group};

const CREATION_POLICY: &str = "ChannelCreationPolicy";

/// What an ordering service makes channels from: the rules of ordering that all of them begin with, and a consortium.
#[derive(Clone, Debug)]
pub struct ChannelTemplate {
    /// A channel without peers.
    root: ConfigGroup,
    consortium: String,
    /// By the names of their groups.
    members: BTreeMap<String, ConfigGroup>,
    creation_policy: Policy,
}

/// A channel that somebody wants to make.
#[derive(Debug)]
pub struct NewChannel {
    /// Its name.
    pub name: String,
    /// What it has before the update that creates it.
    pub template: Bundle,
}

impl ChannelTemplate {
    /// Of one consortium with these members. An administrator of any of them may create a channel, which is what
    /// configtxgen says of a consortium. `orderers` is the organisation whose orderer signs the channels' blocks.
    pub fn new(
        consortium: &str,
        members: &[FabricMspConfig],
        orderers: &FabricMspConfig,
        ordering: &OrderingSettings,
    ) -> Self {
        let members = members.iter().map(|member| (member.name.clone(), organisation_group(member)));
        Self {
            root: ordered_group(orderers, ordering, consortium),
            consortium: consortium.to_owned(),
            members: members.collect(),
            creation_policy: implicit(implicit_meta_policy::Rule::Any, ADMINS).policy.unwrap_or_default(),
        }
    }

    /// The channel that the update in `envelope` is to create, before that update. Who signed it is not asked here.
    ///
    /// # Errors
    /// When it is no creation, or one that nobody may ask for.
    pub fn new_channel(&self, envelope: &Envelope) -> Result<NewChannel, CreationError> {
        let update = update_of(envelope)?;
        let written = update.write_set.ok_or(CreationError::NoWriteSet)?;
        let application = written.groups.get(APPLICATION).ok_or(CreationError::NoApplication)?;
        if application.version != CREATED {
            return Err(CreationError::ApplicationVersion(application.version));
        }
        let named = written.values.get(CONSORTIUM).ok_or(CreationError::NoConsortium)?;
        let named = Consortium::decode_as_go(named.value.clone()).map_err(CreationError::Consortium)?;
        if named.name != self.consortium {
            return Err(CreationError::UnknownConsortium { name: named.name, known: self.consortium.clone() });
        }
        if application.groups.is_empty() && !self.members.is_empty() {
            return Err(CreationError::NoMembers);
        }
        let config = Config { sequence: 0, channel_group: Some(self.before(application)?) };
        let template = Bundle::from_config(&update.channel_id, &config).map_err(CreationError::template)?;
        Ok(NewChannel { name: update.channel_id, template })
    }

    /// The configuration before an update that writes this `Application`.
    fn before(&self, application: &ConfigGroup) -> Result<ConfigGroup, CreationError> {
        let policy = ConfigPolicy { policy: Some(self.creation_policy.clone()), ..ConfigPolicy::default() };
        let mut group = ConfigGroup { mod_policy: CREATION_POLICY.to_owned(), ..ConfigGroup::default() };
        group.policies.insert(CREATION_POLICY.to_owned(), policy);
        for name in application.groups.keys() {
            let member = self.members.get(name).ok_or_else(|| CreationError::NoMember {
                name: name.clone(),
                members: self.members.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
            group.groups.insert(name.clone(), member.clone());
        }
        let mut root = self.root.clone();
        root.groups.insert(APPLICATION.to_owned(), group);
        root.values.insert(CONSORTIUM.to_owned(), value(&Consortium { name: self.consortium.clone() }));
        Ok(root)
    }
}

/// The update in an envelope, if both name the same channel.
fn update_of(envelope: &Envelope) -> Result<ConfigUpdate, CreationError> {
    let undecodable = |what| move |source| CreationError::Undecodable { what, source };
    let payload = Payload::decode_as_go(envelope.payload.clone()).map_err(undecodable("payload"))?;
    let update = ConfigUpdateEnvelope::decode_as_go(payload.data).map_err(undecodable("config update envelope"))?;
    let header = payload.header.ok_or(CreationError::NoHeader)?;
    let header = ChannelHeader::decode_as_go(header.channel_header).map_err(CreationError::Header)?;
    let update = ConfigUpdate::decode_as_go(update.config_update).map_err(undecodable("config update"))?;
    if update.channel_id != header.channel_id {
        return Err(CreationError::Mismatch { update: update.channel_id, transaction: header.channel_id });
    }
    Ok(update)
}
