//! Envelopes that Fabric 1.4's own tools made from text.

use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;
use selvedge_proto::common::{Block, ConfigEnvelope, ConfigGroup, Envelope, Header, Payload};
use selvedge_proto::protos::{ChaincodeInvocationSpec, ChaincodeProposalPayload, Proposal, SignedProposal};

use super::*;

fn read(path: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// The arguments of a recorded proposal.
fn arguments(name: &str) -> Vec<Bytes> {
    let signed = SignedProposal::decode(read(&format!("proposals/{name}.request.bin"))).expect("a signed proposal");
    let proposal = Proposal::decode(signed.proposal_bytes).expect("a proposal");
    Header::decode(proposal.header).expect("a header");
    let payload = ChaincodeProposalPayload::decode(proposal.payload).expect("a payload");
    let spec = ChaincodeInvocationSpec::decode(payload.input).expect("an invocation").chaincode_spec.expect("a spec");
    spec.input.expect("an input").args
}

#[test]
fn the_policies_of_recorded_deploys_are_the_same_byte_for_byte() {
    for (proposal, text) in [
        ("04-lscc-deploy-kv", "OR('AlphaMSP.member', 'BetaMSP.member')"),
        ("05-lscc-deploy-kvand", "AND('AlphaMSP.member', 'BetaMSP.peer')"),
        ("06-lscc-deploy-ex02", "OR('AlphaMSP.member', 'BetaMSP.member')"),
        ("59-lscc-upgrade-ex02", "OR('AlphaMSP.member', 'BetaMSP.member')"),
    ] {
        let recorded = arguments(proposal).remove(3);
        assert_eq!(parse(text).expect(text).encode_to_vec(), recorded, "{proposal}");
        let shown = display(&SignaturePolicyEnvelope::decode(recorded).expect("a policy")).to_string();
        assert_eq!(shown, text, "{proposal}");
    }
}

fn group<'a>(group: &'a ConfigGroup, path: &[&str]) -> &'a ConfigGroup {
    path.iter().fold(group, |group, name| group.groups.get(*name).unwrap_or_else(|| panic!("no group {name}")))
}

#[test]
fn configtxgens_policies_of_organisations_are_the_same_byte_for_byte() {
    let block = Block::decode(read("channel/channel-block0.block")).expect("a block");
    let envelope = Envelope::decode(block.data.expect("data").data.remove(0)).expect("an envelope");
    let payload = Payload::decode(envelope.payload).expect("a payload");
    let config = ConfigEnvelope::decode(payload.data).expect("a configuration").config.expect("one");
    let root = config.channel_group.expect("a tree");
    for (path, policy, text) in [
        (["Application", "AlphaMSP"], "Readers", "OR('AlphaMSP.member')"),
        (["Application", "AlphaMSP"], "Writers", "OR('AlphaMSP.member')"),
        (["Application", "AlphaMSP"], "Admins", "OR('AlphaMSP.admin')"),
        (["Application", "BetaMSP"], "Readers", "OR('BetaMSP.admin', 'BetaMSP.peer', 'BetaMSP.client')"),
        (["Application", "BetaMSP"], "Writers", "OR('BetaMSP.admin', 'BetaMSP.client')"),
        (["Application", "BetaMSP"], "Admins", "OR('BetaMSP.admin')"),
        (["Orderer", "OrdererMSP"], "Admins", "OR('OrdererMSP.admin')"),
    ] {
        let recorded = group(&root, &path).policies.get(policy).and_then(|item| item.policy.clone());
        let recorded = recorded.unwrap_or_else(|| panic!("{path:?} {policy}")).value;
        assert_eq!(parse(text).expect(text).encode_to_vec(), recorded, "{path:?} {policy}");
    }
}
