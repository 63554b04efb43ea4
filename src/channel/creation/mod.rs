//! Making a channel (Fabric: `msgprocessor.DefaultTemplator`, `configtxgen -outputCreateChannelTx`).
//!
//! In Fabric a channel is made from the ordering service's system channel: its rules of ordering are taken over, and its
//! consortiums say which organisations may be in a channel together and who decides that. Here a [`ChannelTemplate`] stands
//! for the system channel. A creation is an update of the template: to its group `Application`, whose mod policy is the
//! consortium's policy of creation. [`ChannelTemplate::new_channel`] makes the configuration that the update is for;
//! [`crate::channel::Bundle::propose`] does the rest, as with every update. Invariant: what a creation does not name is the
//! template's.

mod error;
mod template;
#[cfg(test)]
mod tests;

use selvedge_proto::common::{ConfigGroup, ConfigUpdate, ConfigValue, Consortium};

pub use self::error::CreationError;
pub use self::template::{ChannelTemplate, NewChannel};
use super::genesis::application_policies;

/// The groups of the configuration that a creation is about, and the value that names the consortium.
const APPLICATION: &str = "Application";
const CONSORTIUM: &str = "Consortium";
/// The version of the group `Application` in a creation: the template has it at 0.
const CREATED: u64 = 1;

/// The update that makes `channel` for these organisations of the consortium, by the names of their groups: the one that
/// configtxgen makes of a profile with the default policies and Fabric 1.4's capabilities.
pub fn creation_update(channel: &str, consortium: &str, organisations: &[&str]) -> ConfigUpdate {
    let members = || {
        organisations
            .iter()
            .map(|name| ((*name).to_owned(), ConfigGroup::default()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let root = |consortium: ConfigValue, application: ConfigGroup| ConfigGroup {
        values: [(CONSORTIUM.to_owned(), consortium)].into(),
        groups: [(APPLICATION.to_owned(), application)].into(),
        ..ConfigGroup::default()
    };
    let named = prost::Message::encode_to_vec(&Consortium { name: consortium.to_owned() });
    let read = ConfigGroup { groups: members(), ..ConfigGroup::default() };
    let written = ConfigGroup { version: CREATED, groups: members(), ..application_policies() };
    ConfigUpdate {
        channel_id: channel.to_owned(),
        read_set: Some(root(ConfigValue::default(), read)),
        write_set: Some(root(ConfigValue { value: named.into(), ..ConfigValue::default() }, written)),
        ..ConfigUpdate::default()
    }
}
