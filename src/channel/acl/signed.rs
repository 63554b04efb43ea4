//! What is checked, taken apart (Fabric: the first half of `policyChecker.CheckPolicy`, `Envelope.AsSignedData`).

use prost::bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{Envelope, Header, Payload, SignatureHeader};
use selvedge_proto::protos::{Proposal, SignedProposal};

use super::AclError;

/// A creator, and what it signed.
pub(super) struct Signed<'a> {
    pub(super) creator: Bytes,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// The check that a proposal is read for; its texts differ.
#[derive(Clone, Copy)]
pub(super) enum Check<'a> {
    /// Of a channel's policy by default.
    Channel { channel: &'a str, policy: &'a str },
    /// Of the policy that a channel's ACLs name.
    Configured { policy: &'a str },
    /// Of the peer's own MSP.
    Local { policy: &'a str },
}

impl Check<'_> {
    fn text(self, part: Part) -> String {
        match (self, part) {
            (Self::Channel { channel, policy }, _) => {
                format!("check policy on channel [{channel}] with policy [{policy}]")
            }
            (Self::Configured { policy }, Part::Proposal) => format!("check policy with policy [{policy}]"),
            (Self::Configured { policy }, _) => format!("check policy [{policy}]"),
            (Self::Local { policy }, _) => format!("channelless check policy with policy [{policy}]"),
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Proposal,
    Header,
    SignatureHeader,
}

impl Part {
    fn what(self) -> (&'static str, &'static str) {
        match self {
            Self::Proposal => ("Failing extracting proposal", "Proposal"),
            Self::Header => ("Failing extracting header", "Header"),
            Self::SignatureHeader => ("Invalid Proposal's SignatureHeader", "SignatureHeader"),
        }
    }
}

impl<'a> Signed<'a> {
    /// Of a proposal; nothing is verified.
    pub(super) fn proposal(signed: &'a SignedProposal, check: Check<'_>) -> Result<Self, AclError> {
        let refuse = |part: Part| {
            move |source| {
                let (what, name) = part.what();
                AclError::Proposal { what, during: check.text(part), part: name, source }
            }
        };
        let proposal = Proposal::decode_as_go(signed.proposal_bytes.clone()).map_err(refuse(Part::Proposal))?;
        let header = Header::decode_as_go(proposal.header).map_err(refuse(Part::Header))?;
        let header = SignatureHeader::decode_as_go(header.signature_header).map_err(refuse(Part::SignatureHeader))?;
        Ok(Self { creator: header.creator, message: &signed.proposal_bytes, signature: &signed.signature })
    }

    /// Of an envelope; nothing is verified.
    pub(super) fn envelope(envelope: &'a Envelope) -> Result<Self, AclError> {
        let payload = Payload::decode_as_go(envelope.payload.clone()).map_err(AclError::Payload)?;
        let header = payload.header.ok_or(AclError::NoHeader)?;
        let header = SignatureHeader::decode_as_go(header.signature_header).map_err(AclError::SignatureHeader)?;
        Ok(Self { creator: header.creator, message: &envelope.payload, signature: &envelope.signature })
    }
}
