//! Whether every block of a ledger is what the channel's ordering service made, and every configuration one that may follow
//! the one before.
//!
//! Invariant: each block is judged by the configuration that was in force when it was made, which the blocks before it
//! tell; block 0 is taken as it is.

use selvedge_proto::common::{Block, HeaderType};
use selvedge_proto::protos::TxValidationCode;

use super::verify_block;
use crate::channel::Bundle;
use crate::ledger::transaction::BlockTransaction;
use crate::ledger::{Ledger, LedgerError, block};

/// Problems that a report has in words.
const WORDED: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedChainReport {
    /// Blocks that were looked at, block 0 among them.
    pub blocks: u64,
    /// Configurations after that of block 0.
    pub updates: u64,
    /// The first problems, in words.
    pub problems: Vec<String>,
    /// All problems.
    pub problem_count: u64,
}

impl SignedChainReport {
    /// Whether there is no problem.
    pub fn is_good(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, number: u64, what: &str) {
        self.problem_count += 1;
        if self.problems.len() < WORDED {
            self.problems.push(format!("block {number}: {what}"));
        }
    }
}

/// Looks at all blocks of `ledger`; `progress` hears how many of how many are done. Ends at a block that cannot be read:
/// [`Ledger::verify`] says what is wrong with that.
///
/// # Errors
/// When the database fails.
pub fn verify_signatures(
    ledger: &Ledger,
    mut progress: impl FnMut(u64, u64),
) -> Result<SignedChainReport, LedgerError> {
    let of = ledger.height()?;
    let mut report = SignedChainReport::default();
    let mut bundle: Option<Bundle> = None;
    for number in 0..of {
        let block = match ledger.block_by_number(number) {
            Ok(Some(block)) => block,
            Ok(None) | Err(LedgerError::Corrupted(_)) => return Ok(report),
            Err(fault) => return Err(fault),
        };
        bundle = match bundle {
            None => match Bundle::from_config_block(&block) {
                Ok(first) => Some(first),
                Err(error) => {
                    report.problem(number, &error.to_string());
                    return Ok(report);
                }
            },
            Some(bundle) => {
                if let Err(error) = verify_block(&bundle, number, &block) {
                    report.problem(number, &error.to_string());
                }
                Some(after(bundle, number, &block, &mut report))
            }
        };
        report.blocks += 1;
        progress(report.blocks, of);
    }
    Ok(report)
}

/// The configuration after a block.
fn after(mut bundle: Bundle, number: u64, block: &Block, report: &mut SignedChainReport) -> Bundle {
    let envelopes = block.data.iter().flat_map(|data| &data.data);
    for (envelope, code) in envelopes.zip(block::validation_codes(block)) {
        let Some(transaction) = BlockTransaction::decode(envelope) else { continue };
        if code != TxValidationCode::Valid || transaction.header_type() != Some(HeaderType::Config) {
            continue;
        }
        report.updates += 1;
        let applied = match transaction.config() {
            Ok(envelope) => bundle.apply(&envelope).map_err(|error| error.to_string()).or_else(|reason| {
                report.problem(number, &format!("its configuration may not follow the one before: {reason}"));
                let config = envelope.config.unwrap_or_default();
                Bundle::from_config(bundle.channel(), &config).map_err(|error| error.to_string())
            }),
            Err(_) => Err("it does not decode".to_owned()),
        };
        match applied {
            Ok(next) => bundle = next,
            Err(reason) => report.problem(number, &format!("its configuration cannot be used: {reason}")),
        }
    }
    bundle
}

#[cfg(test)]
mod tests;
