//! The capabilities `channel-config` and `channel-admin` as the sandbox imports them.

use super::bindings::selvedge::peer::{channel_admin, channel_config};
use super::imports::Imports;
use crate::{Blob, ChannelError, ChannelQuery, JoinError};

impl Imports {
    pub(crate) fn channel_config(&self, query: ChannelQuery<'_>) -> Result<Blob, ChannelError> {
        let answer = match query {
            ChannelQuery::Channels => channel_config::channels(),
            ChannelQuery::ConfigBlock(channel) => channel_config::config_block(channel),
            ChannelQuery::ConfigTree(channel) => channel_config::config_tree(channel),
        };
        answer.map(|handle| Blob { handle }).map_err(refused)
    }

    pub(crate) fn simulate_config_update(&self, channel: &str, update: &Blob) -> Result<(), ChannelError> {
        channel_config::simulate_update(channel, &update.handle).map_err(refused)
    }

    pub(crate) fn join_channel(&self, genesis: &Blob) -> Result<(), JoinError> {
        use channel_admin::{Error, OfChannel};
        channel_admin::join(&genesis.handle).map_err(|error| match error {
            Error::NoBlock(reason) => JoinError::NoBlock(reason),
            Error::NoChannel(reason) => JoinError::NoChannel(reason),
            Error::NoConfiguration(OfChannel { channel, reason }) => JoinError::NoConfiguration { channel, reason },
            Error::AccessDenied(OfChannel { channel, reason }) => JoinError::AccessDenied { channel, reason },
            Error::Refused(reason) => JoinError::Refused(reason),
        })
    }
}

fn refused(error: channel_config::Error) -> ChannelError {
    match error {
        channel_config::Error::AccessDenied(reason) => ChannelError::AccessDenied(reason),
        channel_config::Error::UnknownChannel => ChannelError::UnknownChannel,
        channel_config::Error::Refused(reason) => ChannelError::Refused(reason),
    }
}
