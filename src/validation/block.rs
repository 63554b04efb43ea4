//! All transactions of a block, side by side.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use selvedge_proto::common::Block;
use selvedge_proto::protos::TxValidationCode;

use super::transaction::Rules;
use crate::chaincode::SystemChaincodes;
use crate::channel::Channels;
use crate::ordering::BlockValidator;

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
    fn validate(&self, channel: &str, block: &Block) -> Vec<TxValidationCode> {
        let envelopes = block.data.as_ref().map_or(&[][..], |data| &data.data);
        // One configuration for the whole block.
        let Some(bundle) = self.channels.get(channel) else {
            return vec![TxValidationCode::TargetChainNotFound; envelopes.len()];
        };
        let rules = Rules {
            channel,
            msps: bundle.msps(),
            application_msps: &bundle.application_msps().collect(),
            system_chaincodes: &*self.system_chaincodes,
        };
        let threads = self.threads.min(envelopes.len().div_ceil(TRANSACTIONS_PER_THREAD));
        if threads <= 1 {
            return envelopes.iter().map(|envelope| rules.judge(envelope)).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut judged = Vec::new();
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(envelope) = envelopes.get(index)
            {
                judged.push((index, rules.judge(envelope)));
            }
            judged
        };
        let mut codes = vec![TxValidationCode::NotValidated; envelopes.len()];
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut judged = work();
            for helper in helpers {
                // A panic while judging is a defect; the block must not be committed with a guess.
                judged.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            for (index, code) in judged {
                codes[index] = code;
            }
        });
        codes
    }
}
