//! `selvedge chaincode install` (Fabric: `peer/chaincode/install.go`).

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use prost::Message;
use tracing::info;

use super::invoke::Session;
use super::output::proto_text;
use super::package::{CodeFlags, check_size, log_plugins, read};
use super::spec::{Arguments, SpecFlags, given};
use crate::chaincode::packages::ChaincodePackage;
use crate::client::NewProposal;
use crate::cmd::connect::PeerFlags;
use crate::cmd::progress::Progress;
use crate::cmd::services::Peer;
use crate::config::Config;

/// Flags of `install`.
#[derive(Args, Debug)]
pub(super) struct InstallCommand {
    #[command(flatten)]
    spec: SpecFlags,
    #[command(flatten)]
    code: CodeFlags,
    #[command(flatten)]
    pub(super) peers: PeerFlags,
    /// A package that `package`, `signpackage` or Fabric's `peer chaincode package` wrote, instead of -p.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl InstallCommand {
    /// The package to install.
    pub(super) fn package(&self, config: &Config) -> anyhow::Result<Bytes> {
        let package = match &self.file {
            Some(file) => self.ready_made(file)?,
            None => self.made_now(config)?,
        };
        check_size(package.len())?;
        Ok(package)
    }

    fn made_now(&self, config: &Config) -> anyhow::Result<Bytes> {
        let given = |flag: &Option<String>| given(flag.as_ref()).is_some();
        if !given(&self.code.path) || !given(&self.spec.version) || !given(&self.spec.name) {
            bail!("Must supply value for chaincode name, path and version parameters.");
        }
        let spec = self.spec.check("install", Arguments::Optional)?;
        log_plugins("escc", "vscc");
        Ok(self.code.deployment_spec(config, &spec)?.encode_to_vec().into())
    }

    /// What a file has; what else the flags say has to agree with it.
    fn ready_made(&self, file: &std::path::Path) -> anyhow::Result<Bytes> {
        let bytes = read(file)?;
        let package = ChaincodePackage::parse(&bytes).with_context(|| file.display().to_string())?;
        if let Some(name) = given(self.spec.name.as_ref()).filter(|name| name != package.name()) {
            bail!("chaincode name {name} does not match name {} in package", package.name());
        }
        if let Some(version) = given(self.spec.version.as_ref()).filter(|version| version != package.version()) {
            bail!("chaincode version {version} does not match version {} in packages", package.version());
        }
        Ok(bytes)
    }
}

impl Session {
    /// Has one peer install a package.
    pub(super) async fn install(&self, package: Bytes) -> anyhow::Result<()> {
        let peer = Peer(self.connector.peer("endorser").await.context("error getting endorser client for install")?);
        let tls_cert_hash = peer.0.tls_cert_hash.clone();
        let args = vec![Bytes::from_static(b"install"), package];
        let proposal = NewProposal { args, tls_cert_hash, ..NewProposal::new("", "lscc") };
        let created = proposal.sign(&self.signer).context("Error creating signed proposal  chaincode")?;
        let bar = Progress::new();
        bar.waiting("installing");
        let answer = peer.endorse(created.signed).await;
        drop(bar);
        let answer = answer.map_err(|error| anyhow!("Error endorsing chaincode: {error}"))?;
        let response = answer.response.context("Error during install: received nil proposal response")?;
        if response.status != 200 {
            bail!("Bad response: {} - {}", response.status, response.message);
        }
        info!(target: "chaincodeCmd", "Installed remotely response:<{}> ", proto_text(&response));
        Ok(())
    }
}
