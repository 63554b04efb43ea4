//! What an INIT or TRANSACTION message brings, as the guest may ask for it.
//!
//! Most guests ask for little, so the proposal is taken apart only when something in it is wanted.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage, ChaincodeProposalPayload, Proposal, SignedProposal};
use selvedge_proto::{Message, Timestamp, common};
use sha2::{Digest, Sha256};

/// One transaction of one chaincode.
pub struct Transaction {
    /// Channel; empty where the call concerns none.
    pub channel_id: String,
    /// Transaction id.
    pub txid: String,
    /// Arguments and decorations.
    pub input: ChaincodeInput,
    /// The proposal as the client signed it; none in the INIT of a system chaincode.
    pub signed_proposal: Option<SignedProposal>,
    proposal: OnceLock<Option<ProposalParts>>,
}

/// What the headers and the payload of a proposal say.
pub(super) struct ProposalParts {
    pub(super) creator: Bytes,
    nonce: Bytes,
    epoch: u64,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) transient: BTreeMap<String, Bytes>,
}

impl Transaction {
    /// # Errors
    /// A text, when the payload is no `ChaincodeInput`.
    pub(super) fn new(message: ChaincodeMessage) -> Result<Self, String> {
        let input = ChaincodeInput::decode(message.payload)
            .map_err(|error| format!("the payload of the message is no ChaincodeInput: {error}"))?;
        Ok(Self {
            channel_id: message.channel_id,
            txid: message.txid,
            input,
            signed_proposal: message.proposal,
            proposal: OnceLock::new(),
        })
    }

    /// The parts of the proposal; none when there is no proposal, or none that decodes.
    pub(super) fn proposal(&self) -> Option<&ProposalParts> {
        self.proposal.get_or_init(|| self.signed_proposal.as_ref().and_then(ProposalParts::decode)).as_ref()
    }

    /// Nanoseconds since 1970 of the proposal's timestamp; 0 without one. Every clock of the guest shows it.
    pub(super) fn nanoseconds(&self) -> u64 {
        let Some(timestamp) = self.proposal().and_then(|proposal| proposal.timestamp) else { return 0 };
        let seconds = u64::try_from(timestamp.seconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(timestamp.nanos).unwrap_or(0))
    }
}

impl ProposalParts {
    fn decode(signed: &SignedProposal) -> Option<Self> {
        let proposal = Proposal::decode(signed.proposal_bytes.clone()).ok()?;
        let header = common::Header::decode(proposal.header).ok()?;
        let channel_header = common::ChannelHeader::decode(header.channel_header).ok()?;
        let signature_header = common::SignatureHeader::decode(header.signature_header).ok()?;
        let payload = ChaincodeProposalPayload::decode(proposal.payload).ok()?;
        Some(Self {
            creator: signature_header.creator,
            nonce: signature_header.nonce,
            epoch: channel_header.epoch,
            timestamp: channel_header.timestamp,
            transient: payload.transient_map,
        })
    }

    /// SHA-256 of nonce, creator and epoch (Fabric: `utils.ComputeProposalBinding`).
    pub(super) fn binding(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.nonce);
        hash.update(&self.creator);
        hash.update(self.epoch.to_le_bytes());
        hash.finalize().into()
    }
}

/// A sequence of numbers that channel and transaction id determine: the same on every endorser, and not to be guessed
/// before the client has chosen its nonce. SHA-256 of (channel, 0, txid, counter), eight bytes at a time. The id of an INIT
/// without a proposal is this node's own, so there the chaincode's name stands for it.
#[derive(Default)]
pub(super) struct Random {
    block: [u8; 32],
    used: usize,
    counter: u64,
}

impl Random {
    pub(super) fn next(&mut self, transaction: &Transaction, chaincode: &str) -> u64 {
        if self.counter == 0 || self.used == self.block.len() {
            let mut hash = Sha256::new();
            hash.update(transaction.channel_id.as_bytes());
            hash.update([0]);
            hash.update(if transaction.signed_proposal.is_some() { &*transaction.txid } else { chaincode });
            hash.update(self.counter.to_le_bytes());
            self.block = hash.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &str, txid: &str) -> ChaincodeMessage {
        ChaincodeMessage { channel_id: channel.into(), txid: txid.into(), ..Default::default() }
    }

    #[test]
    fn random_numbers_follow_from_channel_and_txid_alone() {
        let numbers = |message, chaincode| {
            let transaction = Transaction::new(message).unwrap();
            let mut random = Random::default();
            (0..9).map(|_| random.next(&transaction, chaincode)).collect::<Vec<_>>()
        };
        let proposed = |channel, txid| {
            let proposal = Some(SignedProposal::default());
            numbers(ChaincodeMessage { proposal, ..message(channel, txid) }, "cc")
        };
        let first = proposed("c", "t");
        assert_eq!(first, proposed("c", "t"));
        assert_ne!(first, proposed("c", "u"));
        assert_ne!(first, proposed("d", "t"));

        let init = numbers(message("c", "an id of one node"), "cc");
        assert_eq!(init, numbers(message("c", "an id of another"), "cc"));
        assert_ne!(init, numbers(message("d", "an id of one node"), "cc"));
        assert_ne!(init, numbers(message("c", "an id of one node"), "other"));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), 9, "the sequence goes on past one hash: {first:?}");
    }

    #[test]
    fn without_a_proposal_there_is_no_creator_and_the_clock_reads_zero() {
        let transaction = Transaction::new(message("c", "t")).unwrap();
        assert!(transaction.proposal().is_none());
        assert_eq!(transaction.nanoseconds(), 0);
    }
}
