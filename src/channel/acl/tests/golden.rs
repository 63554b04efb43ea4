//! The recorded channel: its ACLs, and the verdicts and texts of its peer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use prost::Message;
use prost::bytes::Bytes;
use selvedge_proto::common::{
    AcLs, ApiResource, Block, Config, ConfigEnvelope, ConfigPolicy, Envelope, ImplicitMetaPolicy, Payload, Policy,
};
use selvedge_proto::protos::{ProposalResponse, SignedProposal};

use super::{denied, payload, resource};
use crate::channel::{AclChecker, Authenticator, Bundle, Channels, Realm};
use crate::msp::{Msp, Signer, SigningIdentity};
use crate::policies::parse;

const CHANNEL: &str = "goldchan";
const ACL: &str = "qscc/GetBlockByTxID";

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path)
}

fn read(path: &str) -> Bytes {
    let path = golden(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// The configuration in a recorded block.
fn config(block: u64) -> Config {
    let block = Block::decode(read(&format!("blocks/block-{block:03}.block"))).expect("a block");
    let envelope = Envelope::decode(block.data.expect("data").data.remove(0)).expect("an envelope");
    let payload = Payload::decode(envelope.payload).expect("a payload");
    ConfigEnvelope::decode(payload.data).expect("a configuration").config.expect("one")
}

/// The peer that was recorded, with a channel in a given configuration.
struct Peer {
    channels: Arc<Channels>,
    acl: AclChecker,
}

impl Peer {
    fn new(config: &Config) -> Self {
        let channels = Arc::new(Channels::default());
        let local = Arc::new(Msp::load(&golden("msp/alpha-peer0"), "AlphaMSP").expect("the peer's MSP"));
        let acl = AclChecker::new(Arc::new(Authenticator::new(channels.clone(), local)));
        let peer = Self { channels, acl };
        peer.put(config);
        peer
    }

    fn put(&self, config: &Config) {
        self.channels.put(Bundle::from_config(CHANNEL, config).expect("a configuration")).expect("it is served");
    }
}

fn proposal(name: &str) -> SignedProposal {
    SignedProposal::decode(read(&format!("proposals/{name}.request.bin"))).expect("a proposal")
}

/// What the recorded peer answered.
fn answer(name: &str) -> String {
    let response = ProposalResponse::decode(read(&format!("proposals/{name}.response.bin"))).expect("a response");
    response.response.expect("an answer").message
}

/// A proposal that was refused, with what the peer said.
fn rejected(name: &str) -> (SignedProposal, String) {
    let list: Vec<serde_json::Value> = serde_json::from_slice(&read("proposals/rejected.json")).expect("a list");
    let entry = list.into_iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let text = |pointer| entry.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let request = base64::engine::general_purpose::STANDARD.decode(text("/request_base64")).expect("base64");
    let said = [text("/grpc/details"), text("/response/message")].concat();
    (SignedProposal::decode(request.as_slice()).expect("a proposal"), said)
}

#[test]
fn a_configuration_update_takes_away_what_was_allowed() {
    let (user, admin) = (proposal("13-qscc-GetBlockByTxID"), proposal("14-qscc-GetBlockByTxID-admin"));
    let peer = Peer::new(&config(3));
    for proposal in [&user, &admin] {
        peer.acl.check(ACL, CHANNEL, proposal).expect("any reader may, before the update");
    }
    peer.put(&config(4));
    for (name, proposal) in [("13-qscc-GetBlockByTxID", &user), ("14-qscc-GetBlockByTxID-admin", &admin)] {
        let text = denied(peer.acl.check(ACL, CHANNEL, proposal));
        assert_eq!(format!("access denied for [GetBlockByTxID][goldchan]: [{text}]"), answer(name));
        peer.acl.check("qscc/GetBlockByHash", CHANNEL, proposal).expect("another resource");
    }
    // On a channel that is not there the default map counts, and says so.
    let text = denied(peer.acl.check(ACL, "elsewhere", &user));
    assert_eq!(text, "Failed to get policy manager for channel [elsewhere]");
}

#[test]
fn recorded_refusals_have_the_recorded_texts() {
    let peer = Peer::new(&config(4));
    for name in ["creator-orderer-org", "creator-peer-role"] {
        let (proposal, said) = rejected(name);
        assert_eq!(denied(peer.acl.check(resource::PROPOSE, CHANNEL, &proposal)), said, "{name}");
    }
    for (name, resource, before, after) in [
        ("cscc-join-user", "cscc/JoinChain", "access denied for [JoinChain][goldchan]: [", "]"),
        ("lscc-install-user", "lscc/Install", "access denied for [install]: ", ""),
    ] {
        let (proposal, said) = rejected(name);
        assert_eq!(format!("{before}{}{after}", denied(peer.acl.check(resource, "", &proposal))), said, "{name}");
    }
    let name = "25-lscc-getinstalledchaincodes-user";
    let text = denied(peer.acl.check("lscc/GetInstalledChaincodes", "", &proposal(name)));
    assert_eq!(format!("access denied for [getinstalledchaincodes]: {text}"), answer(name));
}

/// The recorded configuration with these ACLs, and a policy `Nested` of the application group.
fn with_acls(acls: &[(&str, &str)]) -> Config {
    let mut config = config(4);
    let root = config.channel_group.as_mut().expect("a tree");
    let application = root.groups.get_mut("Application").expect("a group");
    let acls = acls
        .iter()
        .map(|(resource, policy)| ((*resource).to_owned(), ApiResource { policy_ref: (*policy).to_owned() }));
    application.values.get_mut("ACLs").expect("recorded ACLs").value =
        AcLs { acls: acls.collect() }.encode_to_vec().into();
    let nested = Policy { r#type: 1, value: parse("OR('BetaMSP.client')").expect("a policy").encode_to_vec().into() };
    application.policies.insert("Nested".into(), ConfigPolicy { policy: Some(nested), ..ConfigPolicy::default() });
    let sub_policy = "Nested".to_owned();
    let around = Policy { r#type: 3, value: ImplicitMetaPolicy { sub_policy, rule: 0 }.encode_to_vec().into() };
    root.policies.insert("Around".into(), ConfigPolicy { policy: Some(around), ..ConfigPolicy::default() });
    config
}

#[test]
fn a_channel_may_give_any_resource_of_its_own_another_policy() {
    let alpha = proposal("13-qscc-GetBlockByTxID");
    let beta = proposal("54-user-of-other-org");
    let configured = |policy: &str, cause: &str| {
        format!("failed evaluating policy on signed data during check policy [{policy}]: [{cause}]")
    };
    let nested = configured("/Channel/Application/Nested", "signature set did not satisfy policy");
    let peer = Peer::new(&with_acls(&[
        (ACL, ""),
        ("qscc/GetChainInfo", "Nested"),
        ("qscc/GetBlockByHash", "/Channel/Around"),
        ("qscc/GetBlockByNumber", "Nobody"),
        ("qscc/GetTransactionByID", "/Elsewhere/Readers"),
        ("peer/Propose", "Nested"),
        ("mine/Thing", "BetaMSP/Writers"),
        ("lscc/Deploy", "Nested"),
        ("cscc/JoinChain", "Readers"),
        ("orderer/Deliver", "Nested"),
    ]));
    let check = |resource: &str, proposal: &SignedProposal| peer.acl.check(resource, CHANNEL, proposal);

    check(ACL, &alpha).expect("an empty reference leaves the default");
    assert_eq!(denied(check("qscc/GetChainInfo", &alpha)), nested);
    check("qscc/GetChainInfo", &beta).expect("a relative name is below /Channel/Application");
    check("qscc/GetBlockByHash", &beta).expect("an absolute one is as given");
    for (resource, path) in
        [("qscc/GetBlockByNumber", "/Channel/Application/Nobody"), ("qscc/GetTransactionByID", "/Elsewhere/Readers")]
    {
        let text = denied(check(resource, &beta));
        assert_eq!(text, configured(path, &format!("policy {path} not found")), "no policy lets nobody in");
    }
    check("mine/Thing", &beta).expect("a resource that only the channel knows");
    assert_eq!(
        denied(check("mine/Thing", &alpha)),
        configured("/Channel/Application/BetaMSP/Writers", "signature set did not satisfy policy")
    );
    assert_eq!(denied(check("mine/Other", &beta)), "Unmapped policy for mine/Other");
    assert_eq!(denied(check("lscc/Deploy", &alpha)), nested);
    let text = denied(check("cscc/JoinChain", &alpha));
    assert!(text.starts_with("Failed verifying"), "what the peer's own MSP guards no channel gives away: {text}");

    // A forged signature is nobody's, and a proposal that cannot be read has texts of this path.
    let forged = SignedProposal { signature: alpha.signature.clone(), ..beta.clone() };
    assert_eq!(denied(check("qscc/GetChainInfo", &forged)), nested);
    let garbage = SignedProposal { proposal_bytes: Bytes::from_static(b"\xff"), signature: Bytes::new() };
    let text = denied(check("qscc/GetChainInfo", &garbage));
    assert!(
        text.starts_with(
            "Failing extracting proposal during check policy with policy [/Channel/Application/Nested]: ["
        ),
        "{text}"
    );

    // The same for an identity that is known already, and for envelopes.
    let alpha = SigningIdentity::load(&golden("msp/alpha-user1"), "AlphaMSP").expect("a key");
    let realm = Realm::Channel(peer.channels.get(CHANNEL).expect("joined"));
    let identity = realm.identify(&alpha.serialize()).expect("a member");
    let refused = peer.acl.check_identity(resource::PROPOSE, &realm, &identity);
    assert_eq!(denied(refused), nested);
    let payload = payload(alpha.serialize());
    let envelope = Envelope { signature: alpha.sign(&payload).expect("signs"), payload };
    peer.acl
        .check_envelope(resource::ORDERER_DELIVER, CHANNEL, &envelope)
        .expect("no ACL of the peers binds the orderer");
    peer.put(&with_acls(&[("event/Block", "Nested")]));
    assert_eq!(denied(peer.acl.check_envelope(resource::BLOCK_EVENT, CHANNEL, &envelope)), nested);
    peer.acl.check_envelope(resource::FILTERED_BLOCK_EVENT, CHANNEL, &envelope).expect("the default");
}
