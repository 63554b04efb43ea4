//! The MSPs of a channel (Fabric: `msp.mspManagerImpl`).

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{MspPrincipal, SerializedIdentity};

use super::{Identity, Msp, MspError};

/// Several MSPs by their names.
#[derive(Clone, Debug, Default)]
pub struct MspManager {
    msps: BTreeMap<String, Arc<Msp>>,
}

impl MspManager {
    /// A manager of these MSPs; of two with one name the later counts.
    pub fn new(msps: impl IntoIterator<Item = Arc<Msp>>) -> Self {
        Self { msps: msps.into_iter().map(|msp| (msp.id().to_owned(), msp)).collect() }
    }

    /// The MSP of that name.
    pub fn msp(&self, mspid: &str) -> Option<&Arc<Msp>> {
        self.msps.get(mspid)
    }

    /// The MSPs in the order of their names.
    pub fn msps(&self) -> impl Iterator<Item = &Arc<Msp>> {
        self.msps.values()
    }

    /// Reads and verifies a `SerializedIdentity` of any of the MSPs.
    ///
    /// # Errors
    /// When no MSP has the name in it, or as for [`Msp::deserialize`].
    pub fn deserialize(&self, serialized: &[u8]) -> Result<Identity, MspError> {
        let mspid = mspid_of(serialized)?;
        let msp = self.msp(&mspid).ok_or(MspError::UnknownMsp(mspid))?;
        msp.deserialize(serialized)
    }

    /// Whether `identity` matches a policy's principal.
    ///
    /// # Errors
    /// As for [`Msp::satisfies`] of the identity's own MSP.
    pub fn satisfies(&self, identity: &Identity, principal: &MspPrincipal) -> Result<(), MspError> {
        let mspid = identity.mspid();
        self.msp(mspid).ok_or_else(|| MspError::UnknownMsp(mspid.to_owned()))?.satisfies(identity, principal)
    }
}

/// The MSP that a `SerializedIdentity` names; nothing is verified.
///
/// # Errors
/// When the bytes are no `SerializedIdentity`.
pub(crate) fn mspid_of(serialized: &[u8]) -> Result<String, MspError> {
    SerializedIdentity::decode_as_go(serialized).map(|identity| identity.mspid).map_err(MspError::NotAnIdentity)
}
