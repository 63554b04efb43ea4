//! Making channels, and what is asked of those that were made and are not joined yet (Fabric:
//! `msgprocessor.SystemChannel`, `multichannel.Registrar`).
//!
//! Differs from Fabric, where an orderer orders a channel from its creation on: here the ledger is the peer's, so that a
//! channel takes transactions once the peer has joined it. Invariant: a channel is made once, whoever asks for it at the
//! same time, and SUCCESS means that its block 0 is durable.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Envelope, HeaderType, Status};

use super::batch;
use super::created_channels::{CreatedChannel, CreatedChannels};
use super::processor::{Refusal, admit, propose, updated};
use crate::channel::Bundle;
use crate::channel::creation::ChannelTemplate;
use crate::client::create_signed_envelope;
use crate::ledger::transaction::BlockTransaction;
use crate::ledger::{LedgerProvider, block};
use crate::msp::Signer;

/// Makes channels.
pub struct ChannelCreation {
    template: ChannelTemplate,
    signer: Arc<dyn Signer>,
    ledgers: Arc<LedgerProvider>,
    created: Arc<CreatedChannels>,
    /// Bytes of the message with a channel's first configuration.
    limit: usize,
    /// Held from the look at a name until the channel is there.
    creating: Mutex<()>,
}

impl ChannelCreation {
    /// Makes channels from `template` whose blocks `signer` will sign, and keeps them in `created` until they are among
    /// `ledgers`. A channel's first configuration has at most `limit` bytes.
    pub fn new(
        template: ChannelTemplate,
        signer: Arc<dyn Signer>,
        ledgers: Arc<LedgerProvider>,
        created: Arc<CreatedChannels>,
        limit: usize,
    ) -> Self {
        Self { template, signer, ledgers, created, limit, creating: Mutex::default() }
    }

    /// What becomes of a message to a channel that is not ordered here. Runs long; not for an async thread.
    pub(super) fn process(&self, envelope: &Envelope, transaction: &BlockTransaction) -> Result<(), Refusal> {
        let channel = &transaction.header.channel_id;
        let kind = transaction.header_type();
        if matches!(kind, Some(HeaderType::Config | HeaderType::OrdererTransaction)) {
            return Err(Refusal::bad("message is of type that cannot be processed directly"));
        }
        if let Some(created) = self.created.get(channel) {
            return Err(self.not_joined(channel, &created, kind, envelope));
        }
        if kind != Some(HeaderType::ConfigUpdate) {
            return Err(Refusal { status: Status::NotFound, info: "channel does not exist".into() });
        }
        self.create(envelope)
    }

    fn create(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let new = self.template.new_channel(envelope).map_err(|error| Refusal::bad(error.to_string()))?;
        let channel = new.name;
        let config = propose(&new.template, envelope, &*self.signer).map_err(|cause| {
            Refusal::bad(format!(
                "error validating channel creation transaction for new channel '{channel}', could not succesfully apply update \
                 to template configuration: {cause}"
            ))
        })?;
        let internal = |info: String| Refusal { status: Status::InternalServerError, info };
        let transaction = create_signed_envelope(HeaderType::Config, &channel, &config, &*self.signer)
            .map_err(|error| internal(error.to_string()))?;
        let size = batch::size(&transaction);
        if size > self.limit {
            let limit = self.limit;
            return Err(Refusal::bad(format!(
                "message payload is {size} bytes and exceeds maximum allowed {limit} bytes"
            )));
        }
        let bundle = Bundle::from_config(&channel, &config.config.unwrap_or_default())
            .map_err(|error| Refusal::bad(error.to_string()))?;

        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(created) = self.created.get(&channel) {
            return Err(self.not_joined(&channel, &created, Some(HeaderType::ConfigUpdate), envelope));
        }
        // One that is ordered elsewhere, or that could not be opened. Whoever comes as far as here may know of it.
        if self.ledgers.get(&channel).is_some() || self.ledgers.unopened().contains_key(&channel) {
            return Err(Refusal::bad(format!(
                "channel {channel} cannot be created: this node has a channel of that name"
            )));
        }
        let block = block::new_block(0, Bytes::new(), vec![transaction.encode_to_vec().into()]);
        self.created.add(block, bundle).map_err(|error| {
            tracing::error!("[{channel}] cannot be created: {error}");
            internal(format!("channel {channel} cannot be created; the node's log says why"))
        })?;
        tracing::info!("Created new chain {channel}; it takes transactions once this node has joined it");
        Ok(())
    }

    /// The answer is the one that the channel's configuration gives, as for a channel that is joined, and if that is yes,
    /// that it cannot be done yet.
    fn not_joined(
        &self,
        channel: &str,
        created: &CreatedChannel,
        kind: Option<HeaderType>,
        envelope: &Envelope,
    ) -> Refusal {
        let unavailable = |info| Refusal { status: Status::ServiceUnavailable, info };
        let Some(bundle) = &created.bundle else {
            return unavailable(format!("channel {channel} was created here and is damaged; the node's log says more"));
        };
        let admitted = match kind {
            Some(HeaderType::ConfigUpdate) => updated(bundle, envelope, &*self.signer).map(drop),
            _ => admit(bundle, envelope),
        };
        match admitted {
            Err(refusal) => refusal,
            Ok(()) => unavailable(format!(
                "channel {channel} was created here and this node has not joined it; join it first (`selvedge channel join`)"
            )),
        }
    }
}

impl std::fmt::Debug for ChannelCreation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChannelCreation").field("template", &self.template).finish_non_exhaustive()
    }
}
