//! Making and signing proposals.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::Timestamp;
use selvedge_proto::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use selvedge_proto::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec, Proposal, SignedProposal, chaincode_spec,
};

use super::ClientError;
use super::envelope::nonce;
use crate::endorser::hash::transaction_id;
use crate::msp::Signer;

/// A proposal to be made.
#[derive(Clone, Debug)]
pub struct NewProposal<'a> {
    /// The channel; empty for what concerns the peer alone.
    pub channel: &'a str,
    /// The chaincode's name.
    pub chaincode: &'a str,
    /// The chaincode's arguments, its function's name first.
    pub args: Vec<Bytes>,
    /// Values for the endorsers' eyes only.
    pub transient: BTreeMap<String, Bytes>,
    /// ENDORSER_TRANSACTION; CONFIG for `cscc JoinChain`.
    pub header_type: HeaderType,
    /// The chaincode's language, which endorsers do not look at.
    pub language: chaincode_spec::Type,
    /// SHA-256 of the client's TLS certificate, where there is one.
    pub tls_cert_hash: Bytes,
}

/// A proposal, signed.
#[derive(Clone, Debug)]
pub struct CreatedProposal {
    /// The marshalled proposal.
    pub proposal: Bytes,
    /// What the endorser gets.
    pub signed: SignedProposal,
    /// The transaction's id.
    pub txid: String,
}

/// Makes an ordinary proposal to call a chaincode.
///
/// # Errors
/// When there is no randomness, or the key fails.
pub fn create_chaincode_proposal(
    channel: &str,
    name: &str,
    args: Vec<Bytes>,
    transient: BTreeMap<String, Bytes>,
    signer: &dyn Signer,
) -> Result<CreatedProposal, ClientError> {
    NewProposal { args, transient, ..NewProposal::new(channel, name) }.sign(signer)
}

impl<'a> NewProposal<'a> {
    /// A call without arguments.
    pub fn new(channel: &'a str, chaincode: &'a str) -> Self {
        Self {
            channel,
            chaincode,
            args: Vec::new(),
            transient: BTreeMap::new(),
            header_type: HeaderType::EndorserTransaction,
            language: chaincode_spec::Type::Golang,
            tls_cert_hash: Bytes::new(),
        }
    }

    /// Makes the proposal, with a fresh nonce and the time of now.
    ///
    /// # Errors
    /// When there is no randomness, or the key fails.
    pub fn sign(self, signer: &dyn Signer) -> Result<CreatedProposal, ClientError> {
        let nonce = nonce()?;
        let creator = signer.serialize();
        let txid = transaction_id(&nonce, &creator);
        let id = ChaincodeId { name: self.chaincode.to_owned(), ..ChaincodeId::default() };
        let extension = ChaincodeHeaderExtension { chaincode_id: Some(id.clone()), ..Default::default() };
        let channel_header = ChannelHeader {
            r#type: self.header_type as i32,
            timestamp: Some(Timestamp::from(SystemTime::now())),
            channel_id: self.channel.to_owned(),
            tx_id: txid.clone(),
            extension: extension.encode_to_vec().into(),
            tls_cert_hash: self.tls_cert_hash,
            ..ChannelHeader::default()
        };
        let header = Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: SignatureHeader { creator, nonce: nonce.to_vec().into() }.encode_to_vec().into(),
        };
        let spec = ChaincodeSpec {
            r#type: self.language as i32,
            chaincode_id: Some(id),
            input: Some(ChaincodeInput { args: self.args, ..ChaincodeInput::default() }),
            ..ChaincodeSpec::default()
        };
        let payload = ChaincodeProposalPayload {
            input: ChaincodeInvocationSpec { chaincode_spec: Some(spec) }.encode_to_vec().into(),
            transient_map: self.transient,
        };
        let proposal = Proposal {
            header: header.encode_to_vec().into(),
            payload: payload.encode_to_vec().into(),
            ..Proposal::default()
        };
        let proposal = Bytes::from(proposal.encode_to_vec());
        let signed = SignedProposal { signature: signer.sign(&proposal)?, proposal_bytes: proposal.clone() };
        Ok(CreatedProposal { proposal, signed, txid })
    }
}
