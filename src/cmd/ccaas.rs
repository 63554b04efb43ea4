//! `selvedge ccaas`: serves a wasm chaincode to peers elsewhere, as chaincode as a service.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::ccaas::{self, Service};
use crate::operations::LogControl;
use crate::tls::{ClientAuth, Identity, NamedFile, Roots, ServerTls};

#[derive(Args, Debug)]
pub(super) struct CcaasCommand {
    /// A component, or a core module with the SDK's metadata.
    file: PathBuf,
    /// Where peers connect to.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// What it registers as: the package id, or name:version; CHAINCODE_ID or CORE_CHAINCODE_ID_NAME where it is left out.
    #[arg(long)]
    id: Option<String>,
    /// The certificate to show to peers.
    #[arg(long = "tls-cert", value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long = "tls-key", value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,
    /// The authorities of whose certificates a peer must show one.
    #[arg(long = "tls-client-ca", value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_client_ca: Option<PathBuf>,
}

pub(super) fn run(command: &CcaasCommand) -> anyhow::Result<()> {
    let config = super::load_config()?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let id = command.id.clone().or_else(|| variable("CHAINCODE_ID")).or_else(|| variable("CORE_CHAINCODE_ID_NAME"));
    let Some(id) = id else {
        bail!("what should the chaincode register as? Give its package id with --id (or CHAINCODE_ID)");
    };
    let service = Service { file: command.file.clone(), id, address: command.address.clone(), tls: command.tls()? };
    let how = if service.tls.is_some() { "with TLS" } else { "without TLS" };
    LogControl::install(&config.logging_spec)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads that serve")?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let id = service.id.clone();
        let listening = ccaas::listen(&config, service).await?;
        tracing::info!("chaincode {id} listens on {} {how} for peers", listening.address);
        let name = tokio::select! {
            served = listening.serve() => return served,
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("stopped by {name}");
        Ok(())
    })
}

impl CcaasCommand {
    fn tls(&self) -> anyhow::Result<Option<ServerTls>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let identity = Identity::load(&NamedFile::new("--tls-cert", certificate), &NamedFile::new("--tls-key", key))?;
        let clients = match &self.tls_client_ca {
            Some(file) => {
                let setting = "--tls-client-ca";
                ClientAuth::Required(Roots::load(setting, &[NamedFile::new(setting, file)])?)
            }
            None => ClientAuth::Requested,
        };
        Ok(Some(ServerTls::new(&identity, clients)?))
    }
}
