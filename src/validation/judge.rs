//! Transactions in order, against the state before the block (Fabric: `TxValidator.validateTx`, `VSCCValidateTx`,
//! `GetInfoForValidate`).
//!
//! Fabric lets any transaction of a system chaincode pass that one member of the channel endorsed, whatever it writes. A
//! member could so write to every chaincode's keys. Here what a system chaincode's transaction writes to other namespaces
//! has to satisfy their policies, as what a user's chaincode writes has to (and as Fabric has it from its version 2 on).
//! cscc and qscc write nothing, and lscc no more than its rules allow, so this concerns forged transactions only.
//!
//! Invariant: each definition is read, and each policy compiled, once for a block.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::protos::{ChaincodeData, TxValidationCode as Code};

use super::Fault;
use super::action::{Action, LSCC};
use super::lscc;
use super::state::State;
use super::transaction::{EndorserTransaction, Rules};
use super::verdict::{Invalid, Objection};
use crate::msp::{Identity, MspManager};
use crate::policies::SignaturePolicy;

/// The only validation plugin there is.
const VSCC: &str = "vscc";

/// Judges the transactions of one block, one after the other.
pub(super) struct Judge<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) state: &'a dyn State,
    pub(super) policies: Policies<'a>,
    definitions: HashMap<String, Option<Arc<ChaincodeData>>>,
    /// Namespace, collection and key whose endorsement policy an earlier transaction of the block changes.
    pub(super) changed_parameters: HashSet<(String, String, Vec<u8>)>,
}

/// Who has to endorse what is written to a namespace.
pub(super) enum EndorsementPolicy<'a> {
    /// One member of any application organisation.
    AnyMember,
    /// A marshalled `SignaturePolicyEnvelope`.
    Of(&'a Bytes),
}

impl<'a> Judge<'a> {
    pub(super) fn new(rules: &'a Rules<'a>, state: &'a dyn State) -> Self {
        Self {
            rules,
            state,
            policies: Policies { msps: rules.msps, compiled: HashMap::new() },
            definitions: HashMap::new(),
            changed_parameters: HashSet::new(),
        }
    }

    /// Judges the next transaction; returns the chaincode that it upgrades, if it does.
    pub(super) fn judge(&mut self, transaction: &EndorserTransaction) -> Result<Option<String>, Objection> {
        if self.state.contains_transaction(&transaction.txid)? {
            return Err(Invalid::new(Code::DuplicateTxid, "Duplicate transaction found").into());
        }
        let action = transaction.action.as_ref().map_err(Invalid::clone)?;
        let mut deployed = None;
        for namespace in &action.namespaces {
            // lscc's rules say who may deploy, and the first transaction of a chaincode has no definition yet.
            if deployed.as_ref().is_some_and(|deployed: &lscc::Deployed| deployed.name == *namespace) {
                // Its Init may change policies of keys all the same.
                if self.rules.capabilities.key_level_endorsement() {
                    self.remember_parameters(action, namespace);
                }
                continue;
            }
            let lscc = self.judge_namespace(action, namespace)?;
            deployed = deployed.or(lscc);
        }
        Ok(deployed.filter(|deployed| deployed.is_upgrade).map(|deployed| deployed.name))
    }

    fn judge_namespace(&mut self, action: &Action, namespace: &str) -> Result<Option<lscc::Deployed>, Objection> {
        let definition;
        let policy = if self.rules.system_chaincodes.is_sys_cc(namespace) {
            EndorsementPolicy::AnyMember
        } else {
            definition = self.definition(namespace)?;
            if namespace == action.chaincode && definition.version != action.version {
                let (ran, now) = (&action.version, &definition.version);
                let reason = format!("chaincode {namespace}:{ran} didn't match {namespace}:{now} in lscc");
                return Err(Invalid::new(Code::ExpiredChaincode, reason).into());
            }
            if definition.vscc != VSCC {
                let (chaincode, plugin) = (namespace.to_owned(), definition.vscc.clone());
                return Err(Fault::Plugin { chaincode, plugin }.into());
            }
            EndorsementPolicy::Of(&definition.policy)
        };
        let key_level = self.rules.capabilities.key_level_endorsement();
        if !action.endorsers_decode {
            return Err(Invalid::policy("an endorser does not decode").into());
        }
        if key_level {
            self.check_keys(action, namespace, &policy)?;
        } else {
            self.check_policy(namespace, &policy, &action.endorsers)?;
        }
        let deployed = match namespace {
            LSCC => Some(lscc::check(action, self.rules, self.state, &mut self.policies)?),
            _ => None,
        };
        if key_level {
            self.remember_parameters(action, namespace);
        }
        Ok(deployed)
    }

    pub(super) fn check_policy(
        &mut self,
        namespace: &str,
        policy: &EndorsementPolicy<'_>,
        endorsers: &[Identity],
    ) -> Result<(), Invalid> {
        let satisfied = match policy {
            EndorsementPolicy::AnyMember => {
                let is_member = |endorser: &Identity| self.rules.application_msps.contains(endorser.mspid());
                if endorsers.iter().any(is_member) {
                    Ok(())
                } else {
                    Err("no member of the channel endorsed it".into())
                }
            }
            EndorsementPolicy::Of(policy) => self.policies.evaluate(policy, endorsers),
        };
        satisfied.map_err(|cause| {
            Invalid::policy(format!("validation of endorsement policy for chaincode {namespace} failed: {cause}"))
        })
    }

    /// What lscc says about a chaincode of users.
    fn definition(&mut self, chaincode: &str) -> Result<Arc<ChaincodeData>, Objection> {
        if !self.definitions.contains_key(chaincode) {
            let entry = self.state.value(LSCC, chaincode)?;
            // Fabric too takes an entry that is none for no definition.
            let definition = entry.and_then(|entry| ChaincodeData::decode_as_go(entry).ok()).map(Arc::new);
            self.definitions.insert(chaincode.to_owned(), definition);
        }
        let definition = self.definitions.get(chaincode).cloned().flatten();
        let usable = definition.filter(|definition| !definition.vscc.is_empty() && !definition.policy.is_empty());
        let missing = || format!("lscc's state for [{chaincode}] not found, or without plugin or policy");
        usable.ok_or_else(|| Invalid::new(Code::InvalidOtherReason, missing()).into())
    }
}

/// Signature policies, each compiled once.
pub(super) struct Policies<'a> {
    msps: &'a Arc<MspManager>,
    compiled: HashMap<Bytes, Result<SignaturePolicy, String>>,
}

impl Policies<'_> {
    /// Whether these signers, none of them twice and all verified, satisfy a marshalled `SignaturePolicyEnvelope`. One that
    /// cannot be used is satisfied by nobody.
    pub(super) fn evaluate(&mut self, policy: &Bytes, signers: &[Identity]) -> Result<(), String> {
        if !self.compiled.contains_key(policy) {
            let compiled = SignaturePolicy::decode(policy.clone(), Arc::clone(self.msps));
            self.compiled.insert(policy.clone(), compiled.map_err(|error| error.to_string()));
        }
        match self.compiled.get(policy) {
            Some(Ok(policy)) => policy.evaluate(signers).map_err(|error| error.to_string()),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("the policy was not compiled".into()),
        }
    }
}
