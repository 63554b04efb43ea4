//! Every refusal that a client of a Fabric 1.4 peer can meet, through gRPC: where it is found and its text.
//!
//! The tables are those of Fabric's checks: the endorser's own (`endorser`), cscc's and qscc's (`system`), lscc's (`lscc`). The
//! node has the identities and the chain of a recorded network, whose channel has organisations of both kinds and an ACL of
//! its own, and two channels more that lack a capability.

mod draft;
mod endorser;
mod lscc;
mod system;

use std::path::Path;
use std::sync::Arc;

use selvedge::ledger::LedgerProvider;
use selvedge::msp::SigningIdentity;
use selvedge::testing::{GOLDEN_CHANNEL, Golden, TestPeer};
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::SignedProposal;
use selvedge_proto::protos::endorser_client::EndorserClient;
use tonic::transport::Channel;

use draft::Draft;

const GOLDEN: Golden = Golden::V1_4;
const CHANNEL: &str = GOLDEN_CHANNEL;
/// Blocks of the recorded chain that the node has; the fourth brought an ACL.
const HEIGHT: u64 = 9;

/// Where a client finds a refusal, with its text.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The call failed with gRPC's code Unknown.
    Grpc(String),
    /// The call succeeded with this status, and a payload or none: one says that the chaincode refused.
    Response { status: i32, text: String, by_chaincode: bool },
}

fn grpc(text: impl Into<String>) -> Answer {
    Answer::Grpc(text.into())
}

/// What the peer says in the chaincode's place.
fn failed(text: impl Into<String>) -> Answer {
    Answer::Response { status: 500, text: text.into(), by_chaincode: false }
}

/// What a chaincode does that belongs to no channel.
fn done() -> Answer {
    Answer::Response { status: 200, text: String::new(), by_chaincode: false }
}

/// What a chaincode says.
fn refused(text: impl Into<String>) -> Answer {
    Answer::Response { status: 500, text: text.into(), by_chaincode: true }
}

/// One row: what is wrong, the proposal, and the answer.
struct Row {
    name: &'static str,
    signed: SignedProposal,
    expected: Answer,
}

/// Identities of the recorded network.
struct Signers {
    user: SigningIdentity,
    admin: SigningIdentity,
    other_org: SigningIdentity,
    orderer_admin: SigningIdentity,
    revoked: SigningIdentity,
}

impl Signers {
    fn load() -> Self {
        let load = |folder: &str, mspid| SigningIdentity::load(&GOLDEN.path("msp").join(folder), mspid).expect(folder);
        Self {
            user: load("alpha-user1", "AlphaMSP"),
            admin: load("alpha-admin", "AlphaMSP"),
            other_org: load("beta-user1", "BetaMSP"),
            orderer_admin: load("orderer-admin", "OrdererMSP"),
            revoked: load("alpha-user2-revoked", "AlphaMSP"),
        }
    }
}

async fn node(folder: &Path) -> anyhow::Result<(TestPeer, EndorserClient<Channel>)> {
    let ledgers = LedgerProvider::open(&folder.join("data/ledgers"))?;
    lscc::prepare(&ledgers, &*GOLDEN.replay(&ledgers, HEIGHT)?)?;
    drop(ledgers);
    let msp = GOLDEN.path("msp/alpha-peer0");
    let settings = [("PEER_MSPCONFIGPATH", msp.to_str().unwrap_or_default()), ("PEER_LOCALMSPID", "AlphaMSP")];
    let node = TestPeer::start(folder, &[], &settings).await?;
    let connection = node.connection().await?;
    Ok((node, EndorserClient::new(connection).max_decoding_message_size(MAX_MESSAGE_SIZE)))
}

async fn ask(endorser: &mut EndorserClient<Channel>, signed: SignedProposal) -> Answer {
    match endorser.process_proposal(signed).await {
        Err(status) if status.code() == tonic::Code::Unknown => Answer::Grpc(status.message().to_owned()),
        Err(status) => panic!("Fabric has no errors of code {:?}: {}", status.code(), status.message()),
        Ok(answer) => {
            let answer = answer.into_inner();
            let response = answer.response.unwrap_or_default();
            assert!(answer.endorsement.is_none() || response.status < 400, "an endorsed refusal: {response:?}");
            Answer::Response {
                status: response.status,
                text: response.message,
                by_chaincode: !answer.payload.is_empty(),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_where_fabric_puts_it_and_in_its_words() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (node, mut endorser) = node(folder.path()).await?;
    let signers = Arc::new(Signers::load());
    let mut wrong = Vec::new();
    let mut rows: Vec<Row> = endorser::rows(&signers).into_iter().chain(system::rows(&signers)).collect();
    rows.extend(lscc::rows(&signers, &folder.path().join("data/chaincodes")));
    let count = rows.len();
    for row in rows {
        let answer = ask(&mut endorser, row.signed).await;
        if answer != row.expected {
            wrong.push(format!("{}:\n  ours  {answer:?}\n  Fabric's {:?}", row.name, row.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
    // After all that the node works as before.
    let signed = Draft::call(CHANNEL, "qscc", &["GetChainInfo", CHANNEL]).sign(&signers.user);
    assert_eq!(
        ask(&mut endorser, signed).await,
        Answer::Response { status: 200, text: String::new(), by_chaincode: true }
    );
    node.stop().await;
    Ok(())
}
