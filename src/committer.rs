//! From an ordering service's block to the ledger (Fabric: `core/committer`, `peer.chainSupport.Apply`).
//!
//! A block is judged, committed, and if it brings a configuration, that takes effect for everything that is asked from
//! then on. It does not matter where the block comes from. Invariant: a configuration that may not follow the present
//! one, or that asks for what this node lacks, is never committed and never marked invalid: it stops the channel,
//! because the peers that do follow it would have another ledger from here on.

use std::sync::Arc;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{Block, ConfigEnvelope, HeaderType};
use selvedge_proto::protos::TxValidationCode;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;

use crate::channel::update::ConfigUpdateError;
use crate::channel::{Bundle, ChannelError, Channels};
use crate::ledger::transaction::BlockTransaction;
use crate::ledger::{CommittedBlock, Ledger, LedgerError, ReplacedChaincode};
use crate::validation::{BlockValidator, ValidationError};

/// Why a block was not committed, and no later one can be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The channel is not open on this node.
    #[error("channel {0} is not open on this node")]
    NotOpen(String),
    /// A configuration that passed the checks of any transaction cannot be the next one.
    #[error(
        "error validating config which passed initial validity checks: block {number}, transaction {index}: {source}"
    )]
    Config {
        /// The block.
        number: u64,
        /// The transaction in it.
        index: usize,
        /// Why not.
        source: ConfigUpdateError,
    },
    /// Its transactions cannot be judged.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// The ledger does not take the block.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The configuration that was committed cannot be served.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Commits the blocks of one channel. Calls must not overlap.
pub struct Committer {
    ledger: Arc<Ledger>,
    channels: Arc<Channels>,
    validator: Arc<dyn BlockValidator>,
    replaced: Option<UnboundedSender<ReplacedChaincode>>,
}

impl Committer {
    /// Commits to `ledger` what `validator` has judged; configurations go to `channels`.
    pub fn new(ledger: Arc<Ledger>, channels: Arc<Channels>, validator: Arc<dyn BlockValidator>) -> Self {
        Self { ledger, channels, validator, replaced: None }
    }

    /// Tells which versions of chaincode were put out of use, once the blocks that did it are committed. There are few.
    #[must_use]
    pub fn telling(self, replaced: UnboundedSender<ReplacedChaincode>) -> Self {
        Self { replaced: Some(replaced), ..self }
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Judges and commits a block. Runs long; not for an async thread.
    ///
    /// # Errors
    /// [`CommitError`]; the channel cannot go on then.
    pub fn commit(&self, block: Block) -> Result<CommittedBlock, CommitError> {
        let channel = self.ledger.channel_id();
        let height = self.ledger.height()?;
        if block.header.as_ref().is_some_and(|header| header.number < height) {
            // It came before; the ledger says whether it is the same.
            return Ok(self.ledger.commit(block, &[])?);
        }
        let codes = self.validator.validate(&self.ledger, &block)?;
        let next = self.next_configuration(&block, &codes)?;
        let mut in_force = Ok(());
        // Whoever sees the block must not meet the configuration of before it.
        let committed = self.ledger.commit_with(block, &codes, |codes| {
            let valid = |(index, bundle)| (codes.get(index) == Some(&TxValidationCode::Valid)).then_some(bundle);
            let Some(bundle): Option<Bundle> = next.and_then(valid) else { return };
            tracing::info!("[{channel}] configuration {} is in force", bundle.sequence());
            in_force = self.channels.put(bundle);
        })?;
        in_force?;
        for replaced in &committed.replaced {
            tracing::info!("[{channel}] chaincode {}:{} was upgraded", replaced.name, replaced.version);
            // Nobody hears it where nothing is launched.
            let _ = self.replaced.as_ref().map(|listener| listener.send(replaced.clone()));
        }
        Ok(committed)
    }

    /// The configuration after the block, and the transaction that makes it, if the block changes it.
    fn next_configuration(
        &self,
        block: &Block,
        codes: &[TxValidationCode],
    ) -> Result<Option<(usize, Bundle)>, CommitError> {
        let number = block.header.as_ref().map_or(0, |header| header.number);
        let mut next: Option<(usize, Bundle)> = None;
        let envelopes = block.data.iter().flat_map(|data| &data.data);
        for (index, (envelope, code)) in envelopes.zip(codes).enumerate() {
            let Some(transaction) = BlockTransaction::decode(envelope) else { continue };
            if *code != TxValidationCode::Valid || transaction.header_type() != Some(HeaderType::Config) {
                continue;
            }
            let refuse = |source| CommitError::Config { number, index, source };
            let envelope = ConfigEnvelope::decode_as_go(transaction.data)
                .map_err(|source| refuse(ConfigUpdateError::Undecodable { what: "ConfigEnvelope", source }))?;
            let applied = match &next {
                Some((_, bundle)) => bundle.apply(&envelope),
                None => {
                    let channel = self.ledger.channel_id();
                    let not_open = || CommitError::NotOpen(channel.to_owned());
                    self.channels.get(channel).ok_or_else(not_open)?.apply(&envelope)
                }
            };
            next = Some((index, applied.map_err(refuse)?));
        }
        Ok(next)
    }
}
