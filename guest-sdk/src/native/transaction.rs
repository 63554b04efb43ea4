//! One INIT or TRANSACTION, in a thread of its own, to the message that answers it (Fabric: `shim.Handler.handleInit`,
//! `handleTransaction`).
//!
//! Invariant: each is answered by exactly one COMPLETED or ERROR, whatever the chaincode does but end the process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{
    self, ChaincodeEvent, ChaincodeInput, ChaincodeMessage, ChaincodeProposalPayload, Proposal, SignedProposal,
};
use selvedge_proto::{Message, Timestamp, common};
use sha2::{Digest, Sha256};

use super::handler::Shim;
use super::link::{Link, fits};
use super::log::Log;
use super::panics;
use crate::peer::Peer;
use crate::{Error, Response, Stub, status};

/// Which function of the chaincode a message calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Init,
    Invoke,
}

/// A transaction's requests to the peer. A query's rows have one of their own.
#[derive(Clone)]
pub(super) struct Exchange {
    shim: Arc<Shim>,
    link: Arc<Link>,
    channel: Rc<str>,
    txid: Rc<str>,
}

impl Exchange {
    pub(super) fn request(&self, kind: Type, payload: &impl Message) -> Result<Bytes, Error> {
        let payload = Bytes::from(payload.encode_to_vec());
        self.link.request(&self.channel, &self.txid, kind, payload).map_err(Error::Peer)
    }

    /// Keys that one GET_STATE_MULTIPLE may hold; 0 where the peer does not know that message.
    pub(super) fn multiple(&self) -> usize {
        self.link.multiple()
    }

    pub(super) fn log(&self) -> &Log {
        &self.shim.log
    }

    pub(super) fn config(&self, key: &str) -> Option<String> {
        self.shim.config(key)
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn txid(&self) -> &str {
        &self.txid
    }
}

/// What the message brought, and what the chaincode leaves behind.
pub(super) struct Transaction {
    pub(super) exchange: Exchange,
    pub(super) input: ChaincodeInput,
    pub(super) signed: Option<SignedProposal>,
    pub(super) proposal: Option<ProposalParts>,
    pub(super) event: RefCell<Option<ChaincodeEvent>>,
}

/// What the headers and the payload of a proposal say.
pub(super) struct ProposalParts {
    pub(super) creator: Bytes,
    nonce: Bytes,
    epoch: u64,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) transient: BTreeMap<String, Bytes>,
}

impl ProposalParts {
    fn decode(signed: &SignedProposal) -> Result<Self, String> {
        let proposal = part(Proposal::decode(signed.proposal_bytes.clone()))?;
        let header = part(common::Header::decode(proposal.header))?;
        let channel_header = part(common::ChannelHeader::decode(header.channel_header))?;
        let signature_header = part(common::SignatureHeader::decode(header.signature_header))?;
        let payload = part(ChaincodeProposalPayload::decode(proposal.payload))?;
        Ok(Self {
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

fn part<T>(decoded: Result<T, impl std::fmt::Display>) -> Result<T, String> {
    decoded.map_err(|error| format!("the proposal of the message does not decode: {error}"))
}

/// Runs it, in the calling thread.
pub(super) fn execute(shim: &Arc<Shim>, link: &Arc<Link>, message: ChaincodeMessage) -> ChaincodeMessage {
    let (txid, channel_id) = (message.txid.clone(), message.channel_id.clone());
    let answer = panics::catch(|| answer(shim, link, message)).unwrap_or_else(|panic| {
        // In the form of the sandbox's report.
        let text = format!("chaincode {} trapped: {panic}", shim.id);
        shim.log.error(&text);
        Err(text)
    });
    let answer = answer.unwrap_or_else(|text| ChaincodeMessage {
        r#type: Type::Error.into(),
        payload: Bytes::from(text),
        ..Default::default()
    });
    ChaincodeMessage { txid, channel_id, ..answer }
}

fn answer(shim: &Arc<Shim>, link: &Arc<Link>, message: ChaincodeMessage) -> Result<ChaincodeMessage, String> {
    let entry = if message.r#type() == Type::Init { Entry::Init } else { Entry::Invoke };
    let input = ChaincodeInput::decode(message.payload)
        .map_err(|error| format!("the payload of the message is no ChaincodeInput: {error}"))?;
    let proposal = message.proposal.as_ref().map(ProposalParts::decode).transpose()?;
    let exchange = Exchange {
        shim: Arc::clone(shim),
        link: Arc::clone(link),
        channel: message.channel_id.into(),
        txid: message.txid.into(),
    };
    let event = RefCell::default();
    let transaction = Rc::new(Transaction { exchange, input, signed: message.proposal, proposal, event });
    let response = shim.call(entry, &Stub { peer: Rc::clone(&transaction) as Rc<dyn Peer> });
    if entry == Entry::Init && response.status >= status::ERROR {
        // As Fabric's Go shim: a peer that instantiates does not look at the status of what is COMPLETED.
        fits(Type::Error, response.message.len())?;
        return Err(response.message);
    }
    completed(response, transaction.event.take())
}

fn completed(response: Response, event: Option<ChaincodeEvent>) -> Result<ChaincodeMessage, String> {
    let payload = response.payload_bytes();
    let response = protos::Response { status: response.status, message: response.message, payload: payload.into() };
    let payload = Bytes::from(response.encode_to_vec());
    fits(Type::Completed, payload.len() + event.as_ref().map_or(0, |event| event.payload.len()))?;
    Ok(ChaincodeMessage { r#type: Type::Completed.into(), payload, chaincode_event: event, ..Default::default() })
}
