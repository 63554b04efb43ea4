//! A node in this process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::{Boxed, Client, Plugin, Recorder, config};
use crate::config::Config;
use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{Signer, SigningIdentity};
use crate::node::{Hooks, Node};

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
        Box::pin(async move {
            let config = config(folder, plugins, overrides)?;
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

    async fn connect(&self, signer: Arc<dyn Signer>) -> anyhow::Result<Client> {
        let channel = self.config.development.channel.as_deref().context("there is no development channel")?;
        Client::connect(&self.node.peer_address().to_string(), signer, channel).await
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
