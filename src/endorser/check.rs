//! Whether a proposal is looked at at all (Fabric 1.4: `core/handlers/auth/filter/expiration.go`,
//! `core/common/validation/msgvalidation.go`).
//!
//! A function of the received bytes, the clock and who is a member. It asks for things in Fabric's order, because with
//! two things wrong a client sees the first. Invariant: it is total. Three inputs that end a Fabric 1.4 peer (no
//! payload, no chaincode spec, no input in it) are errors here.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use selvedge_proto::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use selvedge_proto::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload, Proposal,
    SignedProposal,
};

use super::{EndorserError, hash};
use crate::channel::{Authenticator, Realm};
use crate::decode::{Undecodable, decode};
use crate::msp::{self, Identity};

/// A proposal that passed, taken apart.
#[derive(Clone, Debug)]
pub struct CheckedProposal {
    /// The message as received.
    pub signed: Arc<SignedProposal>,
    /// The proposal in it.
    pub proposal: Arc<Proposal>,
    /// The headers' bytes as received, which the proposal's hash covers.
    pub header: Header,
    /// The channel header.
    pub channel_header: ChannelHeader,
    /// The creator's bytes as received.
    pub creator_bytes: Bytes,
    /// The chaincode that the client names.
    pub chaincode_id: ChaincodeId,
    /// Who signed the proposal; verified.
    pub creator: Identity,
    /// Where the creator was found. What else is asked about the channel before the simulation is asked here, or a
    /// configuration that comes in between would meet an identity of the one before.
    pub realm: Realm,
}

impl CheckedProposal {
    /// The channel; may be empty.
    pub fn channel(&self) -> &str {
        &self.channel_header.channel_id
    }

    /// The transaction's id.
    pub fn txid(&self) -> &str {
        &self.channel_header.tx_id
    }
}

/// The checks that need no ledger.
///
/// # Errors
/// The first check that failed, with Fabric's text. All of these are refusals ([`super::Placement::Grpc`]).
pub fn check(
    signed: Arc<SignedProposal>,
    now: SystemTime,
    authenticator: &Authenticator,
) -> Result<CheckedProposal, EndorserError> {
    let parse = |part| move |source| EndorserError::Parse { part, source };
    let proposal: Proposal = decode("Proposal", &signed.proposal_bytes).map_err(parse("proposal"))?;
    let header: Header = decode("Header", &proposal.header).map_err(parse("header"))?;
    let signature_header: SignatureHeader =
        decode("SignatureHeader", &header.signature_header).map_err(parse("signature header"))?;
    let channel_header: Result<ChannelHeader, Undecodable> = decode("ChannelHeader", &header.channel_header);
    let creator = &signature_header.creator;

    // Expiry comes first, and the identity has to be looked up for it.
    let channel = channel_header.as_ref().map_or("", |header| header.channel_id.as_str());
    let realm = authenticator.realm(channel);
    let identity = realm.identify(creator);
    let expires_at = identity.as_ref().map_or_else(|_| msp::expires_at(creator), |known| Some(known.expires_at()));
    if expires_at.is_some_and(|expiry| now > expiry) {
        return Err(EndorserError::IdentityExpired);
    }

    let channel_header = channel_header?;
    check_channel_header(&channel_header)?;
    if signature_header.nonce.is_empty() {
        return Err(EndorserError::Nonce);
    }
    if creator.is_empty() {
        return Err(EndorserError::Creator);
    }
    let verify =
        |identity: &Identity| authenticator.verify(identity, creator, &signed.proposal_bytes, &signed.signature);
    let identity = identity.and_then(|identity| verify(&identity).map(|()| identity)).map_err(|cause| {
        let mspid = msp::mspid_of(creator).unwrap_or_default();
        tracing::warn!(channel = channel_header.channel_id, mspid, %cause, "access denied");
        EndorserError::AccessDenied { channel: channel_header.channel_id.clone(), mspid }
    })?;
    let expected = hash::transaction_id(&signature_header.nonce, creator);
    if channel_header.tx_id != expected {
        return Err(EndorserError::TxId { got: channel_header.tx_id, expected });
    }
    let chaincode_id = check_extension(&channel_header)?;
    Ok(CheckedProposal {
        proposal: Arc::new(proposal),
        signed,
        creator_bytes: signature_header.creator,
        channel_header,
        header,
        chaincode_id,
        creator: identity,
        realm,
    })
}

/// The input for the chaincode, out of a proposal's payload.
///
/// # Errors
/// When the payload cannot be decoded or holds none. These are failures ([`super::Placement::Response`]), as in Fabric.
pub fn invocation_input(payload: &Bytes) -> Result<(Bytes, ChaincodeInput), EndorserError> {
    let payload: ChaincodeProposalPayload =
        decode("ChaincodeProposalPayload", payload).map_err(EndorserError::Payload)?;
    let invocation: ChaincodeInvocationSpec =
        decode("ChaincodeInvocationSpec", &payload.input).map_err(EndorserError::Payload)?;
    let spec = invocation
        .chaincode_spec
        .ok_or(EndorserError::NoInput("chaincode invocation spec did not contain chaincode spec"))?;
    let input = spec.input.ok_or(EndorserError::NoInput("chaincode input did not contain any input"))?;
    Ok((payload.input, input))
}

fn check_channel_header(header: &ChannelHeader) -> Result<(), EndorserError> {
    use HeaderType::{Config, ConfigUpdate, EndorserTransaction, TokenTransaction};
    match HeaderType::try_from(header.r#type) {
        Ok(EndorserTransaction | ConfigUpdate | Config | TokenTransaction) => {}
        Ok(other) => return Err(EndorserError::HeaderType(other.as_str_name().into())),
        Err(_) => return Err(EndorserError::HeaderType(header.r#type.to_string())),
    }
    if header.epoch != 0 {
        return Err(EndorserError::Epoch(header.epoch));
    }
    Ok(())
}

fn check_extension(header: &ChannelHeader) -> Result<ChaincodeId, EndorserError> {
    if !matches!(HeaderType::try_from(header.r#type), Ok(HeaderType::Config | HeaderType::EndorserTransaction)) {
        return Err(EndorserError::ProposalType(header.r#type));
    }
    let extension: ChaincodeHeaderExtension =
        decode("ChaincodeHeaderExtension", &header.extension).map_err(|_| EndorserError::HeaderExtension)?;
    let chaincode_id = extension.chaincode_id.ok_or(EndorserError::NoChaincodeId)?;
    if !extension.payload_visibility.is_empty() {
        return Err(EndorserError::PayloadVisibility);
    }
    Ok(chaincode_id)
}
