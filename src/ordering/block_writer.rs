//! Makes blocks of batches and commits them (Fabric: `multichannel.BlockWriter`).
//!
//! Invariant: a block names the newest configuration at its own end: a block that brings one names itself.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    Block, BlockMetadataIndex, LastConfig, Metadata, MetadataSignature, OrdererBlockMetadata, SignatureHeader,
};

use super::batch::Batch;
use crate::committer::Committer;
use crate::ledger::block;
use crate::msp::Signer;

pub(super) const NONCE_BYTES: usize = 24;

/// What a block is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Ordinary messages.
    Transactions,
    /// One message of type CONFIG.
    Configuration,
}

/// The only one to append to its channel's ledger.
pub(super) struct BlockWriter {
    committer: Committer,
    signer: Arc<dyn Signer>,
}

impl BlockWriter {
    pub(super) fn new(committer: Committer, signer: Arc<dyn Signer>) -> Self {
        Self { committer, signer }
    }

    pub(super) fn channel(&self) -> &str {
        self.committer.ledger().channel_id()
    }

    pub(super) fn write(&self, batch: Batch, content: Content) -> Result<(), String> {
        let started = Instant::now();
        let ledger = self.committer.ledger();
        let info = ledger.chain_info().map_err(|error| error.to_string())?;
        let mut block = block::new_block(info.height, info.current_block_hash, batch);
        let last_config = match content {
            Content::Transactions => ledger.last_config_block_number(),
            Content::Configuration => info.height,
        };
        self.sign(&mut block, LastConfig { index: last_config })?;
        let committed = self.committer.commit(block).map_err(|error| error.to_string())?;
        let (channel, number, codes, times) = (self.channel(), info.height, committed.codes, committed.times);
        tracing::debug!(channel, number, ?codes, "validated a block");
        // Fabric's line (`kvledger.commit`).
        let (count, milliseconds) = (codes.len(), started.elapsed().as_millis());
        // Fabric's line goes on with its databases; here they are one.
        let [validation, write, sync] = [times.state_validation, times.write, times.sync].map(|time| time.as_millis());
        tracing::info!(
            "[{channel}] Committed block [{number}] with {count} transaction(s) in {milliseconds}ms \
             (state_validation={validation}ms write={write}ms sync={sync}ms)"
        );
        Ok(())
    }

    /// Fills the slots that are the orderer's: the signed one, and the last configuration once more for readers of
    /// before 1.4.2.
    fn sign(&self, block: &mut Block, last_config: LastConfig) -> Result<(), String> {
        let metadata = OrdererBlockMetadata { last_config: Some(last_config), consenter_metadata: Bytes::new() };
        let value = metadata.encode_to_vec();
        let mut nonce = vec![0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| "the system gives no random numbers".to_owned())?;
        let header = SignatureHeader { creator: self.signer.serialize(), nonce: nonce.into() }.encode_to_vec();

        let block_header = block.header.clone().unwrap_or_default();
        let signed = [value.as_slice(), &header, &block::header_der(&block_header)].concat();
        let signature = self.signer.sign(&signed).map_err(|error| format!("signing a block: {error}"))?;
        let signature =
            MetadataSignature { signature_header: header.into(), signature, identifier_header: Bytes::new() };
        let signatures = Metadata { value: value.into(), signatures: vec![signature] };
        block::set_metadata(block, BlockMetadataIndex::Signatures, signatures.encode_to_vec().into());

        let last_config = Metadata { value: last_config.encode_to_vec().into(), signatures: Vec::new() };
        block::set_metadata(block, BlockMetadataIndex::LastConfig, last_config.encode_to_vec().into());
        Ok(())
    }
}
