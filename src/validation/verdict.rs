//! What is said against a transaction.

use std::fmt::Display;

use selvedge_proto::protos::TxValidationCode;

use super::Fault;
use crate::ledger::LedgerError;

/// A transaction is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) code: TxValidationCode,
    /// For the log.
    pub(super) reason: String,
}

impl Invalid {
    pub(super) fn new(code: TxValidationCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The transaction does not satisfy an endorsement policy, or a rule of lscc.
    pub(super) fn policy(reason: impl Into<String>) -> Self {
        Self::new(TxValidationCode::EndorsementPolicyFailure, reason)
    }

    /// Something in it does not decode.
    pub(super) fn undecodable<E: Display>(code: TxValidationCode, what: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self::new(code, format!("{what} does not decode: {cause}"))
    }
}

/// Why a transaction is not found valid: it is not, or that cannot be told.
#[derive(Debug)]
pub(super) enum Objection {
    Invalid(Invalid),
    Fault(Fault),
}

impl From<Invalid> for Objection {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Fault> for Objection {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<LedgerError> for Objection {
    fn from(error: LedgerError) -> Self {
        Self::Fault(Fault::Ledger(error))
    }
}
