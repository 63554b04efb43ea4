//! The capability `policies` on the mock: a channel of the newest capabilities, with the policies of [`MockPolicies`], which
//! everybody satisfies, until a test says otherwise.

use std::rc::Rc;

use super::transaction::Entry;
use super::{MockStub, Transaction};
use crate::{ChannelCapabilities, CollectionsError};

pub(super) type InstantiationAnswer = Rc<dyn Fn(&[u8]) -> Result<(), String>>;
pub(super) type CollectionsAnswer = Rc<dyn Fn(&[u8]) -> Result<(), CollectionsError>>;

/// What the mock's channel says about instantiating chaincode.
#[derive(Debug, Clone)]
pub struct MockPolicies {
    /// The application capabilities.
    pub capabilities: ChannelCapabilities,
    /// Stands for the marshalled endorsement policy by default.
    pub default_endorsement: Vec<u8>,
    /// Stands for the marshalled instantiation policy by default.
    pub default_instantiation: Vec<u8>,
}

impl Default for MockPolicies {
    fn default() -> Self {
        Self {
            capabilities: ChannelCapabilities { private_channel_data: true, collection_upgrade: true },
            default_endorsement: b"any member".to_vec(),
            default_instantiation: b"any administrator".to_vec(),
        }
    }
}

impl MockStub {
    /// What the channel says from now on.
    pub fn set_policies(&self, policies: MockPolicies) {
        self.peer.policies.replace(policies);
    }

    /// Who satisfies which instantiation policy. Without it everybody every one.
    pub fn on_instantiation(&self, answer: impl Fn(&[u8]) -> Result<(), String> + 'static) {
        self.peer.instantiation.replace(Some(Rc::new(answer)));
    }

    /// Which collections can be used. Without it all.
    pub fn on_collections(&self, answer: impl Fn(&[u8]) -> Result<(), CollectionsError> + 'static) {
        self.peer.collections.replace(Some(Rc::new(answer)));
    }
}

impl Transaction {
    pub(crate) fn channel_capabilities(&self) -> Result<ChannelCapabilities, String> {
        self.own_channel()?;
        Ok(self.peer.policies.borrow().capabilities)
    }

    pub(crate) fn default_endorsement(&self) -> Result<Vec<u8>, String> {
        self.own_channel()?;
        Ok(self.peer.policies.borrow().default_endorsement.clone())
    }

    pub(crate) fn check_instantiation(&self, policy: &[u8]) -> Result<(), String> {
        self.own_channel()?;
        if self.entry == Entry::Init {
            return Err("there is no signed proposal".to_owned());
        }
        let answer = self.peer.instantiation.borrow().clone();
        answer.map_or(Ok(()), |answer| answer(policy))
    }

    pub(crate) fn check_collections(&self, collections: &[u8]) -> Result<(), CollectionsError> {
        self.own_channel().map_err(CollectionsError::Refused)?;
        let answer = self.peer.collections.borrow().clone();
        answer.map_or(Ok(()), |answer| answer(collections))
    }

    fn own_channel(&self) -> Result<(), String> {
        match self.peer.channel.borrow().as_str() {
            "" => Err("could not get MSP manager for channel ".to_owned()),
            _ => Ok(()),
        }
    }
}
