//! The capabilities `channel-config` and `channel-admin` on the mock: there are no channels, an update is acceptable and a
//! join succeeds, until a test says otherwise. As on a peer, nobody learns more than [`MockStub::on_access`] lets; but a
//! block is looked at after the caller's rights, and a denial names no channel.

use std::rc::Rc;

use super::{MockStub, Transaction};
use crate::{AccessQuery, Blob, ChannelError, ChannelQuery, JoinError, LocalPolicy};

pub(super) type ChannelAnswer = Rc<dyn Fn(ChannelQuery<'_>) -> Result<Vec<u8>, ChannelError>>;
pub(super) type UpdateAnswer = Rc<dyn Fn(&str, &[u8]) -> Result<(), ChannelError>>;
pub(super) type JoinAnswer = Rc<dyn Fn(&[u8]) -> Result<(), JoinError>>;

impl MockStub {
    /// What the capability `channel-config` answers to a question. Without it there is no channel.
    pub fn on_channel_config(&self, answer: impl Fn(ChannelQuery<'_>) -> Result<Vec<u8>, ChannelError> + 'static) {
        self.peer.channels.replace(Some(Rc::new(answer)));
    }

    /// Whether a channel, the first argument, would take an update. Without it every channel takes every one.
    pub fn on_simulate_config_update(&self, answer: impl Fn(&str, &[u8]) -> Result<(), ChannelError> + 'static) {
        self.peer.updates.replace(Some(Rc::new(answer)));
    }

    /// What comes of joining with this block. Without it every join succeeds.
    pub fn on_join_channel(&self, answer: impl Fn(&[u8]) -> Result<(), JoinError> + 'static) {
        self.peer.join.replace(Some(Rc::new(answer)));
    }
}

impl Transaction {
    pub(crate) fn channel_config(&self, query: ChannelQuery<'_>) -> Result<Blob, ChannelError> {
        let access = match query {
            ChannelQuery::Channels => AccessQuery::Local(LocalPolicy::Members),
            ChannelQuery::ConfigBlock(channel) => AccessQuery::Resource { resource: "cscc/GetConfigBlock", channel },
            ChannelQuery::ConfigTree(channel) => AccessQuery::Resource { resource: "cscc/GetConfigTree", channel },
        };
        self.access(access).map_err(ChannelError::AccessDenied)?;
        let answer = self.peer.channels.borrow().clone();
        answer.ok_or(ChannelError::UnknownChannel)?(query).map(Blob::from)
    }

    pub(crate) fn simulate_config_update(&self, channel: &str, update: &Blob) -> Result<(), ChannelError> {
        let resource = "cscc/SimulateConfigTreeUpdate";
        self.access(AccessQuery::Resource { resource, channel }).map_err(ChannelError::AccessDenied)?;
        let answer = self.peer.updates.borrow().clone();
        answer.map_or(Ok(()), |answer| answer(channel, &update.bytes))
    }

    pub(crate) fn join_channel(&self, genesis: &Blob) -> Result<(), JoinError> {
        let denied = |reason| JoinError::AccessDenied { channel: String::new(), reason };
        self.access(AccessQuery::Local(LocalPolicy::Admins)).map_err(denied)?;
        let answer = self.peer.join.borrow().clone();
        answer.map_or(Ok(()), |answer| answer(&genesis.bytes))
    }
}
