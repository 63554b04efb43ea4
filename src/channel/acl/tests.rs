//! Who may use which resource, and the texts of refusals.

use prost::Message;
use prost::bytes::Bytes;
use selvedge_proto::common::{Envelope, Header, Payload, SignatureHeader};
use selvedge_proto::protos::{Proposal, SignedProposal};

use super::{AclError, LocalPolicy, resource};
use crate::client::create_chaincode_proposal;
use crate::endorser::fixture::{CHANNEL, MSPID, Network};
use crate::msp::{Signer, SigningIdentity, development};

mod golden;

const NOT_SATISFIED: &str = "Failed evaluating policy on signed data during check policy on channel [mychannel] \
     with policy [/Channel/Application/Readers]: [implicit policy evaluation failed - 0 sub-policies were satisfied, but \
     this policy requires 1 of the 'Readers' sub-policies to be satisfied]";

fn proposal(signer: &SigningIdentity) -> SignedProposal {
    create_chaincode_proposal("", "qscc", Vec::new(), Default::default(), signer).expect("a proposal").signed
}

fn denied(result: Result<(), AclError>) -> String {
    result.expect_err("denied").to_string()
}

/// Somebody of an MSP of the same name, made by somebody else.
fn stranger() -> SigningIdentity {
    let place = tempfile::tempdir().expect("a directory");
    let elsewhere = development::ensure(&place.path().join("msp"), MSPID).expect("an MSP of the same name");
    SigningIdentity::load(&elsewhere.admin, MSPID).expect("a key")
}

#[test]
fn members_read_admins_install_and_strangers_do_neither() {
    let network = Network::new();
    let acl = &network.parts.acl;
    let admin = SigningIdentity::load(&network.msp.admin, MSPID).expect("a key");
    let (user, admin, stranger) = (proposal(&network.user), proposal(&admin), proposal(&stranger()));

    acl.check("qscc/GetChainInfo", CHANNEL, &user).expect("a member reads");
    acl.check("cscc/GetChannels", "", &user).expect("a member of the peer's MSP");
    acl.check("cscc/JoinChain", "", &admin).expect("an administrator");
    acl.check_local(LocalPolicy::Admins, &admin).expect("an administrator");
    assert_eq!(
        denied(acl.check("cscc/JoinChain", "", &user)),
        "Failed verifying that proposal's creator satisfies local MSP principal during channelless check policy \
         with policy [Admins]: [This identity is not an admin]"
    );
    assert_eq!(denied(acl.check("qscc/GetChainInfo", CHANNEL, &stranger)), NOT_SATISFIED);
    let text = denied(acl.check("cscc/GetChannels", "", &stranger));
    assert!(
        text.starts_with(
            "Failed deserializing proposal creator during channelless check policy with policy [Members]: ["
        )
    );
    assert_eq!(denied(acl.check("qscc/Nope", CHANNEL, &user)), "Unmapped policy for qscc/Nope");
    let unknown = denied(acl.check("qscc/GetChainInfo", "elsewhere", &user));
    assert_eq!(unknown, "Failed to get policy manager for channel [elsewhere]");

    // A signature that was once found good is good for its own bytes only.
    let mut forged = user.clone();
    forged.signature = admin.signature;
    assert_eq!(denied(acl.check("qscc/GetChainInfo", CHANNEL, &forged)), NOT_SATISFIED);
    let text = denied(acl.check_local(LocalPolicy::Members, &forged));
    assert!(text.starts_with("The signature is invalid"), "{text}");
}

#[test]
fn a_policy_of_a_channel_without_a_channel_is_refused_as_in_fabric() {
    let network = Network::new();
    let acl = &network.parts.acl;
    let user = proposal(&network.user);
    assert_eq!(
        denied(acl.check("qscc/GetChainInfo", "", &user)),
        "Failed getting local MSP principal during channelless check policy with policy [/Channel/Application/Readers]: \
         [MSP Principal role [/Channel/Application/Readers] not recognized]"
    );
    let text = denied(acl.check("qscc/GetChainInfo", "", &proposal(&stranger())));
    assert!(text.starts_with(
        "Failed deserializing proposal creator during channelless check policy with policy [/Channel/Application/Readers]"
    ));
    let envelope = Envelope { payload: payload(network.user.serialize()), ..Envelope::default() };
    assert_eq!(
        denied(acl.check_envelope(resource::BLOCK_EVENT, "", &envelope)),
        "Invalid channel ID name during check policy on signed data. Name must be different from nil."
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_the_part_that_cannot() {
    let network = Network::new();
    let acl = &network.parts.acl;
    let garbage = Bytes::from_static(b"\xff");
    let signed = |proposal: Bytes| SignedProposal { proposal_bytes: proposal, signature: Bytes::new() };
    let of_header = |header: Bytes| signed(Proposal { header, ..Proposal::default() }.encode_to_vec().into());
    let bad_signature_header = Header { signature_header: garbage.clone(), ..Header::default() }.encode_to_vec().into();
    let on_channel = "check policy on channel [mychannel] with policy [/Channel/Application/Readers]";
    let local = "channelless check policy with policy [Admins]";
    for (proposal, what, part) in [
        (signed(garbage.clone()), "Failing extracting proposal", "Proposal"),
        (of_header(garbage.clone()), "Failing extracting header", "Header"),
        (of_header(bad_signature_header), "Invalid Proposal's SignatureHeader", "SignatureHeader"),
    ] {
        let text = denied(acl.check("qscc/GetChainInfo", CHANNEL, &proposal));
        assert!(text.starts_with(&format!("{what} during {on_channel}: [error unmarshaling {part}: ")), "{text}");
        let text = denied(acl.check("cscc/JoinChain", CHANNEL, &proposal));
        assert!(text.starts_with(&format!("{what} during {local}: [error unmarshaling {part}: ")), "{text}");
    }
    for (payload, starts) in [
        (garbage.clone(), "failed to decode"),
        (Bytes::new(), "Missing Header"),
        (
            Payload {
                header: Some(Header { signature_header: garbage.clone(), ..Header::default() }),
                data: Bytes::new(),
            }
            .encode_to_vec()
            .into(),
            "GetSignatureHeaderFromBytes failed, err ",
        ),
    ] {
        let envelope = Envelope { payload, ..Envelope::default() };
        let text = denied(acl.check_envelope(resource::BLOCK_EVENT, CHANNEL, &envelope));
        assert!(text.starts_with(starts), "{text}");
        let text = denied(acl.check_envelope(resource::BROADCAST, CHANNEL, &envelope));
        assert!(text.starts_with(&format!("could not convert message to signedData: {starts}")), "{text}");
    }
}

fn payload(creator: Bytes) -> Bytes {
    let creator = SignatureHeader { creator, nonce: Bytes::from_static(b"n") };
    let header = Header { signature_header: creator.encode_to_vec().into(), ..Header::default() };
    Payload { header: Some(header), data: Bytes::new() }.encode_to_vec().into()
}

#[test]
fn envelopes_are_checked_like_proposals_and_the_orderer_asks_for_its_own_policies() {
    let network = Network::new();
    let payload = payload(network.user.serialize());
    let mut envelope = Envelope { signature: network.user.sign(&payload).expect("signs"), payload };
    let acl = &network.parts.acl;
    for resource in
        [resource::BLOCK_EVENT, resource::FILTERED_BLOCK_EVENT, resource::BROADCAST, resource::ORDERER_DELIVER]
    {
        acl.check_envelope(resource, CHANNEL, &envelope).expect("a member");
    }
    envelope.signature = Bytes::new();
    assert_eq!(denied(acl.check_envelope(resource::BLOCK_EVENT, CHANNEL, &envelope)), NOT_SATISFIED);
    for (resource, policy) in [(resource::BROADCAST, "Writers"), (resource::ORDERER_DELIVER, "Readers")] {
        assert_eq!(
            denied(acl.check_envelope(resource, CHANNEL, &envelope)),
            format!(
                "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the \
                 '{policy}' sub-policies to be satisfied: permission denied"
            )
        );
        assert_eq!(
            denied(acl.check_envelope(resource, "elsewhere", &envelope)),
            format!("could not find policy /Channel/{policy}")
        );
        // Not for those who send proposals.
        let proposal = proposal(&network.user);
        assert_eq!(denied(acl.check(resource, CHANNEL, &proposal)), format!("Unmapped policy for {resource}"));
    }
}
