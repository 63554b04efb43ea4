//! All transactions of a block (Fabric: `txvalidator.TxValidator.Validate`).
//!
//! Invariant: the verdicts do not depend on the number of threads.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use selvedge_proto::common::Block;
use selvedge_proto::protos::TxValidationCode;

use super::after::{Passed, mark_duplicates, mark_upgrade_conflicts};
use super::judge::Judge;
use super::state::State;
use super::transaction::{Examined, Rules};
use super::verdict::{Invalid, Objection};
use super::{BlockValidator, ValidationError};
use crate::chaincode::SystemChaincodes;
use crate::channel::Channels;
use crate::ledger::Ledger;

/// Transactions that one more thread pays off for: each costs two signature verifications, a thread about one.
const TRANSACTIONS_PER_THREAD: usize = 4;

/// Validates blocks.
#[derive(Clone)]
pub struct TransactionValidator {
    channels: Arc<Channels>,
    system_chaincodes: Arc<dyn SystemChaincodes>,
    threads: usize,
}

impl TransactionValidator {
    /// A validator that uses as many threads as the machine has processors (Fabric: `peer.validatorPoolSize`).
    pub fn new(channels: Arc<Channels>, system_chaincodes: Arc<dyn SystemChaincodes>) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { channels, system_chaincodes, threads }
    }
}

impl BlockValidator for TransactionValidator {
    fn validate(&self, ledger: &Ledger, block: &Block) -> Result<Vec<TxValidationCode>, ValidationError> {
        let channel = ledger.channel_id();
        let not_open = || ValidationError::NotOpen(channel.to_owned());
        // One configuration for the whole block.
        let bundle = self.channels.get(channel).ok_or_else(not_open)?;
        let application = bundle.application().ok_or_else(not_open)?;
        let rules = Rules {
            channel,
            msps: bundle.msps(),
            application_msps: &bundle.application_msps().collect::<BTreeSet<_>>(),
            capabilities: application.capabilities(),
            system_chaincodes: &*self.system_chaincodes,
        };
        judge_block(&rules, &ledger.new_query_executor(), block, self.threads)
    }
}

/// Judges a block against the state before it.
pub(super) fn judge_block(
    rules: &Rules<'_>,
    state: &dyn State,
    block: &Block,
    threads: usize,
) -> Result<Vec<TxValidationCode>, ValidationError> {
    let number = block.header.as_ref().map_or(0, |header| header.number);
    let envelopes = block.data.as_ref().map_or(&[][..], |data| &data.data);
    let examined = examine(rules, envelopes, threads);

    let mut judge = Judge::new(rules, state);
    let mut codes = Vec::with_capacity(examined.len());
    let mut passed = Vec::with_capacity(examined.len());
    for (index, transaction) in examined.iter().enumerate() {
        let (txid, judged) = match transaction {
            Examined::Invalid(invalid) => ("", Err(invalid.clone().into())),
            Examined::Config => ("", Ok(Passed::default())),
            Examined::Endorser(transaction) => {
                let invoked = transaction.action.as_ref().map_or("", |action| &action.chaincode);
                let txid = transaction.txid.as_str();
                (txid, judge.judge(transaction).map(|upgraded| Passed { txid, invoked, upgraded }))
            }
        };
        let judged = match judged {
            Ok(passed) => Ok(passed),
            Err(Objection::Invalid(invalid)) => Err(invalid),
            Err(Objection::Fault(fault)) => return Err(ValidationError::Transaction { number, index, fault }),
        };
        if let Err(Invalid { code, reason }) = &judged {
            let (channel, code) = (rules.channel, code.as_str_name());
            tracing::warn!(txid, "[{channel}] transaction {index} of block {number} is invalid: {code}: {reason}");
        }
        codes.push(judged.as_ref().map_or_else(|invalid| invalid.code, |_| TxValidationCode::Valid));
        passed.push(judged.ok());
    }
    if rules.capabilities.forbid_duplicate_txid_in_block() {
        mark_duplicates(&passed, &mut codes);
    }
    mark_upgrade_conflicts(&passed, &mut codes);
    Ok(codes)
}

/// Looks at each transaction by itself, several at a time.
fn examine(rules: &Rules<'_>, envelopes: &[Bytes], threads: usize) -> Vec<Examined> {
    let threads = threads.min(envelopes.len().div_ceil(TRANSACTIONS_PER_THREAD));
    if threads <= 1 {
        return envelopes.iter().map(|envelope| rules.examine(envelope)).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut examined = Vec::new();
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(envelope) = envelopes.get(index)
        {
            examined.push((index, rules.examine(envelope)));
        }
        examined
    };
    let mut examined = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut examined = work();
        for helper in helpers {
            // A panic while judging is a defect; the block must not be committed with a guess.
            examined.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        examined
    });
    examined.sort_unstable_by_key(|(index, _)| *index);
    examined.into_iter().map(|(_, examined)| examined).collect()
}
