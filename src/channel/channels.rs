//! The newest configuration of every channel of the node (Fabric: `peer.channels`, `BundleSource`).
//!
//! Invariant: no channel is here that asks for a capability which this node lacks, so none such is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Bundle, ChannelError};
use crate::msp::{Identity, MspManager};
use crate::policies::PolicyError;

/// What is asked about a channel while proposals, blocks and streams are checked.
pub trait ChannelResources: Send + Sync {
    /// The MSPs of the channel's organisations; none if this peer has not joined it.
    fn msp_manager(&self, channel: &str) -> Option<Arc<MspManager>>;

    /// The names of the application organisations' MSPs; empty if this peer has not joined the channel.
    fn application_msps(&self, channel: &str) -> BTreeSet<String>;

    /// Whether `signers`, none of them twice and all verified, satisfy the policy at `path`
    /// (`/Channel/Application/Readers`).
    ///
    /// # Errors
    /// [`PolicyError`] when they do not, or there is no such policy.
    fn evaluate(&self, channel: &str, path: &str, signers: &[Identity]) -> Result<(), PolicyError>;

    /// The absolute path of the policy that the channel's configuration names for `resource`; none where the default
    /// one counts.
    fn acl(&self, _channel: &str, _resource: &str) -> Option<String> {
        None
    }
}

/// The newest configuration of each channel that the peer has joined.
#[derive(Debug, Default)]
pub struct Channels {
    bundles: RwLock<BTreeMap<String, Arc<Bundle>>>,
}

impl Channels {
    /// Adds a channel, or replaces its configuration: whoever asks from now on gets the new one.
    ///
    /// # Errors
    /// When this node lacks what the configuration asks for. Nothing changes then.
    pub fn put(&self, bundle: Bundle) -> Result<(), ChannelError> {
        bundle.check_supported()?;
        for policy in bundle.missing_policies() {
            let channel = bundle.channel();
            tracing::warn!(
                "[{channel}] Current configuration has no policy '{policy}', this will likely cause problems"
            );
        }
        let mut bundles = self.bundles.write().unwrap_or_else(PoisonError::into_inner);
        bundles.insert(bundle.channel().to_owned(), Arc::new(bundle));
        Ok(())
    }

    /// A channel's configuration.
    pub fn get(&self, channel: &str) -> Option<Arc<Bundle>> {
        self.bundles.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// The channels that are served, sorted.
    pub fn names(&self) -> Vec<String> {
        self.bundles.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl ChannelResources for Channels {
    fn msp_manager(&self, channel: &str) -> Option<Arc<MspManager>> {
        self.get(channel).map(|bundle| Arc::clone(bundle.msps()))
    }

    fn application_msps(&self, channel: &str) -> BTreeSet<String> {
        let bundle = self.get(channel);
        bundle.iter().flat_map(|bundle| bundle.application_msps()).map(str::to_owned).collect()
    }

    fn evaluate(&self, channel: &str, path: &str, signers: &[Identity]) -> Result<(), PolicyError> {
        match self.get(channel) {
            Some(bundle) => bundle.policies().evaluate(path, signers),
            None => Err(PolicyError::Unknown(path.to_owned())),
        }
    }

    fn acl(&self, channel: &str, resource: &str) -> Option<String> {
        self.get(channel)?.application()?.acls().get(resource).cloned()
    }
}
