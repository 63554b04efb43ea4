//! Who signed something, verified once (Fabric: `checkSignatureFromCreator`, and the verification inside
//! `core/policy`).
//!
//! A proposal is looked at several times: by the endorser, by the ACL of the channel, by the ACL of each capability
//! that a system chaincode uses. Verification depends on nothing but certificate, message and signature, so the verdict
//! on the same three is remembered. Membership is looked up each time, since it differs between channels.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::ChannelResources;
use crate::msp::{Generations, Identity, Msp, MspError};

/// Verdicts remembered in each of two generations: more than proposals are in flight (`peer.limits.concurrency`: 2500).
const REMEMBERED: usize = 4096;

/// Turns a creator and a signature into an [`Identity`].
pub struct Authenticator {
    channels: Arc<dyn ChannelResources>,
    local: Arc<Msp>,
    verified: Mutex<Generations<[u8; 32], ()>>,
}

impl Authenticator {
    /// For these channels, and the peer's own MSP for what belongs to no channel.
    pub fn new(channels: Arc<dyn ChannelResources>, local: Arc<Msp>) -> Self {
        Self { channels, local, verified: Mutex::new(Generations::new(REMEMBERED)) }
    }

    /// The channels that creators are looked up in.
    pub fn channels(&self) -> &Arc<dyn ChannelResources> {
        &self.channels
    }

    /// The identity that `creator` is in `channel`; with an empty channel, in the peer's own MSP.
    ///
    /// # Errors
    /// When this peer has not joined the channel, or the channel's MSPs do not vouch for the creator.
    pub fn identify(&self, channel: &str, creator: &[u8]) -> Result<Identity, MspError> {
        if channel.is_empty() {
            return self.local.deserialize(creator);
        }
        let unknown = || MspError::UnknownMsp(format!("of channel {channel}"));
        self.channels.msp_manager(channel).ok_or_else(unknown)?.deserialize(creator)
    }

    /// The creator's identity, if it signed `message`.
    ///
    /// # Errors
    /// As for [`Authenticator::identify`], or when the signature is not the creator's.
    pub fn authenticate(
        &self,
        channel: &str,
        creator: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Identity, MspError> {
        let identity = self.identify(channel, creator)?;
        let key = fingerprint(creator, message, signature);
        if self.memory().get(&key).is_none() {
            identity.verify(message, signature)?;
            self.memory().insert(key, ());
        }
        Ok(identity)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Generations<[u8; 32], ()>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash of all three, with the lengths, so that no part can pass for another.
fn fingerprint(creator: &[u8], message: &[u8], signature: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [creator, signature, message] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
