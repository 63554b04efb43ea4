//! What the transactions of a block say against each other (Fabric: `markTXIdDuplicates`, `invalidTXsForUpgradeCC`).
//!
//! Invariant: this comes after every transaction was judged by itself. One that is invalid until then takes no id and
//! upgrades nothing.

use std::collections::{HashMap, HashSet};

use selvedge_proto::protos::TxValidationCode as Code;

/// A transaction that was found valid by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed<'a> {
    /// Empty for a configuration.
    pub(super) txid: &'a str,
    /// The chaincode that was called.
    pub(super) invoked: &'a str,
    /// The chaincode that it upgrades.
    pub(super) upgraded: Option<String>,
}

/// Of transactions with one id the first keeps its code.
pub(super) fn mark_duplicates(passed: &[Option<Passed<'_>>], codes: &mut [Code]) {
    let mut seen = HashSet::new();
    for (transaction, code) in passed.iter().zip(codes) {
        if let Some(Passed { txid, .. }) = transaction
            && !txid.is_empty()
            && !seen.insert(*txid)
        {
            *code = Code::DuplicateTxid;
        }
    }
}

/// Of transactions that upgrade one chaincode the last keeps its code, and none that calls the chaincode does. As in Fabric
/// an upgrade that was marked as a duplicate upgrades all the same.
pub(super) fn mark_upgrade_conflicts(passed: &[Option<Passed<'_>>], codes: &mut [Code]) {
    let mut last = HashMap::new();
    for (index, transaction) in passed.iter().enumerate() {
        if let Some(Passed { upgraded: Some(chaincode), .. }) = transaction
            && let Some(earlier) = last.insert(chaincode.as_str(), index)
        {
            codes[earlier] = Code::ChaincodeVersionConflict;
        }
    }
    for (transaction, code) in passed.iter().zip(codes) {
        if let Some(Passed { invoked, .. }) = transaction
            && last.contains_key(invoked)
            && *code == Code::Valid
        {
            *code = Code::ChaincodeVersionConflict;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(txid: &'a str, invoked: &'a str) -> Option<Passed<'a>> {
        Some(Passed { txid, invoked, upgraded: None })
    }

    fn upgrade<'a>(txid: &'a str, chaincode: &str) -> Option<Passed<'a>> {
        Some(Passed { txid, invoked: "lscc", upgraded: Some(chaincode.to_owned()) })
    }

    #[test]
    fn an_id_belongs_to_the_first_transaction_that_passed() {
        let passed = [None, call("a", "cc"), call("a", "cc"), call("", ""), call("", ""), call("b", "cc")];
        let mut codes = [Code::Valid; 6];
        codes[0] = Code::BadCreatorSignature;
        mark_duplicates(&passed, &mut codes);
        use Code::{BadCreatorSignature, DuplicateTxid, Valid};
        assert_eq!(codes, [BadCreatorSignature, Valid, DuplicateTxid, Valid, Valid, Valid]);
    }

    #[test]
    fn the_last_upgrade_wins_and_calls_of_the_chaincode_lose() {
        use Code::{ChaincodeVersionConflict as Conflict, DuplicateTxid, Valid};
        let passed = [
            call("a", "cc"),
            upgrade("b", "cc"),
            call("c", "other"),
            upgrade("d", "cc"),
            call("e", "cc"),
            upgrade("f", "other2"),
            None,
        ];
        let mut codes = [Valid; 7];
        codes[6] = Code::EndorsementPolicyFailure;
        mark_upgrade_conflicts(&passed, &mut codes);
        assert_eq!(codes, [Conflict, Conflict, Valid, Valid, Conflict, Valid, Code::EndorsementPolicyFailure]);

        // The same upgrade three times.
        let passed = [upgrade("a", "cc"), upgrade("a", "cc"), upgrade("a", "cc")];
        let mut codes = [Valid; 3];
        mark_duplicates(&passed, &mut codes);
        mark_upgrade_conflicts(&passed, &mut codes);
        assert_eq!(codes, [Conflict, Conflict, DuplicateTxid], "as Fabric has it: none of them is left");
    }
}
