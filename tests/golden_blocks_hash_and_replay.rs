//! A channel recorded from a real Fabric 1.4 peer, block for block through our validation and commit: the hashes, the
//! verdicts, every byte that the peer added to a block (the commit hash covers all its updates), the final state,
//! histories, simulations and filtered blocks.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use selvedge::ledger::{Ledger, LedgerProvider, StateIterator, TxSimulator, block, transaction};
use selvedge::ordering::filtered_block;
use selvedge::testing::{GOLDEN_CHANNEL, Golden, GoldenPeer, from_the_orderer};
use selvedge_proto::Message;
use selvedge_proto::common::Block;
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::{DeliverResponse, deliver_response};
use selvedge_proto::rwset::TxReadWriteSet;
use serde_json::Value;

fn golden(file: &str) -> Vec<u8> {
    Golden::V1_4.read(file).unwrap().into()
}

fn json(file: &str) -> Value {
    Golden::V1_4.json(file).unwrap()
}

fn blocks() -> impl Iterator<Item = Block> {
    (0..42).map(|number| Golden::V1_4.block(number).unwrap())
}

fn text(golden: &str) -> String {
    match golden.strip_prefix("hex:") {
        Some(hex) => String::from_utf8(hex::decode(hex).unwrap()).unwrap(),
        None => golden.to_owned(),
    }
}

#[test]
fn header_and_data_hashes_are_fabrics() {
    let index = json("blocks/index.json");
    for (block, golden) in blocks().zip(index["blocks"].as_array().unwrap()) {
        let header = block.header.as_ref().unwrap();
        assert_eq!(hex::encode(block::header_der(header)), golden["header_der"], "block {}", header.number);
        assert_eq!(hex::encode(block::header_hash(header)), golden["header_hash"], "block {}", header.number);
        assert_eq!(block::data_hash(block.data.as_ref().unwrap())[..], header.data_hash, "block {}", header.number);
        let last_config = golden["metadata"]["last_config_slot1"].as_u64();
        assert_eq!(block::last_config_index(&block), last_config, "block {}", header.number);
    }
}

#[test]
fn replay_gives_the_blocks_the_state_and_the_histories_of_the_real_peer() {
    let dir = tempfile::tempdir().unwrap();
    let peer = GoldenPeer::new(dir.path()).unwrap();
    let ledger = peer.committer.ledger();
    let mut seen = BTreeSet::new();
    for recorded in blocks().skip(1) {
        let number = recorded.header.as_ref().unwrap().number;
        if number == 11 {
            simulations_leave_the_recorded_bytes(ledger);
        }
        let committed = peer.committer.commit(from_the_orderer(recorded.clone())).unwrap();
        assert_eq!(committed.codes, block::validation_codes(&recorded), "block {number}");
        assert_eq!(committed.block, recorded, "block {number}");
        seen.extend(committed.codes.iter().map(|code| *code as i32));
    }
    assert_eq!(Vec::from_iter(seen), [0, 3, 4, 5, 8, 9, 10, 11, 12, 17, 19, 22, 23, 255], "the codes that occur");
    assert_eq!(ledger.height().unwrap(), 42);
    assert_eq!(ledger.last_config_block_number(), 37);
    compare_state(ledger);
    compare_histories(ledger);

    drop(peer);
    let provider = LedgerProvider::open(dir.path()).unwrap();
    let ledger = provider.get(GOLDEN_CHANNEL).unwrap();
    for recorded in blocks() {
        let number = recorded.header.as_ref().unwrap().number;
        let again = ledger.commit(from_the_orderer(recorded.clone()), &[]).unwrap();
        assert_eq!(again.block, recorded, "block {number}, committed again after a restart");
    }
    let report = ledger.verify(dir.path(), |_| ()).unwrap();
    assert_eq!((report.differences, report.blocks), (vec![], 42), "a second reading of the rules comes to the same");
}

/// The verdicts outside the ledger are the recorded ones: this node does not serve a channel of that level.
#[test]
fn the_ledger_gives_the_blocks_of_a_fabric_2_5_peer_too() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Golden::V2_5.replay(&LedgerProvider::open(dir.path()).unwrap(), 40).unwrap();
    assert_eq!((ledger.height().unwrap(), ledger.last_config_block_number()), (40, 39));
}

#[test]
fn filtered_blocks_are_those_that_the_peer_delivered() {
    for number in [11, 12, 13, 14, 41] {
        let block = Golden::V1_4.block(number).unwrap();
        let response = DeliverResponse {
            r#type: Some(deliver_response::Type::FilteredBlock(filtered_block(GOLDEN_CHANNEL, &block))),
        };
        let delivered = golden(&format!("deliver/filtered-{number:03}.bin"));
        assert_eq!(hex::encode(response.encode_to_vec()), hex::encode(delivered), "block {number}");
    }
}

fn compare_state(ledger: &Ledger) {
    for (namespace, keys) in json("state/state.json")["namespaces"].as_object().unwrap() {
        for (key, golden) in keys.as_object().unwrap() {
            let mut simulator = ledger.new_tx_simulator("state").unwrap();
            let value = simulator.get_state(namespace, &text(key)).unwrap();
            let value = value.unwrap_or_else(|| panic!("{namespace} {key} is missing"));
            match golden["value"].as_str() {
                Some(expected) => assert_eq!(std::str::from_utf8(&value).unwrap(), expected, "{namespace} {key}"),
                None => assert_eq!(hex::encode(&value), golden["value_hex"], "{namespace} {key}"),
            }
            let set = TxReadWriteSet::decode(simulator.results().unwrap().public).unwrap();
            let reads = KvrwSet::decode(set.ns_rwset[0].rwset.clone()).unwrap().reads;
            let version = reads[0].version.unwrap();
            assert_eq!(serde_json::json!([version.block_num, version.tx_num]), golden["version"], "{namespace} {key}");
        }
        let mut simulator = ledger.new_tx_simulator("range").unwrap();
        let mut rows = simulator.get_state_range(namespace, "", "").unwrap();
        assert_eq!(read(&mut simulator, &mut rows, usize::MAX), keys.as_object().unwrap().len(), "keys of {namespace}");
    }
}

fn compare_histories(ledger: &Ledger) {
    let executor = ledger.new_history_query_executor().unwrap();
    for golden in json("state/history.json").as_array().unwrap() {
        let key = golden["key"].as_str().unwrap();
        let mut history = executor.get_history_for_key(golden["namespace"].as_str().unwrap(), key).unwrap();
        let mut ours = Vec::new();
        while let Some(row) = history.next().unwrap() {
            ours.push(serde_json::json!({
                "txid": row.tx_id,
                "delete": row.is_delete,
                "value": String::from_utf8(row.value.to_vec()).unwrap(),
                "timestamp_seconds": row.timestamp.unwrap().seconds,
            }));
        }
        assert_eq!(&ours, golden["from_the_peer"].as_array().unwrap(), "history of {key}");
    }
}

/// Endorsed at height 11: what the chaincode asked for is known from its arguments, and what came of it is in later blocks.
fn simulations_leave_the_recorded_bytes(ledger: &Ledger) {
    type Simulation = fn(&mut TxSimulator);
    let cases: [(u64, usize, &str, Simulation); 5] = [
        (11, 2, "ten rows, listed", |simulator| {
            let mut rows = simulator.get_state_range("kv", "rg-", "rg-~").unwrap();
            assert_eq!(read(simulator, &mut rows, usize::MAX), 10);
        }),
        (16, 2, "sixty rows, hashed, and a put", |simulator| {
            let mut rows = simulator.get_state_range("kv", "big-", "big-~").unwrap();
            assert_eq!(read(simulator, &mut rows, usize::MAX), 60);
            simulator.set_state("kv", "cnt3", "60".into()).unwrap();
        }),
        (17, 0, "the first batch of 130 rows and one more, and a put", |simulator| {
            let mut rows = simulator.get_state_range("kv", "wide-", "wide-~").unwrap();
            assert_eq!(read(simulator, &mut rows, 101), 101);
            simulator.set_state("kv", "cntw1", "n3".into()).unwrap();
        }),
        (17, 1, "130 rows to the end, and a put", |simulator| {
            let mut rows = simulator.get_state_range("kv", "wide-", "wide-~").unwrap();
            assert_eq!(read(simulator, &mut rows, usize::MAX), 130);
            simulator.set_state("kv", "cntw2", "130".into()).unwrap();
        }),
        (17, 2, "a page of four", |simulator| {
            let mut rows = simulator.get_state_range_page("kv", "rg-", "rg-~", 4, "").unwrap();
            assert_eq!(read(simulator, &mut rows, 4), 4);
            assert_eq!(rows.bookmark().unwrap(), "rg-000004");
        }),
    ];
    for (number, index, what, simulate) in cases {
        let recorded = Golden::V1_4.block(number).unwrap();
        let envelope = &recorded.data.unwrap().data[index];
        let actions = transaction::BlockTransaction::decode(envelope).unwrap().chaincode_actions().unwrap();
        let mut simulator = ledger.new_tx_simulator("simulated").unwrap();
        simulator.get_state("lscc", "kv").unwrap();
        simulate(&mut simulator);
        let results = simulator.results().unwrap().public;
        assert_eq!(hex::encode(&results), hex::encode(&actions[0].results), "block {number}, {index}: {what}");
    }
}

/// Reads up to `most` rows and says how many there were.
fn read(simulator: &mut TxSimulator, rows: &mut StateIterator, most: usize) -> usize {
    (0..most).take_while(|_| simulator.next(rows).unwrap().is_some()).count()
}
