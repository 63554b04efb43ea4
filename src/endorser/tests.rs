//! Refusals with their texts, the shape of answers, and that nothing a client sends ends the peer.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use selvedge_proto::common::{
    AcLs, ApiResource, ChannelHeader, ConfigValue, FabricMspConfig, Header, HeaderType, MspConfig, SignatureHeader,
};
use selvedge_proto::protos::endorser_server::Endorser as _;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, ChaincodeSpec,
    Proposal, ProposalResponse, ProposalResponsePayload, SignedProposal,
};
use time::OffsetDateTime;
use tonic::{Code, Request};
use x509_cert::Certificate as X509;
use x509_cert::der::DecodePem;

use super::check::{check, invocation_input};
use super::fixture::{Answer, CHANNEL, MSPID, Network};
use super::{Endorser, EndorserError, EndorserParts, Placement, hash};
use crate::channel::{Bundle, resource};
use crate::client::{CreatedProposal, create_chaincode_proposal};
use crate::msp::{Signer, SigningIdentity};

static NETWORK: LazyLock<Network> = LazyLock::new(Network::new);

/// The parts of a proposal, to be changed and put together again with a good signature.
struct Parts {
    channel: ChannelHeader,
    signature: SignatureHeader,
    payload: Bytes,
}

fn tampered(channel: &str, chaincode: &str, change: impl FnOnce(&mut Parts)) -> SignedProposal {
    let created = NETWORK.propose(channel, chaincode);
    let proposal = Proposal::decode(created.proposal).expect("a proposal");
    let header = Header::decode(proposal.header).expect("a header");
    let mut parts = Parts {
        channel: ChannelHeader::decode(header.channel_header).expect("a channel header"),
        signature: SignatureHeader::decode(header.signature_header).expect("a signature header"),
        payload: proposal.payload,
    };
    change(&mut parts);
    let header = Header {
        channel_header: parts.channel.encode_to_vec().into(),
        signature_header: parts.signature.encode_to_vec().into(),
    };
    sign(&Proposal { header: header.encode_to_vec().into(), payload: parts.payload, ..Proposal::default() })
}

fn sign(proposal: &Proposal) -> SignedProposal {
    let proposal_bytes = Bytes::from(proposal.encode_to_vec());
    SignedProposal { signature: NETWORK.user.sign(&proposal_bytes).expect("signs"), proposal_bytes }
}

fn refusal(signed: SignedProposal) -> String {
    let error = check(Arc::new(signed), SystemTime::now(), &NETWORK.parts.authenticator).expect_err("a refusal");
    assert_eq!(error.placement(), Placement::Grpc, "{error}");
    error.to_string()
}

fn endorser(answer: Answer) -> Endorser {
    Endorser::new(NETWORK.answering(answer), 8, None)
}

async fn process(signed: SignedProposal) -> Result<ProposalResponse, EndorserError> {
    endorser(Answer::status(200)).process(signed).await
}

#[test]
fn each_fault_of_a_header_has_fabrics_text() {
    let other_extension = |extension: ChaincodeHeaderExtension| Bytes::from(extension.encode_to_vec());
    let denied = format!("access denied: channel [{CHANNEL}] creator org [{MSPID}]");
    type Change = Box<dyn FnOnce(&mut Parts)>;
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(|p| p.channel.r#type = 0), "invalid header type MESSAGE"),
        (Box::new(|p| p.channel.r#type = HeaderType::DeliverSeekInfo as i32), "invalid header type DELIVER_SEEK_INFO"),
        (Box::new(|p| p.channel.r#type = 4711), "invalid header type 4711"),
        (Box::new(|p| p.channel.epoch = 3), "invalid Epoch in ChannelHeader. Expected 0, got [3]"),
        (Box::new(|p| p.signature.nonce = Bytes::new()), "invalid nonce specified in the header"),
        (Box::new(|p| p.signature.creator = Bytes::new()), "invalid creator specified in the header"),
        (
            Box::new(|p| p.channel.channel_id = "elsewhere".into()),
            "access denied: channel [elsewhere] creator org [DevMSP]",
        ),
        (
            Box::new(|p| p.signature.creator = Bytes::from_static(b"\xff\xff")),
            "access denied: channel [mychannel] creator org []",
        ),
        (Box::new(|p| p.channel.r#type = HeaderType::ConfigUpdate as i32), "unsupported proposal type 2"),
        (
            Box::new(|p| p.channel.extension = Bytes::from_static(b"\xff")),
            "invalid header extension for type CHAINCODE",
        ),
        (Box::new(|p| p.channel.extension = Bytes::new()), "ChaincodeHeaderExtension.ChaincodeId is nil"),
        (
            Box::new(move |p| {
                let mut extension =
                    ChaincodeHeaderExtension::decode(p.channel.extension.clone()).expect("an extension");
                extension.payload_visibility = Bytes::from_static(b"all");
                p.channel.extension = other_extension(extension);
            }),
            "invalid payload visibility field",
        ),
        // Two faults: the first of Fabric's order counts.
        (
            Box::new(|p| {
                p.channel.epoch = 1;
                p.channel.r#type = 0;
            }),
            "invalid header type MESSAGE",
        ),
    ];
    for (change, text) in cases {
        assert_eq!(refusal(tampered(CHANNEL, "qscc", change)), text);
    }

    let txid = tampered(CHANNEL, "qscc", |p| p.channel.tx_id = "ab".into());
    assert!(refusal(txid).starts_with("invalid txid. got [ab], expected ["));

    let mut other_signature = NETWORK.propose(CHANNEL, "qscc").signed;
    other_signature.signature = NETWORK.user.sign(b"another message").expect("signs");
    assert_eq!(refusal(other_signature), denied);
}

#[test]
fn bytes_that_are_no_messages_have_fabrics_text() {
    let garbage = Bytes::from_static(b"\xff\xff\xff");
    let proposal = SignedProposal { proposal_bytes: garbage.clone(), signature: garbage.clone() };
    assert_eq!(refusal(proposal), "failed parsing proposal: error unmarshaling Proposal: unexpected EOF");
    let header = sign(&Proposal { header: garbage.clone(), ..Proposal::default() });
    assert_eq!(refusal(header), "failed parsing header: error unmarshaling Header: unexpected EOF");
    let with = |header: Header| sign(&Proposal { header: header.encode_to_vec().into(), ..Proposal::default() });
    assert_eq!(
        refusal(with(Header { signature_header: garbage.clone(), ..Header::default() })),
        "failed parsing signature header: error unmarshaling SignatureHeader: unexpected EOF"
    );
    assert_eq!(
        refusal(with(Header { channel_header: garbage, ..Header::default() })),
        "error unmarshaling ChannelHeader: unexpected EOF"
    );
    assert_eq!(refusal(SignedProposal::default()), "invalid header type MESSAGE");
}

#[test]
fn an_expired_creator_is_refused_before_anything_else() {
    let signed = tampered(CHANNEL, "qscc", |p| p.channel.r#type = 0);
    let later = SystemTime::now() + Duration::from_secs(20 * 366 * 24 * 3600);
    let error = check(Arc::new(signed), later, &NETWORK.parts.authenticator).expect_err("expired");
    assert_eq!(error.to_string(), "identity expired");
}

#[tokio::test]
async fn payloads_that_end_a_fabric_peer_get_an_error() {
    let invocation = |spec: Option<ChaincodeSpec>| {
        let input = ChaincodeInvocationSpec { chaincode_spec: spec }.encode_to_vec().into();
        Bytes::from(ChaincodeProposalPayload { input, ..Default::default() }.encode_to_vec())
    };
    let no_spec = "chaincode invocation spec did not contain chaincode spec";
    for (payload, text) in [
        (Bytes::new(), no_spec),
        (invocation(None), no_spec),
        (invocation(Some(ChaincodeSpec::default())), "chaincode input did not contain any input"),
        (Bytes::from_static(b"\xff"), "error unmarshaling ChaincodeProposalPayload: unexpected EOF"),
    ] {
        let answer = process(tampered(CHANNEL, "qscc", |p| p.payload = payload)).await.expect("a response");
        let response = answer.response.expect("a response");
        assert_eq!((response.status, response.message.as_str()), (500, text));
        assert!(answer.payload.is_empty() && answer.endorsement.is_none());
    }
}

#[tokio::test]
async fn chaincode_that_is_not_there_is_a_response() {
    for (channel, name, cause) in [
        (CHANNEL, "nosuchcc", "chaincode nosuchcc not found"),
        (CHANNEL, "", "chaincode  not found"),
        ("", "kv", "could not get definition for chaincode kv without a ledger context\n"),
    ] {
        let answer = process(NETWORK.propose(channel, name).signed).await.expect("a response");
        let response = answer.response.expect("a response");
        let text = format!("make sure the chaincode {name} has been successfully instantiated and try again: {cause}");
        assert_eq!((response.status, response.message), (500, text));
    }
    let refused = process(NETWORK.propose(CHANNEL, "vscc").signed).await.expect_err("not for clients");
    assert_eq!(refused.to_string(), "chaincode vscc cannot be invoked through a proposal");
    assert_eq!(refused.placement(), Placement::Grpc);
}

#[tokio::test]
async fn a_channels_acls_guard_proposals_from_the_update_on() {
    let network = Network::new();
    let endorser = Endorser::new(network.answering(Answer::status(200)), 1, None);
    let propose = |chaincode| endorser.process(network.propose(CHANNEL, chaincode).signed);
    // Nobody looks for the chaincode before the writer is let in.
    let answer = propose("nosuchcc").await.expect("a writer").response.expect("a response");
    assert!(answer.message.ends_with("chaincode nosuchcc not found"), "{}", answer.message);

    let mut config = network.channels.get(CHANNEL).expect("joined").config().clone();
    let application = config.channel_group.as_mut().and_then(|root| root.groups.get_mut("Application"));
    let policy = ApiResource { policy_ref: "Admins".into() };
    let acls = AcLs { acls: [("peer/Propose".to_owned(), policy)].into() }.encode_to_vec().into();
    let acls = ConfigValue { value: acls, ..ConfigValue::default() };
    application.expect("a group").values.insert("ACLs".into(), acls);
    network.channels.put(Bundle::from_config(CHANNEL, &config).expect("a configuration")).expect("served");

    propose("qscc").await.expect("system chaincode checks for itself");
    let refused = propose("nosuchcc").await.expect_err("a user is no administrator");
    assert_eq!(refused.placement(), Placement::Grpc);
    assert_eq!(
        refused.to_string(),
        "failed evaluating policy on signed data during check policy [/Channel/Application/Admins]: [implicit policy \
         evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the 'Admins' sub-policies to be \
         satisfied]"
    );
}

/// The configuration in which the organisation has revoked its user.
fn revoking(network: &Network) -> Bundle {
    let read = |path: &str| std::fs::read_to_string(network.msp.organisation.join(path)).expect("readable");
    let authority = KeyPair::from_pem(&read("../ca/ca_sk")).expect("the authority's key");
    let user = X509::from_pem(read("../users/User1/msp/signcerts/cert.pem")).expect("the user's certificate");
    let now = OffsetDateTime::now_utc();
    let list = CertificateRevocationListParams {
        this_update: now,
        next_update: now + time::Duration::days(1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from_slice(user.tbs_certificate().serial_number().as_bytes()),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::new(CertificateParams::default(), authority)).expect("signed");
    let mut config = network.channels.get(CHANNEL).expect("joined").config().clone();
    let root = config.channel_group.as_mut().expect("a tree");
    for organisation in root.groups.values_mut().flat_map(|group| group.groups.values_mut()) {
        let value = organisation.values.get_mut("MSP").expect("an MSP");
        let mut msp = MspConfig::decode(value.value.clone()).expect("readable");
        let mut definition = FabricMspConfig::decode(msp.config).expect("readable");
        definition.revocation_list = vec![list.pem().expect("PEM").into()];
        msp.config = definition.encode_to_vec().into();
        value.value = msp.encode_to_vec().into();
    }
    Bundle::from_config(CHANNEL, &config).expect("a configuration")
}

#[tokio::test]
async fn who_is_revoked_is_nobody_from_the_update_on_with_the_very_same_bytes_too() {
    let network = Network::new();
    let EndorserParts { acl, authenticator, .. } = &network.parts;
    let endorser = Endorser::new(network.answering(Answer::status(200)), 1, None);
    let signed = network.propose(CHANNEL, "qscc").signed;
    let checked = check(Arc::new(signed.clone()), SystemTime::now(), authenticator).expect("a member");
    endorser.process(signed.clone()).await.expect("a member");
    acl.check("qscc/GetChainInfo", CHANNEL, &signed).expect("a member");

    network.channels.put(revoking(&network)).expect("served");
    let refused = endorser.process(signed.clone()).await.expect_err("revoked").to_string();
    assert_eq!(refused, "access denied: channel [mychannel] creator org [DevMSP]");
    let refused = acl.check("qscc/GetChainInfo", CHANNEL, &signed).expect_err("revoked").to_string();
    assert!(refused.contains("0 sub-policies were satisfied"), "{refused}");
    // Whoever was let in is judged by the configuration that let him in until the check is done.
    acl.check_identity(resource::PROPOSE, &checked.realm, &checked.creator).expect("one configuration throughout");

    let admin = SigningIdentity::load(&network.msp.admin, MSPID).expect("a key");
    let created = create_chaincode_proposal(CHANNEL, "qscc", Vec::new(), Default::default(), &admin);
    check(Arc::new(created.expect("a proposal").signed), SystemTime::now(), authenticator).expect("not revoked");
}

#[tokio::test]
async fn what_a_client_gets_depends_on_status_and_channel() {
    // status, channel, has payload, has endorsement
    for (status, channel, payload, endorsed) in [
        (0, CHANNEL, true, true),
        (200, CHANNEL, true, true),
        (399, CHANNEL, true, true),
        (400, CHANNEL, false, false),
        (499, CHANNEL, false, false),
        (500, CHANNEL, true, false),
        (200, "", false, false),
        (400, "", false, false),
        (501, "", true, false),
    ] {
        let created = NETWORK.propose(channel, "qscc");
        let answer = endorser(Answer::status(status)).process(created.signed.clone()).await.expect("a response");
        let response = answer.response.clone().expect("a response");
        assert_eq!((response.status, &response.payload[..]), (status, &b"p"[..]));
        assert_eq!((!answer.payload.is_empty(), answer.endorsement.is_some()), (payload, endorsed), "{status}");
        assert_eq!(answer.version, i32::from(endorsed));
        if payload {
            check_payload(&created, &answer, endorsed);
        }
    }
}

fn check_payload(created: &CreatedProposal, answer: &ProposalResponse, endorsed: bool) {
    let payload = ProposalResponsePayload::decode(answer.payload.clone()).expect("a payload");
    let proposal = Proposal::decode(created.proposal.clone()).expect("a proposal");
    let header = Header::decode(proposal.header).expect("a header");
    let (input, _) = invocation_input(&proposal.payload).expect("an input");
    let without_transient = hash::payload_without_transient(&input);
    let expected = hash::proposal_hash(&header.channel_header, &header.signature_header, &without_transient);
    assert_eq!(payload.proposal_hash[..], expected);
    let action = ChaincodeAction::decode(payload.extension).expect("an action");
    let version = if endorsed { "1.4.12" } else { "" };
    assert_eq!(action.chaincode_id.expect("an id").version, version);
    assert_eq!(action.events.is_empty(), !endorsed, "an event goes with success only");
    if let Some(endorsement) = &answer.endorsement {
        let endorser = NETWORK.parts.authenticator.realm(CHANNEL).identify(&endorsement.endorser).expect("the peer");
        let message = [&answer.payload[..], &endorsement.endorser].concat();
        endorser.verify(&message, &endorsement.signature).expect("its signature");
    }
}

#[tokio::test]
async fn a_death_in_the_task_is_an_error_of_that_call_alone() {
    let endorser = endorser(Answer::Panic);
    let request = || Request::new(NETWORK.propose(CHANNEL, "qscc").signed);
    for _ in 0..20 {
        let status = endorser.process_proposal(request()).await.expect_err("it dies");
        assert_eq!(status.code(), Code::Internal);
    }
}

#[tokio::test]
async fn more_proposals_than_allowed_are_turned_away() {
    let full = Endorser::new(NETWORK.parts.clone(), 0, None);
    let status = full.process_proposal(Request::new(SignedProposal::default())).await.expect_err("full");
    let text = "too many requests for /protos.Endorser, exceeding concurrency limit (0)";
    assert_eq!((status.code(), status.message()), (Code::Unknown, text));
}

#[test]
fn work_runs_on_the_runtime_that_was_given() {
    let work = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let io = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let endorser = Endorser::new(NETWORK.parts.clone(), 8, Some(work.handle().clone()));
    let request = Request::new(NETWORK.propose(CHANNEL, "qscc").signed);
    let answer = io.block_on(endorser.process_proposal(request)).expect("an answer").into_inner();
    assert!(answer.endorsement.is_some());
}

proptest! {
    #[test]
    fn no_change_to_a_proposal_panics(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..12),
        removed in 0_usize..12,
        signed_again in any::<bool>(),
    ) {
        let mut signed = NETWORK.propose(CHANNEL, "qscc").signed;
        let mut bytes = signed.proposal_bytes.to_vec();
        let start = at.index(bytes.len());
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, with);
        signed.proposal_bytes = bytes.into();
        if signed_again {
            signed.signature = NETWORK.user.sign(&signed.proposal_bytes).expect("signs");
        }
        if let Ok(checked) = check(Arc::new(signed), SystemTime::now(), &NETWORK.parts.authenticator) {
            let _ = invocation_input(&checked.proposal.payload);
        }
    }

    #[test]
    fn no_bytes_at_all_panic(proposal_bytes: Vec<u8>, signature: Vec<u8>) {
        let _ = invocation_input(&proposal_bytes.clone().into());
        let signed = SignedProposal { proposal_bytes: proposal_bytes.into(), signature: signature.into() };
        let _ = check(Arc::new(signed), SystemTime::now(), &NETWORK.parts.authenticator);
    }
}
