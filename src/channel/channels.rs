//! The newest configuration of every channel of the node (Fabric: `peer.channels`, `BundleSource`).
//!
//! Invariant: no channel is here that asks for a capability which this node lacks, so none such is served. Whoever
//! decides something takes one [`Bundle`] and asks that for all that it needs: between two look-ups another configuration
//! may have come.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Bundle, ChannelError};

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

    /// A channel's configuration; none if this peer has not joined it.
    pub fn get(&self, channel: &str) -> Option<Arc<Bundle>> {
        self.bundles.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// The channels that are served, sorted.
    pub fn names(&self) -> Vec<String> {
        self.bundles.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
