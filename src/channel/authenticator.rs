//! Who signed something, verified once (Fabric: `checkSignatureFromCreator`, and the verification inside
//! `core/policy`).
//!
//! A proposal is looked at several times: by the endorser, by the ACL of the channel, by the ACL of each capability
//! that a system chaincode uses. Verification depends on nothing but certificate, message and signature, so the verdict
//! on the same three is remembered. Membership is looked up each time, since it differs between channels and between
//! the configurations of one.
//!
//! Invariant: no [`Identity`] is remembered here. Who was revoked is nobody as soon as the configuration is in force.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Bundle, Channels};
use crate::msp::{Generations, Identity, Msp, MspError};

/// Verdicts remembered in each of two generations: more than proposals are in flight (`peer.limits.concurrency`: 2500).
const REMEMBERED: usize = 4096;

/// Where somebody is somebody.
#[derive(Clone, Debug)]
pub enum Realm {
    /// The organisations of a channel, by one of its configurations.
    Channel(Arc<Bundle>),
    /// The peer's own MSP, for what belongs to no channel.
    Local(Arc<Msp>),
    /// A channel that this peer has not joined.
    Unknown(String),
}

impl Realm {
    /// The identity that `creator` is here.
    ///
    /// # Errors
    /// When this peer has not joined the channel, or no MSP here vouches for the creator.
    pub fn identify(&self, creator: &[u8]) -> Result<Identity, MspError> {
        match self {
            Self::Channel(bundle) => bundle.msps().deserialize(creator),
            Self::Local(msp) => msp.deserialize(creator),
            Self::Unknown(channel) => Err(MspError::UnknownMsp(format!("of channel {channel}"))),
        }
    }
}

/// Turns a creator and a signature into an [`Identity`].
pub struct Authenticator {
    channels: Arc<Channels>,
    local: Arc<Msp>,
    verified: Mutex<Generations<[u8; 32], ()>>,
}

impl Authenticator {
    /// For these channels, and the peer's own MSP for what belongs to no channel.
    pub fn new(channels: Arc<Channels>, local: Arc<Msp>) -> Self {
        Self { channels, local, verified: Mutex::new(Generations::new(REMEMBERED)) }
    }

    /// Where the members of a channel are found, by its newest configuration; with an empty name, the peer's own MSP.
    /// Whoever checks several things about one request asks once.
    pub fn realm(&self, channel: &str) -> Realm {
        if channel.is_empty() {
            return self.local();
        }
        self.channels.get(channel).map_or_else(|| Realm::Unknown(channel.to_owned()), Realm::Channel)
    }

    /// The peer's own MSP.
    pub fn local(&self) -> Realm {
        Realm::Local(Arc::clone(&self.local))
    }

    /// The creator's identity, if it signed `message`.
    ///
    /// # Errors
    /// As for [`Realm::identify`], or when the signature is not the creator's.
    pub fn authenticate(
        &self,
        realm: &Realm,
        creator: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Identity, MspError> {
        let identity = realm.identify(creator)?;
        self.verify(&identity, creator, message, signature)?;
        Ok(identity)
    }

    /// Whether the signature is that of `identity`, which is what `creator` is here.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(
        &self,
        identity: &Identity,
        creator: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), MspError> {
        let key = fingerprint(creator, message, signature);
        if self.memory().get(&key).is_none() {
            identity.verify(message, signature)?;
            self.memory().insert(key, ());
        }
        Ok(())
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
