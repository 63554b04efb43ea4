//! One transaction (Fabric: `core/common/validation.ValidateTransaction`, `txvalidator.VsccValidatorImpl`).
//!
//! The order of the checks is Fabric's: a transaction with two faults has to get the same code everywhere.

use std::collections::BTreeSet;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeEvent, ChaincodeHeaderExtension,
    ProposalResponsePayload, Transaction, TxValidationCode,
};

use super::results::check_results;
use crate::chaincode::SystemChaincodes;
use crate::endorser::hash;
use crate::msp::MspManager;

/// What a channel's transactions are judged by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) channel: &'a str,
    pub(super) msps: &'a MspManager,
    pub(super) application_msps: &'a BTreeSet<&'a str>,
    pub(super) system_chaincodes: &'a dyn SystemChaincodes,
}

impl Rules<'_> {
    /// The code of a transaction, as far as this module can tell.
    pub(super) fn judge(&self, envelope: &Bytes) -> TxValidationCode {
        match self.check(envelope) {
            Ok(()) => TxValidationCode::Valid,
            Err(code) => code,
        }
    }

    fn check(&self, envelope: &Bytes) -> Result<(), TxValidationCode> {
        let envelope = Envelope::decode_as_go(envelope.clone()).or(Err(TxValidationCode::InvalidOtherReason))?;
        let payload = Payload::decode_as_go(envelope.payload.clone()).or(Err(TxValidationCode::BadPayload))?;
        let header = payload.header.unwrap_or_default();
        let (channel_header, signature_header) = check_headers(&header).ok_or(TxValidationCode::BadCommonHeader)?;
        self.msps
            .deserialize(&signature_header.creator)
            .and_then(|creator| creator.verify(&envelope.payload, &envelope.signature))
            .or(Err(TxValidationCode::BadCreatorSignature))?;
        match HeaderType::try_from(channel_header.r#type) {
            Ok(HeaderType::EndorserTransaction) => {
                if channel_header.tx_id != hash::transaction_id(&signature_header.nonce, &signature_header.creator) {
                    return Err(TxValidationCode::BadProposalTxid);
                }
                let action =
                    endorsed_action(&header, payload.data).ok_or(TxValidationCode::InvalidEndorserTransaction)?;
                self.check_channel(&channel_header)?;
                self.check_action(&channel_header, &action)
            }
            Ok(HeaderType::Config) => {
                // A configuration that is none stops the channel, which is for the committer: it may not be marked invalid.
                if payload.data.is_empty() {
                    return Err(TxValidationCode::InvalidConfigTransaction);
                }
                self.check_channel(&channel_header)
            }
            _ => Err(TxValidationCode::UnsupportedTxPayload),
        }
    }

    fn check_channel(&self, header: &ChannelHeader) -> Result<(), TxValidationCode> {
        if header.channel_id == self.channel { Ok(()) } else { Err(TxValidationCode::TargetChainNotFound) }
    }

    fn check_action(&self, header: &ChannelHeader, endorsed: &ChaincodeEndorsedAction) -> Result<(), TxValidationCode> {
        let extension = ChaincodeHeaderExtension::decode_as_go(header.extension.clone())
            .or(Err(TxValidationCode::BadHeaderExtension))?;
        let response = ProposalResponsePayload::decode_as_go(endorsed.proposal_response_payload.clone())
            .or(Err(TxValidationCode::BadResponsePayload))?;
        let action = ChaincodeAction::decode_as_go(response.extension).or(Err(TxValidationCode::BadResponsePayload))?;
        let name = check_names(&extension, &action);
        // A read-write set that cannot be decoded comes before a wrong name.
        check_results(name.as_deref(), &action.results, self.system_chaincodes)?;
        self.check_endorsements(endorsed)
    }

    /// Until definitions come with `lscc`, every chaincode has the policy that `lscc` gives by default: one member of
    /// any application organisation. A signature that does not fit counts for nothing, but spoils nothing either.
    fn check_endorsements(&self, endorsed: &ChaincodeEndorsedAction) -> Result<(), TxValidationCode> {
        let endorsed_by_member = endorsed.endorsements.iter().any(|endorsement| {
            let message = [&endorsed.proposal_response_payload[..], &endorsement.endorser].concat();
            self.msps.deserialize(&endorsement.endorser).is_ok_and(|endorser| {
                self.application_msps.contains(endorser.mspid())
                    && endorser.verify(&message, &endorsement.signature).is_ok()
            })
        });
        if endorsed_by_member { Ok(()) } else { Err(TxValidationCode::EndorsementPolicyFailure) }
    }
}

fn check_headers(header: &Header) -> Option<(ChannelHeader, SignatureHeader)> {
    use HeaderType::{Config, ConfigUpdate, EndorserTransaction, TokenTransaction};
    let channel_header = ChannelHeader::decode_as_go(header.channel_header.clone()).ok()?;
    let signature_header = SignatureHeader::decode_as_go(header.signature_header.clone()).ok()?;
    let known = matches!(
        HeaderType::try_from(channel_header.r#type),
        Ok(EndorserTransaction | ConfigUpdate | Config | TokenTransaction)
    );
    let whole = known && channel_header.epoch == 0 && is_whole(&signature_header);
    whole.then_some((channel_header, signature_header))
}

fn is_whole(header: &SignatureHeader) -> bool {
    !header.nonce.is_empty() && !header.creator.is_empty()
}

/// The transaction's only action, if the endorsers endorsed this very proposal.
fn endorsed_action(header: &Header, data: Bytes) -> Option<ChaincodeEndorsedAction> {
    let transaction = Transaction::decode_as_go(data).ok()?;
    let [action] = &transaction.actions[..] else { return None };
    let action_header = SignatureHeader::decode_as_go(action.header.clone()).ok()?;
    let payload = ChaincodeActionPayload::decode_as_go(action.payload.clone()).ok()?;
    let endorsed = payload.action?;
    let response = ProposalResponsePayload::decode_as_go(endorsed.proposal_response_payload.clone()).ok()?;
    let proposal_hash =
        hash::proposal_hash(&header.channel_header, &action.header, &payload.chaincode_proposal_payload);
    (is_whole(&action_header) && response.proposal_hash[..] == proposal_hash).then_some(endorsed)
}

/// The chaincode's name, if action, header and event agree on it and there is a version.
fn check_names(extension: &ChaincodeHeaderExtension, action: &ChaincodeAction) -> Option<String> {
    let invoked = extension.chaincode_id.as_ref()?;
    let ran = action.chaincode_id.as_ref()?;
    let event = ChaincodeEvent::decode_as_go(action.events.clone()).ok()?;
    let event_fits = action.events.is_empty() || event.chaincode_id == invoked.name;
    let fits = !invoked.name.is_empty() && ran.name == invoked.name && !ran.version.is_empty() && event_fits;
    fits.then(|| ran.name.clone())
}
