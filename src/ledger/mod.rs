//! The ledger of a channel: blocks, state, history, the simulator and the commit (Fabric: `core/ledger`).
//!
//! | here | in Fabric |
//! |---|---|
//! | [`LedgerProvider`] | `core/ledger/ledgermgmt`, `kvledger.Provider` |
//! | [`Ledger`] | `kvledger.kvLedger` and the block store |
//! | [`TxSimulator`], [`HistoryQueryExecutor`] | `ledger.TxSimulator`, `ledger.HistoryQueryExecutor` |
//! | [`StateDatabase`], [`rich_query`] | `statedb`, `statecouchdb` |
//! | [`TransientStore`] | `core/transientstore` |
//! | [`block`] | `protoutil`, hashes and metadata slots |
//!
//! What it leaves to others: signatures, duplicates, endorsement policies and the definitions of chaincodes are checked
//! outside; a commit takes their verdicts and adds MVCC and phantoms. Which collections are this peer's, it asks
//! ([`PrivateDataRules`]).
//!
//! Invariant: a block, the state and history that follow from it and its place in the indexes are one durable
//! transaction. After a kill at any moment the channel is at the end of some block, never between two.

pub mod block;
mod channel_ledger;
pub mod collections;
mod commit;
#[cfg(test)]
mod durability;
mod error;
mod guard;
mod history;
mod key_changes;
mod mvcc;
mod private_commit;
mod private_data;
mod private_expiry;
mod private_rwset;
mod private_store;
#[cfg(test)]
pub(crate) mod private_testing;
mod provider;
mod query_executor;
mod range_query;
mod replaced;
pub mod rich_query;
mod rwset;
#[cfg(test)]
mod serial_model;
mod simulator;
mod state;
mod state_database;
mod store;
#[cfg(test)]
pub(crate) mod testing;
pub mod transaction;
mod transient;
mod updates;
mod verify;

use std::sync::{Arc, Mutex};

pub use channel_ledger::Ledger;
pub use commit::{CommitTimes, CommittedBlock};
pub use error::LedgerError;
pub use history::{HistoryIterator, HistoryQueryExecutor};
pub use private_commit::{PrivateDataRules, PrivateDataSupport};
pub use private_store::MissingPrivateData;
pub use provider::LedgerProvider;
pub use query_executor::QueryExecutor;
pub use replaced::ReplacedChaincode;
pub use simulator::{KeyValue, SimulationResults, StateIterator, TxSimulator};
pub use state::Version;
pub use state_database::StateDatabase;
pub use transient::TransientStore;
pub use verify::{VerifyProgress, VerifyReport};

/// A simulator as the chaincodes of one transaction share it. Executions of a transaction never run side by side, so
/// nobody waits for this lock.
pub type SharedSimulator = Arc<Mutex<TxSimulator>>;
