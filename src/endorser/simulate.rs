//! Running the chaincode of a proposal (Fabric: `Endorser.SimulateProposal`).

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use selvedge_proto::protos::{ChaincodeEvent, Response};

use super::check::{CheckedProposal, invocation_input};
use super::deploy::Deployment;
use super::service::EndorserParts;
use super::{EndorserError, private_data, response::FIRST_UNENDORSABLE};
use crate::chaincode::TransactionParams;
use crate::container::Ccid;
use crate::ledger::collections::LSCC;
use crate::ledger::{HistoryQueryExecutor, SharedSimulator, SimulationResults};

/// The default endorsement plug-in, and the only one.
const ESCC: &str = "escc";

/// System chaincodes that get no simulator: they work on ledgers themselves, and their results are not a transaction's.
const WITHOUT_SIMULATOR: [&str; 2] = ["qscc", "cscc"];

/// What a simulation gave.
pub(super) struct Simulated {
    pub(super) response: Response,
    pub(super) event: Option<ChaincodeEvent>,
    /// A marshalled `TxReadWriteSet`; empty where there was no simulator.
    pub(super) results: Bytes,
    /// The version under which the chaincode ran.
    pub(super) version: String,
    /// The proposal payload's `input`, which the proposal's hash covers.
    pub(super) input: Bytes,
}

struct Definition {
    version: String,
    escc: String,
}

pub(super) async fn simulate(parts: &EndorserParts, checked: &CheckedProposal) -> Result<Simulated, EndorserError> {
    let name = &checked.chaincode_id.name;
    let (simulator, history) = acquire(parts, checked)?;
    let (input_bytes, input) = invocation_input(&checked.proposal.payload)?;
    let definition = definition(parts, name, simulator.as_ref()).await?;
    if definition.escc != ESCC {
        return Err(EndorserError::Plugin(definition.escc));
    }
    let params = TransactionParams {
        txid: checked.txid().to_owned(),
        channel_id: checked.channel().to_owned(),
        signed_proposal: Some(Arc::clone(&checked.signed)),
        proposal: Some(Arc::clone(&checked.proposal)),
        simulator: simulator.clone(),
        history,
        budget: None,
    };
    let ccid = Ccid::new(name.clone(), definition.version.clone());
    let deployment = Deployment::asked(name, &input);
    let executed = parts.executor.execute(&params, &ccid, input).await?;
    if let Some(deployment) = deployment.filter(|_| executed.response.status < FIRST_UNENDORSABLE) {
        deployment.init(parts, &params).await?;
    }
    drop(params);
    let results = match simulator {
        Some(simulator) => results(parts, checked, executed.response.status, simulator).await?,
        None => Bytes::new(),
    };
    let event = executed.event.filter(|_| executed.response.status < FIRST_UNENDORSABLE);
    Ok(Simulated { response: executed.response, event, results, version: definition.version, input: input_bytes })
}

type Access = (Option<SharedSimulator>, Option<Arc<HistoryQueryExecutor>>);

fn acquire(parts: &EndorserParts, checked: &CheckedProposal) -> Result<Access, EndorserError> {
    let channel = checked.channel();
    if channel.is_empty() || WITHOUT_SIMULATOR.contains(&checked.chaincode_id.name.as_str()) {
        return Ok((None, None));
    }
    let ledger = parts.ledgers.ledger(channel).ok_or_else(|| EndorserError::NoLedger(channel.to_owned()))?;
    let simulator = ledger.new_tx_simulator(checked.txid())?;
    let history = ledger.new_history_query_executor()?;
    Ok((Some(Arc::new(Mutex::new(simulator))), Some(Arc::new(history))))
}

/// The chaincode's definition, if what is installed here may run as it.
async fn definition(
    parts: &EndorserParts,
    name: &str,
    simulator: Option<&SharedSimulator>,
) -> Result<Definition, EndorserError> {
    if parts.system_chaincodes.is_sys_cc(name) {
        return Ok(Definition { version: parts.system_chaincodes.version().to_owned(), escc: ESCC.into() });
    }
    let not_instantiated = |source| EndorserError::NotInstantiated { name: name.to_owned(), source };
    let data = parts.definitions.definition(name, simulator).await.map_err(not_instantiated)?;
    parts.definitions.check_instantiation_policy(name, &data).await?;
    Ok(Definition { version: data.version, escc: if data.escc.is_empty() { ESCC.into() } else { data.escc } })
}

/// The public results. The private ones are handed on, if there will be an endorsement that somebody can commit.
async fn results(
    parts: &EndorserParts,
    checked: &CheckedProposal,
    status: i32,
    simulator: SharedSimulator,
) -> Result<Bytes, EndorserError> {
    let SimulationResults { public, private } = simulator.lock().unwrap_or_else(PoisonError::into_inner).results()?;
    let Some(private) = private else { return Ok(public) };
    if checked.chaincode_id.name == LSCC {
        return Err(EndorserError::PrivateDataInInstantiate);
    }
    if status < FIRST_UNENDORSABLE {
        let assembled = private_data::assemble(private, &simulator)?;
        // It pins a snapshot, and the disk is waited for.
        drop(simulator);
        parts.private_data.distribute(checked.channel(), checked.txid(), assembled).await?;
    }
    Ok(public)
}
