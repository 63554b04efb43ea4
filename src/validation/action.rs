//! What a transaction did, and who vouches for it (Fabric: `VsccValidatorImpl.VSCCValidateTx`).
//!
//! Everything that can be said about it without the state. Invariant: each signature is verified once, whatever number of
//! policies looks at the endorsers later.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeEvent, ChaincodeHeaderExtension, Endorsement, TxValidationCode as Code,
};
use selvedge_proto::{DecodeAsGo, holds_field};

use super::transaction::{Endorsed, Rules};
use super::verdict::Invalid;
use crate::ledger::transaction::{NamespaceRwSet, decode_rwset};
use crate::msp::{Identity, mspid_of};
use crate::policies::Signers;

pub(super) const LSCC: &str = "lscc";

/// `ProposalResponsePayload.extension`.
const EXTENSION: u32 = 2;
/// `ChaincodeAction.events`.
const EVENTS: u32 = 2;

/// A call of a chaincode that is whole and stays out of namespaces where it has no business.
#[derive(Debug)]
pub(super) struct Action {
    /// The chaincode that was called.
    pub(super) chaincode: String,
    /// Its version when it ran.
    pub(super) version: String,
    /// What it read and wrote; no namespace stands there twice.
    pub(super) sets: Vec<NamespaceRwSet>,
    /// The namespaces whose rules it has to keep, in the order in which they are asked.
    pub(super) namespaces: Vec<String>,
    /// Who sent the transaction.
    pub(super) creator: Identity,
    /// The endorsers whose signatures fit, none of them twice, in order.
    pub(super) endorsers: Vec<Identity>,
    /// Before V1_3: whether each endorsement names somebody, if only somebody that no MSP knows.
    pub(super) endorsers_decode: bool,
    /// The marshalled `ChaincodeProposalPayload`.
    pub(super) proposal_payload: Bytes,
}

impl Action {
    /// Reads the action of a transaction of `creator`, whose channel header has this `extension`.
    pub(super) fn read(
        rules: &Rules<'_>,
        extension: &Bytes,
        endorsed: Endorsed,
        creator: Identity,
    ) -> Result<Self, Invalid> {
        let Endorsed { payload, response } = endorsed;
        let endorsed = payload.action.unwrap_or_default();
        let extension = ChaincodeHeaderExtension::decode_as_go(extension.clone())
            .map_err(Invalid::undecodable(Code::BadHeaderExtension, "the header extension"))?;
        if response.extension.is_empty() && !holds_field(&endorsed.proposal_response_payload, EXTENSION) {
            return Err(Invalid::new(Code::BadResponsePayload, "response payload is missing extension"));
        }
        let action = ChaincodeAction::decode_as_go(response.extension.clone())
            .map_err(Invalid::undecodable(Code::BadResponsePayload, "the chaincode action"))?;
        let sets = decode_rwset(action.results.clone())
            .map_err(|_| Invalid::new(Code::BadRwset, "the read-write set does not decode"))?;
        let (chaincode, version) = names(extension, &action)?;
        if rules.capabilities.v1_2_validation() {
            check_event(&chaincode, &action, &response.extension)?;
        }
        let namespaces = namespaces(rules, &chaincode, &sets)?;
        let signed = &endorsed.proposal_response_payload;
        Ok(Self {
            endorsers_decode: rules.capabilities.key_level_endorsement()
                || endorsed.endorsements.iter().all(|one| mspid_of(&one.endorser).is_ok()),
            endorsers: endorsers(rules, signed, &endorsed.endorsements),
            proposal_payload: payload.chaincode_proposal_payload,
            chaincode,
            version,
            sets,
            namespaces,
            creator,
        })
    }

    /// What it did in a namespace.
    pub(super) fn set(&self, namespace: &str) -> Option<&NamespaceRwSet> {
        self.sets.iter().find(|set| set.namespace == namespace)
    }
}

fn endorsers(rules: &Rules<'_>, signed: &[u8], endorsements: &[Endorsement]) -> Vec<Identity> {
    let mut signers = Signers::new(rules.msps);
    for Endorsement { endorser, signature } in endorsements {
        signers.add(endorser, signature, || Cow::Owned([signed, endorser].concat()));
    }
    signers.into_identities()
}

/// The chaincode's name and version, if header and action agree.
fn names(extension: ChaincodeHeaderExtension, action: &ChaincodeAction) -> Result<(String, String), Invalid> {
    let other = |reason: &str| Invalid::new(Code::InvalidOtherReason, reason);
    let invoked = extension.chaincode_id.ok_or_else(|| other("nil ChaincodeId in header extension"))?;
    let ran = action.chaincode_id.as_ref().ok_or_else(|| other("nil ChaincodeId in ChaincodeAction"))?;
    if invoked.name.is_empty() {
        return Err(other("invalid chaincode ID"));
    }
    if invoked.name != ran.name {
        return Err(other(&format!("inconsistent ccid info ({}/{})", invoked.name, ran.name)));
    }
    if ran.version.is_empty() {
        return Err(other("invalid chaincode version"));
    }
    Ok((invoked.name, ran.version.clone()))
}

/// An event, if only an empty one, has to name the chaincode.
fn check_event(chaincode: &str, action: &ChaincodeAction, marshalled: &[u8]) -> Result<(), Invalid> {
    if action.events.is_empty() && !holds_field(marshalled, EVENTS) {
        return Ok(());
    }
    let event = ChaincodeEvent::decode_as_go(action.events.clone())
        .map_err(Invalid::undecodable(Code::InvalidOtherReason, "the chaincode event"))?;
    if event.chaincode_id == chaincode {
        return Ok(());
    }
    let reason = "chaincode event chaincode id does not match chaincode action chaincode id";
    Err(Invalid::new(Code::InvalidOtherReason, reason))
}

/// The namespaces whose rules a transaction has to keep: those that it writes to, and that of the chaincode itself; before
/// V1_2 that too only if it is written to, unless it is a system chaincode's.
fn namespaces(rules: &Rules<'_>, chaincode: &str, sets: &[NamespaceRwSet]) -> Result<Vec<String>, Invalid> {
    let illegal = |reason: String| Err(Invalid::new(Code::IllegalWriteset, reason));
    let sccs = rules.system_chaincodes;
    let is_system = sccs.is_sys_cc(chaincode);
    let always = is_system || rules.capabilities.v1_2_validation();
    let mut seen = HashSet::new();
    if let Some(twice) = sets.iter().find(|set| !seen.insert(&set.namespace)) {
        return illegal(format!("duplicate namespace '{}' in txRWSet", twice.namespace));
    }
    if is_system && sccs.is_sys_cc_and_not_invokable_external(chaincode) {
        return illegal(format!("committing an invocation of cc {chaincode} is illegal"));
    }
    let mut namespaces: Vec<String> = always.then(|| chaincode.to_owned()).into_iter().collect();
    for set in sets.iter().filter(|set| writes(rules, set)) {
        let name = &set.namespace;
        if name == chaincode {
            if !always {
                namespaces.push(name.clone());
            }
            continue;
        }
        // What lscc may write, its own rules say, and they have another code.
        if chaincode != LSCC {
            if name == LSCC {
                return illegal(format!("chaincode {chaincode} attempted to write to the namespace of LSCC"));
            }
            if sccs.is_sys_cc_and_not_invokable_cc2cc(name) || sccs.is_sys_cc_and_not_invokable_external(name) {
                return illegal(format!(
                    "chaincode {chaincode} attempted to write to the namespace of {name}, which cannot be invoked"
                ));
            }
        }
        namespaces.push(name.clone());
    }
    Ok(namespaces)
}

/// Whether anything in the namespace is changed. Hashed values and metadata count from the levels on that have them.
fn writes(rules: &Rules<'_>, set: &NamespaceRwSet) -> bool {
    let (private, metadata) = (rules.capabilities.private_channel_data(), rules.capabilities.key_level_endorsement());
    let hashed = set.collections.iter().map(|(_, hashed)| hashed);
    !set.public.writes.is_empty()
        || (metadata && !set.public.metadata_writes.is_empty())
        || (private && hashed.clone().any(|hashed| !hashed.hashed_writes.is_empty()))
        || (private && metadata && hashed.clone().any(|hashed| !hashed.metadata_writes.is_empty()))
}
