//! Who may use which resource, and the texts of refusals.

use selvedge_proto::common::{Envelope, Header, Payload, SignatureHeader};
use selvedge_proto::protos::SignedProposal;

use prost::Message;
use prost::bytes::Bytes;

use super::{LocalPolicy, resource};
use crate::client::create_chaincode_proposal;
use crate::endorser::fixture::{CHANNEL, MSPID, Network};
use crate::msp::{Signer, SigningIdentity, development};

const NOT_SATISFIED: &str = "Failed evaluating policy on signed data during check policy on channel [mychannel] \
     with policy [/Channel/Application/Readers]: [implicit policy evaluation failed - 0 sub-policies were satisfied, but \
     this policy requires 1 of the 'Readers' sub-policies to be satisfied]";

fn proposal(signer: &SigningIdentity) -> SignedProposal {
    create_chaincode_proposal("", "qscc", Vec::new(), Default::default(), signer).expect("a proposal").signed
}

#[test]
fn members_read_admins_install_and_strangers_do_neither() {
    let network = Network::new();
    let acl = &network.parts.acl;
    let admin = SigningIdentity::load(&network.msp.admin, MSPID).expect("a key");
    let place = tempfile::tempdir().expect("a directory");
    let elsewhere = development::ensure(&place.path().join("msp"), MSPID).expect("an MSP of the same name");
    let stranger = SigningIdentity::load(&elsewhere.admin, MSPID).expect("a key");
    let (user, admin, stranger) = (proposal(&network.user), proposal(&admin), proposal(&stranger));
    let denied = |result: Result<(), super::AclError>| result.expect_err("denied").to_string();

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
    assert_eq!(
        denied(acl.check("lscc/ChaincodeExists", "", &admin)),
        "Failed getting local MSP principal during channelless check policy with policy \
         [/Channel/Application/Readers]: [MSP Principal role [/Channel/Application/Readers] not recognized]"
    );
    assert_eq!(denied(acl.check("qscc/Nope", CHANNEL, &user)), "Unmapped policy for qscc/Nope");
    let unknown = denied(acl.check("qscc/GetChainInfo", "elsewhere", &user));
    assert_eq!(unknown, "Failed to get policy manager for channel [elsewhere]");

    // A signature that was once found good is good for its own bytes only.
    let mut forged = user.clone();
    forged.signature = admin.signature;
    assert_eq!(denied(acl.check("qscc/GetChainInfo", CHANNEL, &forged)), NOT_SATISFIED);
    let garbage = SignedProposal { proposal_bytes: Bytes::from_static(b"\xff"), signature: Bytes::new() };
    assert!(denied(acl.check("qscc/GetChainInfo", CHANNEL, &garbage)).starts_with("Invalid signed proposal"));
}

#[test]
fn envelopes_are_checked_like_proposals() {
    let network = Network::new();
    let creator = SignatureHeader { creator: network.user.serialize(), nonce: Bytes::from_static(b"n") };
    let header = Header { signature_header: creator.encode_to_vec().into(), ..Header::default() };
    let payload = Bytes::from(Payload { header: Some(header), data: Bytes::new() }.encode_to_vec());
    let mut envelope = Envelope { signature: network.user.sign(&payload).expect("signs"), payload };
    let acl = &network.parts.acl;
    for resource in
        [resource::BLOCK_EVENT, resource::FILTERED_BLOCK_EVENT, resource::BROADCAST, resource::ORDERER_DELIVER]
    {
        acl.check_envelope(resource, CHANNEL, &envelope).expect("a member");
    }
    envelope.signature = Bytes::new();
    let denied = acl.check_envelope(resource::BLOCK_EVENT, CHANNEL, &envelope).expect_err("unsigned");
    assert_eq!(denied.to_string(), NOT_SATISFIED);
}
