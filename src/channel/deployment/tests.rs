//! The recorded channel: its peer's default policies, its verdicts, and which collections it would take.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::msp_role::MspRoleType;
use selvedge_proto::common::{MspPrincipal, SignaturePolicyEnvelope};
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::collection_policy_config::Payload as MemberPolicy;
use selvedge_proto::protos::{
    ChaincodeData, CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig, ProposalResponse, SignedProposal,
    StaticCollectionConfig,
};

use super::{Authenticator, Deployment, Deployments};
use crate::channel::{Bundle, Channels};
use crate::client::create_chaincode_proposal;
use crate::msp::{Msp, SigningIdentity};
use crate::policies::{parse, signed_by_any};
use crate::testing::{GOLDEN_CHANNEL, Golden};

const GOLDEN: Golden = Golden::V1_4;

fn deployments() -> Deployments {
    let channels = Arc::new(Channels::default());
    let bundle = Bundle::from_config_block(&GOLDEN.block(0).expect("a block")).expect("a configuration");
    channels.put(bundle).expect("it is served");
    let local = Msp::load(&GOLDEN.path("msp/alpha-peer0"), "AlphaMSP").expect("the peer's MSP");
    Deployments::new(Arc::new(Authenticator::new(channels, Arc::new(local))))
}

fn channel() -> Deployment {
    deployments().on(GOLDEN_CHANNEL).expect("joined")
}

fn recorded(name: &str) -> (SignedProposal, ChaincodeData) {
    let read = |kind: &str| GOLDEN.read(&format!("proposals/{name}.{kind}.bin")).expect(name);
    let answer = ProposalResponse::decode(read("response")).expect("a response").response.expect("an answer");
    let data = ChaincodeData::decode(answer.payload).expect("a definition");
    (SignedProposal::decode(read("request")).expect("a proposal"), data)
}

#[test]
fn the_default_policies_are_the_recorded_ones_and_hold_for_the_recorded_administrator() {
    let channel = channel();
    let (signed, data) = recorded("04-lscc-deploy-kv");
    assert_eq!(channel.default_instantiation(), data.instantiation_policy);
    assert_eq!(channel.default_endorsement(), data.policy, "its client asked for just that");
    channel.check_instantiation(channel.default_instantiation(), &signed).expect("an administrator");
    assert!(channel.capabilities().is_some_and(|capabilities| capabilities.collection_upgrade()));
    assert!(deployments().on("elsewhere").is_none() && deployments().on("").is_none());
}

#[test]
fn who_may_not_is_told_so_in_fabrics_words() {
    let channel = channel();
    let refused = |policy: Bytes, signed: &SignedProposal| {
        channel.check_instantiation(policy, signed).expect_err("refused").to_string()
    };
    let violated = "instantiation policy violation: signature set did not satisfy policy";
    let (by_admin, _) = recorded("04-lscc-deploy-kv");
    let user = SigningIdentity::load(&GOLDEN.path("msp/alpha-user1"), "AlphaMSP").expect("a key");
    let by_user = create_chaincode_proposal(GOLDEN_CHANNEL, "lscc", Vec::new(), Default::default(), &user);
    let by_user = by_user.expect("a proposal").signed;
    assert_eq!(refused(channel.default_instantiation(), &by_user), violated);
    channel.check_instantiation(channel.default_endorsement(), &by_user).expect("a member");

    let forged = SignedProposal { signature: by_user.signature.clone(), ..by_admin.clone() };
    assert_eq!(refused(channel.default_instantiation(), &forged), violated);
    let both = parse("AND('AlphaMSP.admin', 'BetaMSP.admin')").expect("a policy").encode_to_vec();
    assert_eq!(refused(both.into(), &by_admin), violated);

    assert_eq!(refused(Bytes::new(), &by_admin), "Empty policy element");
    let text = refused(Bytes::from_static(b"\x0a\xff"), &by_admin);
    assert!(text.starts_with("Error unmarshaling to SignaturePolicy: "), "{text}");
}

/// A package of one collection with this policy.
fn collection(policy: Option<Option<SignaturePolicyEnvelope>>) -> Bytes {
    let payload = |policy: Option<_>| CollectionPolicyConfig { payload: policy.map(MemberPolicy::SignaturePolicy) };
    let config = StaticCollectionConfig {
        name: "c".into(),
        member_orgs_policy: policy.map(payload),
        ..StaticCollectionConfig::default()
    };
    let config = CollectionConfig { payload: Some(Payload::StaticCollectionConfig(config)) };
    CollectionConfigPackage { config: vec![config] }.encode_to_vec().into()
}

#[test]
fn collections_whose_members_cannot_be_told_are_refused_in_fabrics_words() {
    let channel = channel();
    let refused = |package: Bytes| channel.check_collections(package).expect_err("refused").to_string();
    let members = |role, mspids: &[&str]| signed_by_any(role, mspids.iter().copied());
    let of_class = |class: i32, principal: &'static [u8]| {
        let principal = MspPrincipal { principal_classification: class, principal: Bytes::from_static(principal) };
        SignaturePolicyEnvelope { identities: vec![principal], ..members(MspRoleType::Member, &["AlphaMSP"]) }
    };
    for good in [
        members(MspRoleType::Member, &["AlphaMSP", "BetaMSP"]),
        // Whoever is not there yet may come.
        members(MspRoleType::Peer, &["GammaMSP"]),
        of_class(1, b"\x0a\x08AlphaMSP"),
        of_class(2, b"nobody"),
    ] {
        channel.check_collections(collection(Some(Some(good)))).expect("taken");
    }
    channel.check_collections(Bytes::new()).expect("no collections");

    let empty = CollectionConfigPackage { config: vec![CollectionConfig::default()] }.encode_to_vec();
    let mut dangling = members(MspRoleType::Member, &["AlphaMSP", "BetaMSP"]);
    dangling.identities.pop();
    let table = [
        (empty.into(), "collection configuration is empty"),
        (collection(None), "collection member policy is not set"),
        (collection(Some(None)), "collection member org policy is empty"),
        (
            collection(Some(Some(of_class(0, b"\x0a\xff")))),
            "collection-name: c -- cannot unmarshal identities: unexpected EOF",
        ),
        (collection(Some(Some(of_class(3, b"")))), "collection-name: c -- principal type ANONYMITY is not supported"),
        (collection(Some(Some(of_class(77, b"")))), "collection-name: c -- principal type 77 is not supported"),
        (
            collection(Some(Some(dangling))),
            "invalid member org policy for collection 'c': identity index out of range, requested 1, but identities length \
             is 1",
        ),
        (
            collection(Some(Some(SignaturePolicyEnvelope::default()))),
            "invalid member org policy for collection 'c': Empty policy element",
        ),
    ];
    for (package, reason) in table {
        assert_eq!(refused(package), format!("collection member policy check failed: {reason}"));
    }
    assert!(refused(Bytes::from_static(b"\x0a\xff")).starts_with("invalid collection configuration supplied"));
}
