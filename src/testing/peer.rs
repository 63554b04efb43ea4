//! A node in this process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::{Client, Plugin, Recorder, config};
use crate::config::Config;
use crate::msp::{Signer, SigningIdentity, development};
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
    pub async fn start(folder: &Path, plugins: &[Plugin], overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
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
    pub async fn client(&self) -> anyhow::Result<Client> {
        let signer = self.user()?;
        Client::connect(&self.node.peer_address().to_string(), signer, &self.config.development.channel).await
    }

    /// The ordinary user's identity.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn user(&self) -> anyhow::Result<Arc<dyn Signer>> {
        let made = development::ensure(&self.config.peer.development_path(), &self.config.peer.local_msp_id)?;
        Ok(Arc::new(SigningIdentity::load(&made.user, &made.mspid)?))
    }

    /// Stops the node as SIGTERM does.
    pub async fn stop(self) {
        self.node.stop().await;
    }
}
