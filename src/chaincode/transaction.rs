//! What an execution starts from and what it yields (Fabric: `ccprovider.TransactionParams`).

use std::sync::Arc;

use selvedge_proto::protos::{ChaincodeEvent, Proposal, Response, SignedProposal};

use crate::container::Budget;
use crate::ledger::{HistoryQueryExecutor, SharedSimulator};

/// The transaction that a chaincode is to execute.
#[derive(Clone, Default)]
pub struct TransactionParams {
    /// Lower-case hex; any unique text for an INIT without proposal.
    pub txid: String,
    /// Empty for a call that concerns no channel.
    pub channel_id: String,
    /// What the client signed. Goes to the chaincode; required where `proposal` is given.
    pub signed_proposal: Option<Arc<SignedProposal>>,
    /// The same, decoded; none in the INIT of a system chaincode.
    pub proposal: Option<Arc<Proposal>>,
    /// Where reads and writes go; none for a call without ledger context.
    pub simulator: Option<SharedSimulator>,
    /// Where history is read; none where there is no ledger or no history.
    pub history: Option<Arc<HistoryQueryExecutor>>,
    /// The caller's [`Budget::nested`]; none for a transaction that begins here.
    pub budget: Option<Budget>,
}

/// A chaincode's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// The response, whatever its status.
    pub response: Response,
    /// The event it set, stamped with its name and the transaction.
    pub event: Option<ChaincodeEvent>,
}
