//! The whole ledger against a serial model: programs are simulated, some of them on an old state, and committed in
//! blocks; the model runs each program again where it stands in the chain, one after the other.
//!
//! A transaction is good if it observes there what it observed when it was simulated. The model shares no code with the
//! commit: it knows versions and rows, but no read-write sets.

mod model;
mod program;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use selvedge_proto::common::{BlockMetadataIndex, Metadata};
use selvedge_proto::protos::TxValidationCode;

use self::model::{Model, Verdict};
use self::program::{PLACES, Program, Step, key, program};
use super::state::{CommittedState, StateValue};
use super::store::Snapshot;
use super::testing::{TestChannel, endorser_transaction};
use super::{LedgerProvider, StateDatabase, TxSimulator, block};
use prost::Message;

/// Keys before the first program, in each place, with gaps: enough that ranges of more than 50 occur, which are hashed.
const KEYS: u8 = 140;
/// How many blocks old a state may be that a program is simulated on.
const LAG: usize = 3;

/// A program, the age of the state that it is simulated on, and whether the checks outside let it pass.
type Submitted = (Program, usize, bool);

fn submitted() -> impl Strategy<Value = Submitted> {
    (program(), prop_oneof![3 => Just(0), 1 => 0..LAG], prop::bool::weighted(0.95))
}

/// The ledger at one height, as both sides have it.
struct Height {
    snapshot: Arc<Snapshot>,
    model: Model,
}

fn code(verdict: Verdict) -> TxValidationCode {
    match verdict {
        Verdict::Valid => TxValidationCode::Valid,
        Verdict::ReadConflict => TxValidationCode::MvccReadConflict,
        Verdict::PhantomConflict => TxValidationCode::PhantomReadConflict,
    }
}

/// Commits a block of the programs, and compares codes and commit hash. Returns the new height.
fn commit(channel: &TestChannel, heights: &[Height], programs: &[Submitted]) -> Result<Height, TestCaseError> {
    let newest = heights.last().expect("there is block 0");
    let number = newest.snapshot.tip.height;
    let mut model = newest.model.clone();
    let (mut envelopes, mut outside, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (program, lag, passes)) in programs.iter().enumerate() {
        let seen = &heights[heights.len() - 1 - lag.min(&(heights.len() - 1))];
        let txid = format!("{number}-{index}");
        let simulator = TxSimulator::new(&txid, Arc::clone(&seen.snapshot), StateDatabase::GoLevelDb);
        let results = transactions::simulate(program, simulator, &seen.model);
        envelopes.push(endorser_transaction(TestChannel::NAME, &txid, results));
        let refused = TxValidationCode::EndorsementPolicyFailure;
        outside.push(if *passes { TxValidationCode::Valid } else { refused });
        expected.push(if *passes {
            code(model.run(program, &seen.model, (number, index as u64), &txid))
        } else {
            refused
        });
    }
    let filter: Vec<u8> = expected.iter().map(|code| *code as i32 as u8).collect();
    let hash = model.end_block(&filter);
    let committed = channel.ledger.commit(channel.next_block(envelopes), &outside).expect("the block is committed");
    prop_assert_eq!(&committed.codes, &expected, "block {}: {:#?}", number, programs);
    prop_assert_eq!(block::metadata(&committed.block, BlockMetadataIndex::TransactionsFilter), filter);
    let metadata =
        Metadata::decode(block::metadata(&committed.block, BlockMetadataIndex::CommitHash)).expect("metadata");
    prop_assert_eq!(&metadata.value[..], hash, "the commit hash of block {}", number);
    Ok(Height { snapshot: channel.ledger.snapshot(), model })
}

/// Every row of the state.
fn state(snapshot: &Snapshot) -> BTreeMap<Vec<u8>, StateValue> {
    let keys = snapshot.range(&[], std::ops::Bound::Unbounded).expect("a range");
    let row = |key: Vec<u8>| (snapshot.get(&key).expect("a row").expect("it is in the range"), key);
    keys.map(|found| row(found.expect("a row").0)).map(|(value, key)| (key, value)).collect()
}

/// What the ledger holds, against the model.
fn check(provider: &LedgerProvider, height: u64, model: &Model) -> Result<(), TestCaseError> {
    let ledger = provider.get(TestChannel::NAME).expect("the channel was joined");
    prop_assert_eq!(ledger.height().expect("a height"), height);
    prop_assert_eq!(&ledger.snapshot().tip.commit_hash[..], model.commit_hash());
    prop_assert_eq!(state(&ledger.snapshot()), model.rows());
    let executor = ledger.new_history_query_executor().expect("a reader");
    for ((namespace, key), writes) in model.histories() {
        let mut history = executor.get_history_for_key(namespace, key).expect("a history");
        let mut found = Vec::new();
        while let Some(modification) = history.next().expect("a modification") {
            found.push((modification.tx_id, modification.is_delete));
        }
        prop_assert_eq!(&found, writes, "the history of {} in {}", key, namespace);
    }
    Ok(())
}

/// A program that writes the first rows of every place.
fn fill() -> Program {
    let numbers = (0..KEYS).filter(|number| number % 7 != 3);
    let everywhere = numbers.flat_map(|number| (0..PLACES).map(move |place| (place, number)));
    everywhere.map(|(place, number)| Step::Write(place, key(number), Some("old"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_is_what_its_programs_come_to_one_after_the_other(
        blocks in prop::collection::vec(prop::collection::vec(submitted(), 1..10), 1..7),
    ) {
        let channel = TestChannel::new();
        let mut heights = vec![Height { snapshot: channel.ledger.snapshot(), model: Model::default() }];
        heights.push(commit(&channel, &heights, &[(fill(), 0, true)])?);
        for programs in &blocks {
            heights.push(commit(&channel, &heights, programs)?);
        }
        let last = heights.pop().expect("the newest").model;
        let height = channel.ledger.height().expect("a height");
        check(&channel.provider, height, &last)?;
        drop(heights);
        let (_dir, provider) = channel.restart();
        check(&provider, height, &last)?;
    }
}
