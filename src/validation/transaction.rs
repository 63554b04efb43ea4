//! One transaction by itself (Fabric: `core/common/validation.ValidateTransaction`).
//!
//! The order of the checks is Fabric's: a transaction with two faults has to get the same code everywhere. What comes after
//! the look-up of the id on the ledger is found here too, and kept until the id was looked up.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader};
use selvedge_proto::protos::{ChaincodeActionPayload, ProposalResponsePayload, Transaction, TxValidationCode as Code};
use selvedge_proto::{DecodeAsGo, holds_field};

use super::action::Action;
use super::verdict::Invalid;
use crate::chaincode::SystemChaincodes;
use crate::channel::capabilities::ApplicationCapabilities;
use crate::endorser::hash;
use crate::msp::MspManager;

/// `ChaincodeActionPayload.chaincode_proposal_payload`.
const PROPOSAL_PAYLOAD: u32 = 1;

/// What a channel's transactions are judged by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) channel: &'a str,
    pub(super) msps: &'a Arc<MspManager>,
    pub(super) application_msps: &'a BTreeSet<&'a str>,
    pub(super) capabilities: &'a ApplicationCapabilities,
    pub(super) system_chaincodes: &'a dyn SystemChaincodes,
}

/// What can be said of a transaction without the state.
#[derive(Debug)]
pub(super) enum Examined {
    /// It is invalid, whatever is on the ledger.
    Invalid(Invalid),
    /// It brings a configuration.
    Config,
    /// It calls a chaincode.
    Endorser(EndorserTransaction),
}

/// A transaction that calls a chaincode.
#[derive(Debug)]
pub(super) struct EndorserTransaction {
    pub(super) txid: String,
    /// What it did, or what is wrong with it unless the id is on the ledger.
    pub(super) action: Result<Box<Action>, Invalid>,
}

/// The action of a transaction, as the endorsers signed it.
pub(super) struct Endorsed {
    /// The call.
    pub(super) payload: ChaincodeActionPayload,
    /// What is in the signed `payload.action.proposal_response_payload`.
    pub(super) response: ProposalResponsePayload,
}

impl Rules<'_> {
    pub(super) fn examine(&self, envelope: &Bytes) -> Examined {
        self.check(envelope).unwrap_or_else(Examined::Invalid)
    }

    fn check(&self, envelope: &Bytes) -> Result<Examined, Invalid> {
        let envelope = Envelope::decode_as_go(envelope.clone())
            .map_err(Invalid::undecodable(Code::InvalidOtherReason, "the envelope"))?;
        let payload = Payload::decode_as_go(envelope.payload.clone())
            .map_err(Invalid::undecodable(Code::BadPayload, "the payload"))?;
        let header = payload.header.unwrap_or_default();
        let (channel_header, signature_header) =
            check_headers(&header).map_err(|reason| Invalid::new(Code::BadCommonHeader, reason))?;
        let bad_creator =
            |error: crate::msp::MspError| Invalid::new(Code::BadCreatorSignature, format!("its creator: {error}"));
        let creator = self.msps.deserialize(&signature_header.creator).map_err(bad_creator)?;
        creator.verify(&envelope.payload, &envelope.signature).map_err(bad_creator)?;

        match HeaderType::try_from(channel_header.r#type) {
            Ok(HeaderType::EndorserTransaction) => {
                check_txid(&channel_header, &signature_header)?;
                let endorsed = endorsed_action(&header, payload.data)
                    .map_err(|reason| Invalid::new(Code::InvalidEndorserTransaction, reason))?;
                self.check_channel(&channel_header)?;
                let action = Action::read(self, &channel_header.extension, endorsed, creator).map(Box::new);
                Ok(Examined::Endorser(EndorserTransaction { txid: channel_header.tx_id, action }))
            }
            Ok(HeaderType::Config) => {
                // A configuration that is none stops the channel, which is for the committer: it may not be marked invalid.
                if payload.data.is_empty() {
                    return Err(Invalid::new(Code::InvalidConfigTransaction, "there is no configuration in it"));
                }
                self.check_channel(&channel_header)?;
                Ok(Examined::Config)
            }
            // Fabric 1.4 knows the type, looks at the id and goes no further.
            Ok(HeaderType::TokenTransaction) => {
                check_txid(&channel_header, &signature_header)?;
                Err(Invalid::new(Code::UnknownTxType, "it is of type TOKEN_TRANSACTION"))
            }
            _ => Err(Invalid::new(Code::UnsupportedTxPayload, format!("it is of type {}", channel_header.r#type))),
        }
    }

    fn check_channel(&self, header: &ChannelHeader) -> Result<(), Invalid> {
        if header.channel_id == self.channel {
            return Ok(());
        }
        Err(Invalid::new(Code::TargetChainNotFound, format!("it is for channel {:?}", header.channel_id)))
    }
}

fn check_headers(header: &Header) -> Result<(ChannelHeader, SignatureHeader), String> {
    use HeaderType::{Config, ConfigUpdate, EndorserTransaction, TokenTransaction};
    let channel_header = ChannelHeader::decode_as_go(header.channel_header.clone())
        .map_err(|cause| format!("the channel header does not decode: {cause}"))?;
    let signature_header = signature_header(&header.signature_header)?;
    let kind = HeaderType::try_from(channel_header.r#type);
    if !matches!(kind, Ok(EndorserTransaction | ConfigUpdate | Config | TokenTransaction)) {
        return Err(format!("invalid header type {}", channel_header.r#type));
    }
    if channel_header.epoch != 0 {
        return Err(format!("invalid Epoch in ChannelHeader. Expected 0, got [{}]", channel_header.epoch));
    }
    check_whole(&signature_header)?;
    Ok((channel_header, signature_header))
}

fn signature_header(bytes: &Bytes) -> Result<SignatureHeader, String> {
    SignatureHeader::decode_as_go(bytes.clone())
        .map_err(|cause| format!("the signature header does not decode: {cause}"))
}

fn check_whole(header: &SignatureHeader) -> Result<(), String> {
    if header.nonce.is_empty() {
        return Err("invalid nonce specified in the header".into());
    }
    if header.creator.is_empty() {
        return Err("invalid creator specified in the header".into());
    }
    Ok(())
}

fn check_txid(channel_header: &ChannelHeader, signature_header: &SignatureHeader) -> Result<(), Invalid> {
    let expected = hash::transaction_id(&signature_header.nonce, &signature_header.creator);
    if channel_header.tx_id == expected {
        return Ok(());
    }
    let reason = format!("invalid txid. got [{}], expected [{expected}]", channel_header.tx_id);
    Err(Invalid::new(Code::BadProposalTxid, reason))
}

/// The transaction's only action, if the endorsers endorsed this very proposal.
fn endorsed_action(header: &Header, data: Bytes) -> Result<Endorsed, String> {
    let undecodable = |what: &'static str| move |cause: prost::DecodeError| format!("{what} does not decode: {cause}");
    let mut transaction = Transaction::decode_as_go(data).map_err(undecodable("the transaction"))?;
    let count = transaction.actions.len();
    let (Some(action), 1) = (transaction.actions.pop(), count) else {
        return Err(format!("only one action per transaction is supported, tx contains {count}"));
    };
    check_whole(&signature_header(&action.header)?)?;
    let payload = ChaincodeActionPayload::decode_as_go(action.payload.clone()).map_err(undecodable("the action"))?;
    let endorsed = payload.action.as_ref().ok_or("the action has no endorsed part")?;
    let response = ProposalResponsePayload::decode_as_go(endorsed.proposal_response_payload.clone())
        .map_err(undecodable("the proposal response"))?;
    if payload.chaincode_proposal_payload.is_empty() && !holds_field(&action.payload, PROPOSAL_PAYLOAD) {
        return Err("the action has no proposal payload".into());
    }
    // The proposal's header is stitched together of the transaction's channel header and the action's signature header.
    let expected = hash::proposal_hash(&header.channel_header, &action.header, &payload.chaincode_proposal_payload);
    if response.proposal_hash[..] != expected {
        return Err("proposal hash does not match".into());
    }
    Ok(Endorsed { payload, response })
}
