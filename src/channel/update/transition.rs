//! What no signature allows (Fabric: `channelconfig.Bundle.ValidateNew`).

use super::TransitionError;
use crate::channel::Bundle;

impl Bundle {
    /// Whether `next` may come after this configuration, whoever signed it.
    ///
    /// # Errors
    /// What must not change.
    pub fn validate_new(&self, next: &Self) -> Result<(), TransitionError> {
        if let Some(current) = self.orderer() {
            let orderer = next.orderer().ok_or(TransitionError::Lost("orderer"))?;
            let (from, to) = (current.consensus_type().to_owned(), orderer.consensus_type().to_owned());
            if from != to && !self.capabilities().consensus_type_migration() {
                return Err(TransitionError::ConsensusType { from, to });
            }
            for (name, organisation) in current.organisations() {
                let successor = orderer.organisations().get(name).map(|next| next.mspid.as_str());
                check_mspid("orderer", name, &organisation.mspid, successor)?;
            }
        }
        if let Some(current) = self.application() {
            let application = next.application().ok_or(TransitionError::Lost("application"))?;
            for (name, organisation) in current.organisations() {
                let successor = application.organisations().get(name).map(|next| next.mspid.as_str());
                check_mspid("application", name, &organisation.mspid, successor)?;
            }
        }
        match (self.has_consortiums(), next.has_consortiums()) {
            (true, false) => Err(TransitionError::Lost("consortiums")),
            (false, true) => Err(TransitionError::Consortiums),
            _ => Ok(()),
        }
    }
}

/// An organisation may leave, but not become another one.
fn check_mspid(group: &'static str, organisation: &str, from: &str, to: Option<&str>) -> Result<(), TransitionError> {
    match to {
        Some(to) if to != from => Err(TransitionError::MspId {
            group,
            organisation: organisation.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        }),
        _ => Ok(()),
    }
}
