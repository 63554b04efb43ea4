//! What one part asks and another answers, where their words differ.

use std::sync::Arc;

use async_trait::async_trait;
use selvedge_proto::common::Envelope;
use selvedge_proto::protos::SignedProposal;

use super::embedded_orderer::ordering_service;
use crate::chaincode::{AccessControl, ApplicationCapabilities, ApplicationConfig, Denied};
use crate::channel::{AclChecker, Channels, resource};
use crate::ledger::LedgerProvider;
use crate::operations::HealthCheck;
use crate::ordering::{DeliverAccess, OrdererDirectory, Orderers};

/// The access control lists, for chaincode and for streams of blocks.
pub(super) struct Access {
    pub(super) acl: AclChecker,
    pub(super) channels: Arc<Channels>,
}

impl AccessControl for Access {
    fn check(&self, resource: &str, channel: &str, signed: &SignedProposal) -> Result<(), Denied> {
        self.acl.check(resource, channel, signed).map_err(|error| Denied(error.to_string()))
    }
}

impl DeliverAccess for Access {
    fn is_open(&self, channel: &str) -> bool {
        self.channels.get(channel).is_some()
    }

    fn check(&self, resource: &str, channel: &str, envelope: &Envelope) -> Result<(), String> {
        self.acl.check_envelope(resource, channel, envelope).map_err(|error| error.to_string())
    }
}

/// The application capabilities of the channels.
pub(super) struct ChannelCapabilities(pub(super) Arc<Channels>);

impl ApplicationConfig for ChannelCapabilities {
    fn capabilities(&self, channel: &str) -> Option<ApplicationCapabilities> {
        let bundle = self.0.get(channel)?;
        let capabilities = bundle.application()?.capabilities();
        Some(ApplicationCapabilities {
            key_level_endorsement: capabilities.key_level_endorsement(),
            purge_private_data: capabilities.purge_private_data(),
        })
    }
}

/// Where the channels of this node are ordered, for those who may read the channel's blocks from an orderer.
pub(super) struct Directory {
    pub(super) ledgers: Arc<LedgerProvider>,
    pub(super) channels: Arc<Channels>,
    pub(super) acl: AclChecker,
}

impl OrdererDirectory for Directory {
    fn orderer_addresses(&self, channel: &str, envelope: &Envelope) -> Option<Vec<String>> {
        let bundle = self.channels.get(channel)?;
        self.acl.check_envelope(resource::ORDERER_DELIVER, channel, envelope).ok()?;
        Some(ordering_service(&bundle))
    }

    fn is_unopened(&self, channel: &str) -> bool {
        self.ledgers.unopened().contains_key(channel)
    }
}

/// Whether the embedded orderers commit what they are sent: one whose ledger failed has stopped for good.
pub(super) struct OrderersWork(pub(super) Arc<Orderers>);

#[async_trait]
impl HealthCheck for OrderersWork {
    async fn check(&self) -> Result<(), String> {
        match self.0.failure() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }
}

/// Whether every channel on disk is open and takes blocks.
pub(super) struct LedgersWork(pub(super) Arc<LedgerProvider>);

#[async_trait]
impl HealthCheck for LedgersWork {
    async fn check(&self) -> Result<(), String> {
        self.0.failure().map_or(Ok(()), Err)
    }
}
