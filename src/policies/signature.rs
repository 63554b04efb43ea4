//! Policies over signatures (Fabric: `cauthdsl.policy`).

use std::sync::Arc;

use prost::bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{MspPrincipal, SignaturePolicyEnvelope};

use super::rule::Rule;
use super::{PolicyDefinitionError, PolicyError};
use crate::msp::{Identity, MspManager};

/// A policy that counts signatures.
#[derive(Clone, Debug)]
pub struct SignaturePolicy {
    rule: Rule,
    principals: Vec<MspPrincipal>,
    msps: Arc<MspManager>,
}

impl SignaturePolicy {
    /// Reads a marshalled `SignaturePolicyEnvelope`, whose principals are those of `msps`.
    ///
    /// # Errors
    /// When it cannot be decoded, or as for [`SignaturePolicy::new`].
    pub fn decode(bytes: Bytes, msps: Arc<MspManager>) -> Result<Self, PolicyDefinitionError> {
        Self::new(SignaturePolicyEnvelope::decode_as_go(bytes).map_err(PolicyDefinitionError::Signature)?, msps)
    }

    /// For an envelope, whose principals are those of `msps`.
    ///
    /// # Errors
    /// When the version is not 0, or a rule is empty or names a principal that is not there.
    pub fn new(envelope: SignaturePolicyEnvelope, msps: Arc<MspManager>) -> Result<Self, PolicyDefinitionError> {
        if envelope.version != 0 {
            return Err(PolicyDefinitionError::Version(envelope.version));
        }
        let rule = Rule::compile(envelope.rule.as_ref(), envelope.identities.len())?;
        Ok(Self { rule, principals: envelope.identities, msps })
    }

    /// Whether these signers, none of them twice, satisfy the policy.
    ///
    /// # Errors
    /// [`PolicyError::Signatures`] when they do not.
    pub fn evaluate(&self, signers: &[Identity]) -> Result<(), PolicyError> {
        let is = |signer: usize, principal: usize| {
            let (signer, principal) = (&signers[signer], &self.principals[principal]);
            self.msps
                .satisfies(signer, principal)
                .inspect_err(|cause| tracing::trace!(%cause, "not the principal"))
                .is_ok()
        };
        if self.rule.evaluate(signers.len(), &is) { Ok(()) } else { Err(PolicyError::Signatures) }
    }
}
