//! A node in this process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tonic::transport::Channel;

use super::{Boxed, Client, Launched, Plugin, Recorder, config};
use crate::config::Config;
use crate::container::{Vm, VmType};
use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{Signer, SigningIdentity};
use crate::node::{Hooks, Node};
use crate::platforms::Platform;
use crate::tls::{ClientTls, NamedFile, Roots, connect};

/// A running node and what is needed to talk to it.
pub struct TestPeer {
    node: Node,
    config: Config,
    recorder: Arc<Recorder>,
}

impl TestPeer {
    /// Starts a node in `folder`; see [`config`] for the rest.
    ///
    /// # Errors
    /// What keeps the node from starting.
    pub fn start<'a>(
        folder: &'a Path,
        plugins: &'a [Plugin],
        overrides: &'a [(&'a str, &'a str)],
    ) -> Boxed<'a, anyhow::Result<Self>> {
        Self::start_with(folder, plugins, overrides, Vec::new())
    }

    /// The same, with VMs in place of the node's own.
    ///
    /// # Errors
    /// What keeps the node from starting.
    pub fn start_with<'a>(
        folder: &'a Path,
        plugins: &'a [Plugin],
        overrides: &'a [(&'a str, &'a str)],
        vms: Vec<(VmType, Arc<dyn Vm>)>,
    ) -> Boxed<'a, anyhow::Result<Self>> {
        Box::pin(async move { Self::configured(config(folder, plugins, overrides)?, vms).await })
    }

    /// The same with any configuration.
    ///
    /// # Errors
    /// What keeps the node from starting.
    pub fn configured(config: Config, vms: Vec<(VmType, Arc<dyn Vm>)>) -> Boxed<'static, anyhow::Result<Self>> {
        Box::pin(async move {
            let recorder = Arc::new(Mutex::new(None));
            let hooks = Hooks {
                acceptor: Some(Box::new({
                    let recorder = Arc::clone(&recorder);
                    move |inner| {
                        let made = Arc::new(Recorder::new(inner));
                        *recorder.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&made));
                        made
                    }
                })),
                vms,
            };
            let node = Node::start(&config, hooks).await?;
            let recorder =
                recorder.lock().unwrap_or_else(PoisonError::into_inner).take().context("nothing was recorded")?;
            Ok(Self { node, config, recorder })
        })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What passes through the streams of the node's chaincodes, from the start on, until it is paused.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// An ordinary user of the development organisation, connected to the node.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn client<'a>(&'a self) -> Boxed<'a, anyhow::Result<Client>> {
        Box::pin(async move { self.connect(self.user()?).await })
    }

    /// An administrator of the development organisation, connected to the node.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn administrator<'a>(&'a self) -> Boxed<'a, anyhow::Result<Client>> {
        Box::pin(async move { self.connect(self.admin()?).await })
    }

    /// A connection to what the node serves to clients.
    ///
    /// # Errors
    /// When it fails.
    pub fn connection(&self) -> Boxed<'_, anyhow::Result<Channel>> {
        Box::pin(async move { Ok(connect(&self.node.peer_address().to_string(), self.tls()?.as_ref()).await?) })
    }

    async fn connect(&self, signer: Arc<dyn Signer>) -> anyhow::Result<Client> {
        let channel = self.config.development.channel.as_deref().context("there is no development channel")?;
        self.client_on(signer, channel).await
    }

    /// What the node is to be spoken to with.
    pub(super) fn tls(&self) -> anyhow::Result<Option<ClientTls>> {
        let tls = &self.config.peer.tls;
        if !tls.enabled {
            return Ok(None);
        }
        let file = tls.rootcert_file.as_ref().context("peer.tls.rootcert.file")?;
        let roots = Roots::load("", &[NamedFile::new("peer.tls.rootcert.file", file)])?;
        Ok(Some(ClientTls::new(roots, None)?))
    }

    /// What a launch would give to a chaincode that registers as `id`, with its files below `folder`. (A
    /// [`super::NativeChaincode`] says that it has registered with `CHAINCODE_LOGGING_SHIM` at `info` only.)
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn launched(&self, folder: &Path, id: &str, platform: Platform) -> anyhow::Result<Launched> {
        Launched::new(folder, &self.node.support().launch_config(id, platform)?)
    }

    /// The ordinary user's identity.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn user(&self) -> anyhow::Result<Arc<dyn Signer>> {
        let made = self.development()?;
        Ok(Arc::new(SigningIdentity::load(&made.user, &made.mspid)?))
    }

    /// The identity of the development organisation's administrator.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn admin(&self) -> anyhow::Result<Arc<dyn Signer>> {
        let made = self.development()?;
        Ok(Arc::new(SigningIdentity::load(&made.admin, &made.mspid)?))
    }

    /// The folders of the development organisation.
    pub(super) fn development(&self) -> anyhow::Result<DevelopmentMsp> {
        Ok(development::ensure(&self.config.peer.development_path(), &self.config.peer.local_msp_id)?)
    }

    /// Stops the node as SIGTERM does.
    pub fn stop(self) -> Boxed<'static, ()> {
        Box::pin(async move {
            self.node.stop().await;
        })
    }
}
