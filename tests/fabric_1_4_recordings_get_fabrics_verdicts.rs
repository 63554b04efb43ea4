//! Traffic and blocks of a real Fabric 1.4.12 network: signatures and hashes hold, refusals have the same texts,
//! answers have the same bytes. That transactions get the same codes, `golden_blocks_hash_and_replay.rs` shows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge::chaincode::packages::PackageStore;
use selvedge::chaincode::{ChaincodeMode, Definitions, Executed, Ledgers, Lifecycle, TransactionParams};
use selvedge::channel::{AclChecker, Authenticator, Bundle, Channels};
use selvedge::committer::Committer;
use selvedge::container::Ccid;
use selvedge::endorser::check::{check, invocation_input};
use selvedge::endorser::{ChaincodeExecutor, Endorser, EndorserParts, hash};
use selvedge::ledger::{Ledger, LedgerProvider, TransientStore};
use selvedge::msp::{Msp, SigningIdentity};
use selvedge::ordering::Orderer;
use selvedge::private_data::LocalDistributor;
use selvedge::testing::{GOLDEN_CHANNEL as CHANNEL, Golden, GoldenSccs, Played, base64_at, text_at};
use selvedge::validation::TransactionValidator;
use selvedge_proto::common::{Envelope, Header, SignatureHeader};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeEvent, ChaincodeInput, Proposal, ProposalResponse, ProposalResponsePayload, Response,
    SignedProposal,
};

fn read(path: &str) -> Bytes {
    Golden::V1_4.read(path).expect("recorded")
}

fn json(path: &str) -> Vec<serde_json::Value> {
    serde_json::from_slice(&read(path)).expect("a list")
}

fn msp(folder: &str, mspid: &str) -> Arc<Msp> {
    Arc::new(Msp::load(&Golden::V1_4.path("msp").join(folder), mspid).expect("an MSP"))
}

/// The recorded channel.
fn channels() -> Arc<Channels> {
    let genesis = Golden::V1_4.block(0).expect("recorded");
    let channels = Channels::default();
    channels.put(Bundle::from_config_block(&genesis).expect("a channel")).expect("supported");
    Arc::new(channels)
}

fn authenticator() -> Arc<Authenticator> {
    Arc::new(Authenticator::new(channels(), msp("alpha-peer0", "AlphaMSP")))
}

/// Answers what the recorded chaincode answered.
fn executor(recorded: BTreeMap<String, Executed>) -> Arc<dyn ChaincodeExecutor> {
    let unrecorded = Executed { response: Response { status: 500, ..Response::default() }, event: None };
    Arc::new(Played(move |params: &TransactionParams, _: &Ccid, _: ChaincodeInput| {
        recorded.get(&params.txid).unwrap_or(&unrecorded).clone()
    }))
}

struct Disk(LedgerProvider);

impl Ledgers for Disk {
    fn ledger(&self, channel: &str) -> Option<Arc<Ledger>> {
        self.0.get(channel)
    }
}

/// Of chaincode whose packages would be in `dir`.
fn definitions(dir: &Path) -> Arc<dyn Definitions> {
    let packages = Arc::new(PackageStore::open(&dir.join("chaincodes")).expect("a store"));
    Arc::new(Lifecycle::new(Arc::new(GoldenSccs), packages, ChaincodeMode::Net))
}

/// The recorded peer A, with so many blocks of the channel in `dir`.
fn peer(dir: &Path, height: u64, recorded: BTreeMap<String, Executed>) -> Endorser {
    let ledgers = LedgerProvider::open(dir).expect("a directory");
    let transient = TransientStore::open(&dir.join("transientStore")).expect("a store");
    Golden::V1_4.replay(&ledgers, height).expect("recorded");
    let authenticator = authenticator();
    let parts = EndorserParts {
        acl: AclChecker::new(Arc::clone(&authenticator)),
        authenticator,
        system_chaincodes: Arc::new(GoldenSccs),
        definitions: definitions(dir),
        executor: executor(recorded),
        ledgers: Arc::new(Disk(ledgers)),
        private_data: Arc::new(LocalDistributor::new(Arc::new(transient))),
        signer: Arc::new(SigningIdentity::load(&Golden::V1_4.path("msp/alpha-peer0"), "AlphaMSP").expect("a key")),
        metrics: Arc::default(),
    };
    Endorser::new(parts, 1, None)
}

fn header(proposal: &Proposal) -> Header {
    Header::decode(proposal.header.clone()).expect("a header")
}

#[test]
fn recorded_endorsements_ids_and_hashes_hold() {
    let authenticator = authenticator();
    let realm = authenticator.realm(CHANNEL);
    let mut verified = 0;
    for case in json("proposals/index.json") {
        let name = text_at(&case, "/name");
        let signed = SignedProposal::decode(read(text_at(&case, "/request"))).expect("a proposal");
        let proposal = Proposal::decode(signed.proposal_bytes.clone()).expect("a proposal");
        let header = header(&proposal);
        let creator = SignatureHeader::decode(header.signature_header.clone()).expect("a header");
        assert_eq!(hash::transaction_id(&creator.nonce, &creator.creator), text_at(&case, "/txid"), "{name}");
        let checked = check(Arc::new(signed), SystemTime::now(), &authenticator);
        checked.unwrap_or_else(|error| panic!("{name}: {error}"));

        let (input, _) = invocation_input(&proposal.payload).expect("an input");
        let payload = hash::payload_without_transient(&input);
        let expected = hash::proposal_hash(&header.channel_header, &header.signature_header, &payload);
        for recorded in case["responses"].as_array().expect("a list") {
            let response = ProposalResponse::decode(read(text_at(recorded, "/file"))).expect("a response");
            if !response.payload.is_empty() {
                let payload = ProposalResponsePayload::decode(response.payload.clone()).expect("a payload");
                assert_eq!(payload.proposal_hash[..], expected, "{name}");
            }
            let Some(endorsement) = response.endorsement else { continue };
            let message = [&response.payload[..], &endorsement.endorser].concat();
            authenticator
                .authenticate(&realm, &endorsement.endorser, &message, &endorsement.signature)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            verified += 1;
        }
    }
    assert!(verified > 40, "{verified} endorsements were verified");
}

/// Answers of the system chaincodes themselves, or of instantiated chaincode.
const CHAINCODE: [&str; 5] = ["qscc-", "cscc-", "lscc-", "extension-other-chaincode", "timestamp-1970"];
/// Needs the transaction on the ledger; a unit test of the endorser has that.
const COMMITTED: &str = "replay-committed";

#[tokio::test]
async fn refused_proposals_get_fabrics_texts() {
    let dir = tempfile::tempdir().expect("a directory");
    let peer = peer(dir.path(), 1, BTreeMap::new());
    let mut tested = 0;
    for case in json("proposals/rejected.json") {
        let name = text_at(&case, "/name");
        let refused = text_at(&case, "/grpc/details");
        let of_chaincode = refused.is_empty() && CHAINCODE.iter().any(|prefix| name.starts_with(prefix));
        if of_chaincode || name == COMMITTED {
            continue;
        }
        let signed = SignedProposal::decode(base64_at(&case, "/request_base64").expect("base64")).expect("a proposal");
        let answer = peer.process(signed).await;
        if refused.is_empty() {
            let response = answer.expect(name).response.expect(name);
            let expected = text_at(&case, "/response/message");
            assert_eq!((response.status, response.message.as_str()), (500, expected), "{name}");
        } else {
            assert_eq!(answer.expect_err(name).to_string(), refused, "{name}");
        }
        tested += 1;
    }
    assert_eq!(tested, 33);
}

#[tokio::test]
async fn the_replay_of_a_committed_transaction_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let peer = peer(dir.path(), 9, BTreeMap::new());
    let cases = json("proposals/rejected.json");
    let case = cases.iter().find(|case| text_at(case, "/name") == COMMITTED).expect("recorded");
    let signed = SignedProposal::decode(base64_at(case, "/request_base64").expect("base64")).expect("a proposal");
    let refused = peer.process(signed).await.expect_err("a duplicate");
    assert_eq!(refused.to_string(), text_at(case, "/grpc/details"));
}

/// Where there is no simulator the payload depends on nothing but proposal and answer, so it has to be the recorded
/// one.
#[tokio::test]
async fn answers_without_a_read_write_set_have_the_recorded_bytes() {
    let mut recorded = BTreeMap::new();
    let mut cases = json("proposals/index.json");
    cases.retain(|case| matches!(text_at(case, "/chaincode"), "qscc" | "cscc") || text_at(case, "/channel").is_empty());
    for case in &cases {
        let response = ProposalResponse::decode(read(text_at(case, "/responses/0/file"))).expect("a response");
        let payload = ProposalResponsePayload::decode(response.payload).expect("a payload");
        let action = ChaincodeAction::decode(payload.extension).expect("an action");
        let event = (!action.events.is_empty()).then(|| ChaincodeEvent::decode(action.events).expect("an event"));
        let executed = Executed { response: response.response.expect("a response"), event };
        recorded.insert(text_at(case, "/txid").to_owned(), executed);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let peer = peer(dir.path(), 1, recorded);
    for case in &cases {
        let name = text_at(case, "/name");
        let expected = ProposalResponse::decode(read(text_at(case, "/responses/0/file"))).expect("a response");
        let signed = SignedProposal::decode(read(text_at(case, "/request"))).expect("a proposal");
        let mut answer = peer.process(signed).await.expect(name);
        // Signatures are random.
        if let (Some(ours), Some(theirs)) = (&mut answer.endorsement, &expected.endorsement) {
            ours.signature = theirs.signature.clone();
        }
        assert_eq!(answer, expected, "{name}");
    }
    assert!(cases.len() > 12, "{} answers were compared", cases.len());
}

/// The orderer's answers to envelopes that it did not order, under the policies of the block before they were sent.
#[tokio::test]
async fn refused_envelopes_get_the_orderers_texts() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = LedgerProvider::open(dir.path()).expect("a directory");
    let ledger = ledgers.create(CHANNEL, &Golden::V1_4.block(0).expect("recorded")).expect("a ledger");
    let signer = Arc::new(SigningIdentity::load(&Golden::V1_4.path("msp/alpha-peer0"), "AlphaMSP").expect("a key"));
    let channels = Arc::new(Channels::default());
    let validator = Arc::new(TransactionValidator::new(channels.clone(), Arc::new(GoldenSccs)));
    let committer = Committer::new(ledger, Arc::clone(&channels), validator);
    let orderer = Orderer::start(committer, signer, &channels);
    let mut tested = 0;
    for case in json("orderer/broadcast.json") {
        let (name, phase) = (text_at(&case, "/name"), text_at(&case, "/phase"));
        // Block 34 opens the policy Writers.
        let config = if phase == "open Writers policy" { 34 } else { 4 };
        channels
            .put(Bundle::from_config_block(&Golden::V1_4.block(config).expect("recorded")).expect("a channel"))
            .expect("supported");
        let envelope = Envelope::decode(base64_at(&case, "/envelope_base64").expect("base64")).expect("an envelope");
        let answer = orderer.broadcast(envelope).await;
        let status = case["status"].as_i64().expect("a status");
        assert_eq!(
            (i64::from(answer.status), answer.info.as_str()),
            (status, text_at(&case, "/info")),
            "{name}, {phase}"
        );
        tested += 1;
    }
    assert_eq!(tested, 11);
}
