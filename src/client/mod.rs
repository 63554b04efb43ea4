//! Stand-in.
#![allow(missing_docs)]
use std::collections::BTreeMap;

use bytes::Bytes;
use selvedge_proto::common::Envelope;
use selvedge_proto::protos::{ProposalResponse, SignedProposal};

use crate::msp::Signer;

#[derive(Debug, thiserror::Error)]
#[error("stand-in")]
pub struct ClientError;

pub struct CreatedProposal {
    pub proposal: Bytes,
    pub signed: SignedProposal,
    pub txid: String,
}

pub fn create_chaincode_proposal(
    _channel: &str,
    _name: &str,
    _args: Vec<Bytes>,
    _transient: BTreeMap<String, Bytes>,
    _signer: &dyn Signer,
) -> Result<CreatedProposal, ClientError> {
    Err(ClientError)
}

pub fn create_signed_tx(
    _proposal: &Bytes,
    _signer: &dyn Signer,
    _responses: &[ProposalResponse],
) -> Result<Envelope, ClientError> {
    Err(ClientError)
}
