//! A client in this process that keeps an endorser in another one busy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use selvedge::client::create_chaincode_proposal;
use selvedge::msp::SigningIdentity;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ProposalResponse, SignedProposal};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::measure::{Process, processor_time};

/// The channel that a node makes for itself.
pub(crate) const CHANNEL: &str = "mychannel";

/// An endorser in a process of its own, and one connection to it.
pub(crate) struct Target {
    process: u32,
    endorser: EndorserClient<Channel>,
}

impl Target {
    pub(crate) async fn connect(process: u32, address: SocketAddr) -> anyhow::Result<Self> {
        let connection = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        Ok(Self { process, endorser: EndorserClient::new(connection) })
    }

    /// One answer.
    pub(crate) async fn ask(&self, proposal: SignedProposal) -> anyhow::Result<ProposalResponse> {
        Ok(self.endorser.clone().process_proposal(proposal).await?.into_inner())
    }
}

/// One call of a chaincode.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) chaincode: &'static str,
    pub(crate) args: &'static [&'static str],
}

/// The cheapest call that a client can make.
pub(crate) const QSCC: Call = Call { name: "qscc GetChainInfo", chaincode: "qscc", args: &["GetChainInfo", CHANNEL] };

/// What one turn gave.
pub(crate) struct Turn {
    /// Proposals a second.
    pub(crate) rate: f64,
    /// Processor time of the target for each, in microseconds.
    pub(crate) target: f64,
    /// Processor time of this process for each, in microseconds.
    pub(crate) client: f64,
}

/// The client: an identity, and one thread to send and receive on.
pub(crate) struct Load {
    pub(crate) runtime: Runtime,
    signer: SigningIdentity,
}

impl Load {
    pub(crate) fn new(signer: SigningIdentity) -> anyhow::Result<Self> {
        Ok(Self { runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?, signer })
    }

    pub(crate) fn connect(&self, process: u32, address: SocketAddr) -> anyhow::Result<Target> {
        self.runtime.block_on(Target::connect(process, address))
    }

    /// A proposal like no other, signed.
    pub(crate) fn proposal(&self, call: &Call) -> anyhow::Result<SignedProposal> {
        let args = call.args.iter().map(|arg| (*arg).into()).collect();
        let made = create_chaincode_proposal(CHANNEL, call.chaincode, args, BTreeMap::new(), &self.signer)?;
        Ok(made.signed)
    }

    /// Sends `count` proposals, `in_flight` at a time. They are signed before the clock starts, so that the client takes as
    /// little as it can of the processors that it shares with its target.
    pub(crate) fn turn(&self, target: &Target, call: &Call, in_flight: usize, count: usize) -> anyhow::Result<Turn> {
        let proposals: Vec<_> = (0..count).map(|_| self.proposal(call)).collect::<Result<_, _>>()?;
        let proposals = Arc::new(std::sync::Mutex::new(proposals));
        let (theirs, ours) = (processor_time(Process::Other(target.process)), processor_time(Process::This));
        let started = Instant::now();
        self.runtime.block_on(async {
            let tasks: Vec<_> = (0..in_flight)
                .map(|_| tokio::spawn(send_all(target.endorser.clone(), Arc::clone(&proposals))))
                .collect();
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(())
        })?;
        let elapsed = started.elapsed();
        let each = |spent: std::time::Duration| spent.as_secs_f64() * 1e6 / count as f64;
        Ok(Turn {
            rate: count as f64 / elapsed.as_secs_f64(),
            target: each(processor_time(Process::Other(target.process)) - theirs),
            client: each(processor_time(Process::This) - ours),
        })
    }
}

async fn send_all(
    mut endorser: EndorserClient<Channel>,
    proposals: Arc<std::sync::Mutex<Vec<SignedProposal>>>,
) -> anyhow::Result<()> {
    let next = || proposals.lock().ok().and_then(|mut proposals| proposals.pop());
    while let Some(proposal) = next() {
        let answer = endorser.process_proposal(proposal).await?.into_inner();
        let response = answer.response.context("an answer without a response")?;
        if response.status != 200 {
            bail!("{} {}", response.status, response.message);
        }
    }
    Ok(())
}
