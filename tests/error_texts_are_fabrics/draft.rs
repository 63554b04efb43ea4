//! Proposals of which a test spoils a part before they are signed.

use bytes::Bytes;
use prost::Message;
use selvedge::endorser::hash::transaction_id;
use selvedge::msp::Signer;
use selvedge_proto::common::{ChannelHeader, Header, HeaderType, SignatureHeader};
use selvedge_proto::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec, Proposal, SignedProposal,
};

/// A proposal in its parts; what is set is not made from the rest.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    pub(crate) channel_header: ChannelHeader,
    pub(crate) creator: Option<Bytes>,
    pub(crate) nonce: Option<Bytes>,
    pub(crate) txid: Option<String>,
    pub(crate) extension: Option<Bytes>,
    /// The marshalled header in place of the one that the parts above make.
    pub(crate) header: Option<Bytes>,
    pub(crate) payload: Option<Bytes>,
    pub(crate) signature: Option<Bytes>,
    chaincode: String,
    args: Vec<Bytes>,
}

impl Draft {
    /// A call that has nothing wrong with it.
    pub(crate) fn call<A: AsRef<[u8]>>(channel: &str, chaincode: &str, args: &[A]) -> Self {
        let channel_header = ChannelHeader {
            r#type: HeaderType::EndorserTransaction as i32,
            channel_id: channel.to_owned(),
            ..ChannelHeader::default()
        };
        let args = args.iter().map(|arg| Bytes::copy_from_slice(arg.as_ref())).collect();
        Self { channel_header, chaincode: chaincode.to_owned(), args, ..Self::default() }
    }

    /// The same, with something changed.
    pub(crate) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn sign(self, signer: &dyn Signer) -> SignedProposal {
        // A transaction's id has to be new and nothing else.
        let nonce = self.nonce.unwrap_or_else(|| uuid::Uuid::new_v4().as_bytes().to_vec().into());
        let creator = self.creator.unwrap_or_else(|| signer.serialize());
        let chaincode_id = Some(ChaincodeId { name: self.chaincode, ..ChaincodeId::default() });
        let extension = ChaincodeHeaderExtension { chaincode_id: chaincode_id.clone(), ..Default::default() };
        let channel_header = ChannelHeader {
            tx_id: self.txid.unwrap_or_else(|| transaction_id(&nonce, &creator)),
            extension: self.extension.unwrap_or_else(|| extension.encode_to_vec().into()),
            ..self.channel_header
        };
        let header = Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: SignatureHeader { creator, nonce }.encode_to_vec().into(),
        };
        let input = Some(ChaincodeInput { args: self.args, ..ChaincodeInput::default() });
        let spec = ChaincodeSpec { chaincode_id, input, ..ChaincodeSpec::default() };
        let proposal = Proposal {
            header: self.header.unwrap_or_else(|| header.encode_to_vec().into()),
            payload: self.payload.unwrap_or_else(|| payload(Some(spec))),
            ..Proposal::default()
        };
        let proposal_bytes = Bytes::from(proposal.encode_to_vec());
        let signature = self.signature.unwrap_or_else(|| signer.sign(&proposal_bytes).expect("a signature"));
        SignedProposal { proposal_bytes, signature }
    }
}

/// A proposal's payload with that specification.
pub(crate) fn payload(chaincode_spec: Option<ChaincodeSpec>) -> Bytes {
    let input = ChaincodeInvocationSpec { chaincode_spec }.encode_to_vec().into();
    ChaincodeProposalPayload { input, ..ChaincodeProposalPayload::default() }.encode_to_vec().into()
}
