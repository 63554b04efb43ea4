//! Making channels, and what is asked of those that were made and are not joined yet (Fabric:
//! `msgprocessor.SystemChannel`, `multichannel.Registrar`).
//!
//! Differs from Fabric, where an orderer orders a channel from its creation on: here the ledger is the peer's, so that a
//! channel takes transactions once the peer has joined it. Invariant: a channel is made once, whoever asks for it at the
//! same time, and SUCCESS means that its block 0 is durable.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Envelope, HeaderType, Status};
use tokio::sync::Mutex;

use super::created_channels::{CreatedChannel, CreatedChannels};
use super::processor::{Refusal, admit, check_size, propose, updated};
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
    /// Held from the look at a name until the channel is there. Whoever has no right to anything here may send updates, which
    /// cost time to judge: they wait for each other, and keep no threads.
    turn: Arc<Mutex<()>>,
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
        Self { template, signer, ledgers, created, limit, turn: Arc::default() }
    }

    /// What becomes of a message to a channel that is not ordered here.
    pub(super) async fn process(
        self: &Arc<Self>,
        envelope: Envelope,
        transaction: BlockTransaction,
    ) -> Result<(), Refusal> {
        let kind = transaction.header_type();
        if matches!(kind, Some(HeaderType::Config | HeaderType::OrdererTransaction)) {
            return Err(Refusal::bad("message is of type that cannot be processed directly"));
        }
        let channel = transaction.header.channel_id;
        if kind != Some(HeaderType::ConfigUpdate) && self.created.get(&channel).is_none() {
            return Err(Refusal { status: Status::NotFound, info: "channel does not exist".into() });
        }
        // The configuration that it makes is larger yet.
        check_size(&envelope, self.limit)?;
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let this = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            match this.created.get(&channel) {
                Some(created) => Err(this.not_joined(&channel, &created, kind, &envelope)),
                None => this.create(&envelope),
            }
        });
        work.await.unwrap_or_else(|panic| Err(internal(format!("creating the channel panicked: {panic}"))))
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
        let transaction = create_signed_envelope(HeaderType::Config, &channel, &config, &*self.signer)
            .map_err(|error| internal(error.to_string()))?;
        check_size(&transaction, self.limit)?;
        let bundle = Bundle::from_config(&channel, &config.config.unwrap_or_default())
            .map_err(|error| Refusal::bad(error.to_string()))?;
        let naming = self.created.naming();
        // One that is ordered elsewhere, or that could not be opened. Whoever comes as far as here may know of it.
        if self.ledgers.get(&channel).is_some() || self.ledgers.unopened().contains_key(&channel) {
            return Err(Refusal::bad(format!(
                "channel {channel} cannot be created: this node has a channel of that name"
            )));
        }
        let block = block::new_block(0, Bytes::new(), vec![transaction.encode_to_vec().into()]);
        self.created.add(&naming, block, bundle).map_err(|error| {
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

fn internal(info: String) -> Refusal {
    Refusal { status: Status::InternalServerError, info }
}

impl std::fmt::Debug for ChannelCreation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChannelCreation").field("template", &self.template).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
