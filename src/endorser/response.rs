//! Shaping what a client gets (Fabric: `endorseProposal`, `CreateProposalResponse` and
//! `CreateProposalResponseFailure`).
//!
//! | status | channel | response | payload | endorsement |
//! |---|---|---|---|---|
//! | 500 and more | any | yes | yes | no |
//! | 400 to 499 | any | yes | no | no |
//! | below 400 | none | yes | no | no |
//! | below 400 | set | yes | yes | yes |

use prost::Message;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeId, Endorsement, ProposalResponse, ProposalResponsePayload, Response,
};

use super::check::CheckedProposal;
use super::simulate::Simulated;
use super::{EndorserError, hash};
use crate::msp::Signer;

/// Responses from this status on are not endorsed (Fabric: `shim.ERRORTHRESHOLD`).
pub(super) const FIRST_UNENDORSABLE: i32 = 400;
/// Responses from this status on are the chaincode's failures (Fabric: `shim.ERROR`).
pub(super) const FIRST_ERROR: i32 = 500;

/// The peer's own failure.
pub(super) fn failure(error: &EndorserError) -> ProposalResponse {
    let response = Response { status: FIRST_ERROR, message: error.to_string(), ..Response::default() };
    ProposalResponse { response: Some(response), ..ProposalResponse::default() }
}

/// The chaincode's answer, endorsed where it can be.
pub(super) fn shape(
    checked: &CheckedProposal,
    simulated: Simulated,
    signer: &dyn Signer,
) -> Result<ProposalResponse, EndorserError> {
    let status = simulated.response.status;
    let answer = ProposalResponse { response: Some(simulated.response.clone()), ..ProposalResponse::default() };
    if status >= FIRST_ERROR {
        // The client's own id, without the version under which the chaincode ran.
        let payload = payload(checked, simulated, checked.chaincode_id.clone());
        return Ok(ProposalResponse { payload: payload.into(), ..answer });
    }
    if status >= FIRST_UNENDORSABLE || checked.channel().is_empty() {
        return Ok(answer);
    }
    let id = ChaincodeId { version: simulated.version.clone(), ..checked.chaincode_id.clone() };
    let payload = payload(checked, simulated, id);
    let endorsement = endorse(&payload, signer)?;
    Ok(ProposalResponse { version: 1, payload: payload.into(), endorsement: Some(endorsement), ..answer })
}

fn payload(checked: &CheckedProposal, simulated: Simulated, id: ChaincodeId) -> Vec<u8> {
    let action = ChaincodeAction {
        results: simulated.results,
        events: simulated.event.map(|event| event.encode_to_vec().into()).unwrap_or_default(),
        response: Some(simulated.response),
        chaincode_id: Some(id),
    };
    let proposal_hash = hash::proposal_hash(
        &checked.header.channel_header,
        &checked.header.signature_header,
        &hash::payload_without_transient(&simulated.input),
    );
    ProposalResponsePayload { proposal_hash: proposal_hash.to_vec().into(), extension: action.encode_to_vec().into() }
        .encode_to_vec()
}

/// Signs the payload followed by the endorser.
fn endorse(payload: &[u8], signer: &dyn Signer) -> Result<Endorsement, EndorserError> {
    let endorser = signer.serialize();
    let signature = signer.sign(&[payload, &endorser].concat()).map_err(EndorserError::Sign)?;
    Ok(Endorsement { endorser, signature })
}
