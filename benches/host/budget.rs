//! Where the node's time for a proposal goes, part by part, for the cheapest call (qscc GetChainInfo).
//!
//! The whole and gRPC alone are measured as processes under the same load; the parts between them in this process, one
//! after the other. What no part explains is the last row: decoding, hashing, the hop to the work runtime, shaping.

use std::sync::Arc;

use anyhow::Context;
use prost::Message;
use selvedge::chaincode::{ChaincodeSupport, TransactionParams};
use selvedge::container::Ccid;
use selvedge::msp::{Msp, Signer, SigningIdentity};
use selvedge::testing::TestPeer;
use selvedge_proto::common::{Header, SignatureHeader};
use selvedge_proto::protos::{ChaincodeInput, Proposal, ProposalResponse, SignedProposal};

use crate::canned::Canned;
use crate::load::{CHANNEL, Load, QSCC};
use crate::measure::{Better, Process, Row, TURNS, processor_time, table};
use crate::node::NodeProcess;

const IN_FLIGHT: usize = 16;
const COUNT: usize = 4000;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = NodeProcess::start(folder.path(), &[], &[("CORE_CHAINCODE_WASM_INSTANCES", "288")])?;
    let load = Load::new(node.user()?)?;
    let target = load.connect(node.id(), node.peer)?;
    let proposal = load.proposal(&QSCC)?;
    let answer = load.runtime.block_on(target.ask(proposal.clone()))?;
    let canned = Canned::start(folder.path(), &answer)?;
    let alone = load.connect(canned.id(), canned.address)?;
    let signatures = Signatures::of(&node, &proposal, &answer)?;
    let handler = HandlerAlone::start()?;

    let mut rows = [
        Row::new("the node, its log at info"),
        Row::new("the node, its log at error"),
        Row::new("  gRPC: an endorser that has its answer already"),
        Row::new("  the proposal's signature is verified"),
        Row::new("  the endorsement is signed"),
        Row::new("  Handler and sandbox: the transaction of qscc"),
        Row::new("  everything else"),
    ];
    for _ in 0..TURNS {
        for (row, spec) in [(0, "info"), (1, "error")] {
            node.log_at(spec)?;
            rows[row].add(load.turn(&target, &QSCC, IN_FLIGHT, COUNT)?.target);
        }
        rows[2].add(load.turn(&alone, &QSCC, IN_FLIGHT, COUNT)?.target);
        rows[3].add(each(COUNT, || signatures.verify())?);
        rows[4].add(each(COUNT, || signatures.sign())?);
        let started = processor_time(Process::This);
        handler.transactions(COUNT)?;
        rows[5].add(microseconds(started, COUNT));
    }
    let parts: f64 = rows[2..6].iter().map(Row::median).sum();
    let rest = rows[1].median() - parts;
    rows[6].add(rest);
    let title =
        format!("{}, {IN_FLIGHT} in flight: the node's processor time for each proposal, and its parts", QSCC.name);
    table(&title, "us", Better::Less, &rows);
    handler.stop();
    node.stop()
}

fn each(count: usize, mut operation: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let started = processor_time(Process::This);
    for _ in 0..count {
        operation()?;
    }
    Ok(microseconds(started, count))
}

fn microseconds(started: std::time::Duration, count: usize) -> f64 {
    (processor_time(Process::This) - started).as_secs_f64() * 1e6 / count as f64
}

/// The two signatures of a proposal, as the node checks and makes them.
struct Signatures {
    msp: Msp,
    creator: bytes::Bytes,
    proposal: SignedProposal,
    peer: SigningIdentity,
    endorsed: Vec<u8>,
}

impl Signatures {
    fn of(node: &NodeProcess, proposal: &SignedProposal, answer: &ProposalResponse) -> anyhow::Result<Self> {
        let made = node.identities()?;
        let header = Header::decode(Proposal::decode(proposal.proposal_bytes.clone())?.header)?;
        let peer = SigningIdentity::load(&made.peer, &made.mspid)?;
        Ok(Self {
            msp: Msp::load(&made.peer, &made.mspid)?,
            creator: SignatureHeader::decode(header.signature_header)?.creator,
            proposal: proposal.clone(),
            endorsed: [answer.payload.clone(), peer.serialize()].concat(),
            peer,
        })
    }

    fn verify(&self) -> anyhow::Result<()> {
        let identity = self.msp.deserialize(&self.creator)?;
        Ok(identity.verify(&self.proposal.proposal_bytes, &self.proposal.signature)?)
    }

    fn sign(&self) -> anyhow::Result<()> {
        self.peer.sign(&self.endorsed)?;
        Ok(())
    }
}

/// A node in this process whose chaincode is called without an endorser.
struct HandlerAlone {
    runtime: tokio::runtime::Runtime,
    peer: TestPeer,
    params: TransactionParams,
    _folder: tempfile::TempDir,
}

impl HandlerAlone {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let folder = tempfile::tempdir()?;
        let (peer, proposal) = runtime.block_on(async {
            let peer = TestPeer::start(folder.path(), &[], &[]).await?;
            peer.recorder().pause();
            let proposal = peer.client().await?.proposal(QSCC.chaincode, QSCC.args)?;
            anyhow::Ok((peer, proposal))
        })?;
        let params = TransactionParams {
            txid: proposal.txid,
            channel_id: CHANNEL.to_owned(),
            proposal: Some(Arc::new(Proposal::decode(proposal.proposal)?)),
            signed_proposal: Some(Arc::new(proposal.signed)),
            ..TransactionParams::default()
        };
        Ok(Self { runtime, peer, params, _folder: folder })
    }

    fn transactions(&self, count: usize) -> anyhow::Result<()> {
        let (support, params) = (self.peer.node().support().clone(), self.params.clone());
        let work = self.peer.node().work();
        self.runtime.block_on(async { work.spawn(one_after_the_other(support, params, count)).await? })
    }

    fn stop(self) {
        self.runtime.block_on(self.peer.stop());
    }
}

async fn one_after_the_other(support: ChaincodeSupport, params: TransactionParams, count: usize) -> anyhow::Result<()> {
    let ccid = Ccid::new(QSCC.chaincode, env!("CARGO_PKG_VERSION"));
    for _ in 0..count {
        let input =
            ChaincodeInput { args: QSCC.args.iter().map(|arg| (*arg).into()).collect(), ..ChaincodeInput::default() };
        let executed = support.execute(&params, &ccid, input).await.context("qscc gives no answer")?;
        anyhow::ensure!(executed.response.status == 200, "qscc refuses: {:?}", executed.response);
    }
    Ok(())
}
