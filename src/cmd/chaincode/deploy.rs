//! `selvedge chaincode instantiate` and `upgrade` (Fabric: `peer/chaincode/{instantiate,upgrade}.go`).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use prost::Message;

use super::commit::CommitWaiter;
use super::invoke::Session;
use super::package::log_plugins;
use super::spec::{Arguments, CheckedSpec, SpecFlags, given};
use super::{WaitFlags, collections};
use crate::client::{NewProposal, create_signed_tx};
use crate::cmd::connect::{PeerFlags, Peers};
use crate::cmd::progress::Progress;
use crate::cmd::services::{Orderer, Peer};
use crate::policies;

/// Flags of `instantiate` and `upgrade`.
#[derive(Args, Debug)]
pub(super) struct DeployCommand {
    #[command(flatten)]
    spec: SpecFlags,
    /// Taken for scripts' sake: the peer has the chaincode's path from its package.
    #[arg(short, long)]
    path: Option<String>,
    /// The channel.
    #[arg(short = 'C', long = "channelID")]
    channel: Option<String>,
    /// Who has to endorse the chaincode's transactions; any member of the channel where it is left out.
    #[arg(short = 'P', long)]
    policy: Option<String>,
    /// The plug-in that endorses.
    #[arg(short = 'E', long, value_name = "NAME")]
    escc: Option<String>,
    /// The plug-in that validates.
    #[arg(short = 'V', long, value_name = "NAME")]
    vscc: Option<String>,
    /// The chaincode's collections of private data, in JSON.
    #[arg(long = "collections-config", value_name = "FILE")]
    collections_config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) wait: WaitFlags,
    #[command(flatten)]
    peers: PeerFlags,
}

/// The two functions of lscc that begin a chaincode's life on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deployment {
    Instantiate,
    Upgrade,
}

/// A deployment whose flags have been checked.
pub(super) struct CheckedDeployment {
    deployment: Deployment,
    /// One.
    pub(super) peers: Peers,
    spec: CheckedSpec,
    path: String,
    channel: String,
    policy: Bytes,
    escc: String,
    vscc: String,
    collections: Option<Bytes>,
}

impl Deployment {
    /// lscc's name for it.
    fn function(self) -> &'static str {
        match self {
            Self::Instantiate => "deploy",
            Self::Upgrade => "upgrade",
        }
    }

    /// The command line's name for it.
    fn verb(self) -> &'static str {
        match self {
            Self::Instantiate => "instantiate",
            Self::Upgrade => "upgrade",
        }
    }
}

impl DeployCommand {
    pub(super) fn check(&self, deployment: Deployment) -> anyhow::Result<CheckedDeployment> {
        let Some(channel) = given(self.channel.as_ref()) else {
            bail!("The required parameter 'channelID' is empty. Rerun the command with -C flag");
        };
        let peers = self.peers.one(deployment.verb(), Some(&channel))?;
        let spec = self.spec.check(deployment.verb(), Arguments::Needed)?;
        let policy = match given(self.policy.as_ref()) {
            None => Bytes::new(),
            Some(text) => {
                let policy = policies::parse(&text).map_err(|cause| anyhow!("invalid policy {text}: {cause}"))?;
                policy.encode_to_vec().into()
            }
        };
        let collections = self.collections_config.as_deref().map(collections::read).transpose()?;
        Ok(CheckedDeployment {
            deployment,
            peers,
            spec,
            path: self.path.clone().unwrap_or_default(),
            channel,
            policy,
            escc: given(self.escc.as_ref()).unwrap_or_else(|| "escc".to_owned()),
            vscc: given(self.vscc.as_ref()).unwrap_or_else(|| "vscc".to_owned()),
            collections: collections.map(|collections| collections.encode_to_vec().into()),
        })
    }
}

impl CheckedDeployment {
    fn args(&self) -> Vec<Bytes> {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        // Name, version and arguments: the code is what the peer has installed.
        let spec = self.spec.deployment_spec(&self.path, Bytes::new()).encode_to_vec();
        let mut args = vec![text(self.deployment.function()), text(&self.channel), spec.into(), self.policy.clone()];
        args.extend([text(&self.escc), text(&self.vscc)]);
        args.extend(self.collections.clone());
        args
    }
}

impl Session {
    /// Has one peer endorse the deployment, and sends it to the orderer; with `wait`, until the peer has committed it.
    pub(super) async fn deploy(&self, deployment: &CheckedDeployment, wait: Option<Duration>) -> anyhow::Result<()> {
        log_plugins(&deployment.escc, &deployment.vscc);
        let verb = deployment.deployment.verb();
        let peer = self.connector.peer("endorser").await;
        let peer = Peer(peer.with_context(|| format!("error getting endorser client for {verb}"))?);
        let tls_cert_hash = peer.0.tls_cert_hash.clone();
        let proposal =
            NewProposal { args: deployment.args(), tls_cert_hash, ..NewProposal::new(&deployment.channel, "lscc") };
        let created = proposal.sign(&self.signer).context("error creating signed proposal  chaincode")?;
        let bar = Progress::new();
        // An image may be built before the chaincode answers.
        bar.waiting("starting the chaincode");
        let endorsed = peer.endorse(created.signed.clone()).await;
        drop(bar);
        let response = endorsed.map_err(|error| anyhow!("error endorsing chaincode: {error}"))?;
        let envelope = create_signed_tx(&created.proposal, &self.signer, &[response])
            .map_err(|error| anyhow!("could not assemble transaction, err {error}"))?;
        let peers = [peer];
        let waiter = match wait {
            Some(timeout) => Some(CommitWaiter::open(&peers, &deployment.channel, &self.signer, timeout).await?),
            None => None,
        };
        let orderer = Orderer(self.connector.orderer().await.context("error getting broadcast client")?);
        let sent = orderer.broadcast(envelope).await;
        sent.with_context(|| format!("error sending transaction for {verb} to {}", orderer.0.address))?;
        match waiter {
            Some(waiter) => waiter.wait(&created.txid).await,
            None => Ok(()),
        }
    }
}
