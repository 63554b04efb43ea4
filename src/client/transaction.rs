//! Making a transaction of endorsed responses (Fabric: `CreateSignedTx`).

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Envelope, Header, Payload, SignatureHeader};
use selvedge_proto::protos::{
    ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeProposalPayload, Proposal, ProposalResponse, Transaction,
    TransactionAction,
};

use super::ClientError;
use crate::endorser::decode;
use crate::endorser::hash::payload_without_transient;
use crate::msp::Signer;

/// Statuses that a transaction may be made of.
const SUCCESSFUL: std::ops::Range<i32> = 200..400;

/// A transaction of `proposal` (marshalled) and what peers answered to it, signed by who made the proposal. Of several
/// endorsements of one peer the first counts.
///
/// # Errors
/// When a peer did not endorse, the peers do not agree, or the signer is somebody else.
pub fn create_signed_tx(
    proposal: &Bytes,
    signer: &dyn Signer,
    responses: &[ProposalResponse],
) -> Result<Envelope, ClientError> {
    let first = responses.first().ok_or(ClientError::NoResponses)?;
    let proposal: Proposal = decode("Proposal", proposal)?;
    let header: Header = decode("Header", &proposal.header)?;
    let signature_header: SignatureHeader = decode("SignatureHeader", &header.signature_header)?;
    let payload: ChaincodeProposalPayload = decode("ChaincodeProposalPayload", &proposal.payload)?;
    if signature_header.creator != signer.serialize() {
        return Err(ClientError::OtherSigner);
    }
    for response in responses {
        let answer = response.response.clone().unwrap_or_default();
        if !SUCCESSFUL.contains(&answer.status) {
            return Err(ClientError::Unsuccessful { status: answer.status, message: answer.message });
        }
        if response.payload != first.payload {
            return Err(ClientError::Mismatch);
        }
    }
    let mut endorsers = HashSet::new();
    let endorsements: Vec<_> = responses
        .iter()
        .filter_map(|response| response.endorsement.clone())
        .filter(|endorsement| endorsers.insert(endorsement.endorser.clone()))
        .collect();
    if endorsements.is_empty() {
        return Err(ClientError::NoEndorsements);
    }

    let action = ChaincodeActionPayload {
        chaincode_proposal_payload: payload_without_transient(&payload.input).into(),
        action: Some(ChaincodeEndorsedAction { proposal_response_payload: first.payload.clone(), endorsements }),
    };
    let action = TransactionAction { header: header.signature_header.clone(), payload: action.encode_to_vec().into() };
    let data = Transaction { actions: vec![action] }.encode_to_vec().into();
    let payload = Bytes::from(Payload { header: Some(header), data }.encode_to_vec());
    Ok(Envelope { signature: signer.sign(&payload)?, payload })
}
