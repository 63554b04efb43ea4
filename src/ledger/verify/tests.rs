use std::sync::Arc;

use redb::{ReadableDatabase, ReadableTable};
use selvedge_proto::common::{Config, ConfigEnvelope, HeaderType};
use selvedge_proto::protos::TxValidationCode as Code;

use super::*;
use crate::ledger::LedgerProvider;
use crate::ledger::rich_query::store::INDEX_ROWS;
use crate::ledger::rich_query::{DeployedIndexes, IndexFile, PackagedIndex};
use crate::ledger::state::{StateValue, Version, public_key};
use crate::ledger::store;
use crate::ledger::testing::{TestChannel, endorser_transaction, envelope};

/// A channel with a bit of everything: writes, deletes, conflicts, duplicates, rubbish, a configuration.
fn channel() -> TestChannel {
    let mut channel = TestChannel::new();
    channel.put("cc", &[("a", "1"), ("b", "2"), ("c", "3")]);
    let simulate = |write: (&str, &str)| {
        let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
        simulator.get_state("cc", "a").unwrap();
        simulator.set_state("cc", write.0, Bytes::copy_from_slice(write.1.as_bytes())).unwrap();
        simulator.results().unwrap().public
    };
    let (first, second) = (simulate(("a", "4")), simulate(("d", "5")));
    let config = ConfigEnvelope { config: Some(Config { sequence: 1, ..Config::default() }), last_update: None };
    let config = envelope(TestChannel::NAME, "", HeaderType::Config, config.encode_to_vec().into());
    let block = channel.next_block(vec![
        endorser_transaction(TestChannel::NAME, "one", first.clone()),
        endorser_transaction(TestChannel::NAME, "two", second),
        endorser_transaction(TestChannel::NAME, "one", first),
        Bytes::from_static(b"rubbish"),
        config.encode_to_vec().into(),
    ]);
    let codes = [Code::Valid, Code::Valid, Code::DuplicateTxid, Code::BadPayload, Code::Valid];
    let codes = channel.ledger.commit(block, &codes).unwrap().codes;
    assert_eq!(codes, [Code::Valid, Code::MvccReadConflict, Code::DuplicateTxid, Code::BadPayload, Code::Valid]);
    channel.put("cc", &[("b", ""), ("e", "6")]);
    channel
}

fn verify(channel: &TestChannel) -> VerifyReport {
    channel.ledger.verify(&std::env::temp_dir(), |_| ()).unwrap()
}

#[test]
fn a_good_ledger_is_good_and_is_counted() {
    let channel = channel();
    let mut seen = Vec::new();
    let report = channel.ledger.verify(&std::env::temp_dir(), |progress| seen.push(progress)).unwrap();
    assert_eq!(report.differences, [""; 0]);
    let info = channel.ledger.chain_info().unwrap();
    let expected = VerifyReport {
        height: 4,
        blocks: 4,
        transactions: 7,
        valid: 4,
        keys: 4,
        modifications: 6,
        last_config: 2,
        tip: info.current_block_hash,
        ..VerifyReport::default()
    };
    assert_eq!(report, expected);
    assert_eq!(seen[3], VerifyProgress::Blocks { done: 4, of: 4 });
    assert_eq!(seen.last(), Some(&VerifyProgress::Rows { done: 15, of: 15 }));
}

#[test]
fn a_row_that_the_blocks_do_not_give_is_found() {
    let channel = channel();
    let damage = channel.ledger.database.begin_write().unwrap();
    {
        let mut state = damage.open_table(store::STATE).unwrap();
        let row = |block, value| {
            let version = Version { block, tx: 0 };
            StateValue { version, metadata: Bytes::new(), value: Bytes::from_static(value) }.encode()
        };
        state.insert(&public_key("cc", b"a")[..], &row(2, b"5")[..]).unwrap();
        state.insert(&public_key("cc", b"c")[..], &row(3, b"3")[..]).unwrap();
        state.insert(&public_key("cc", b"z")[..], &b"short"[..]).unwrap();
        state.remove(&public_key("cc", b"e")[..]).unwrap();
        damage.open_table(store::HISTORY).unwrap().remove(("cc", "a", 1, 0)).unwrap();
        damage.open_table(store::TRANSACTIONS).unwrap().insert("two", (2, 1, 0)).unwrap();
        damage.open_table(store::BLOCK_BY_HASH).unwrap().insert(&b"x"[..], 7).unwrap();
        damage.open_table(store::CHANNEL).unwrap().insert(store::LAST_CONFIG, 1).unwrap();
    }
    damage.commit().unwrap();
    channel.ledger.set_snapshot(Snapshot::open(&channel.ledger.database).unwrap());
    assert_eq!(
        verify(&channel).differences,
        [
            "the ledger names 1 as its newest configuration block, it is 2",
            "the height is 4, but there are 4 blocks and 5 hashes of blocks",
            "the index of transaction two: the ledger has block 2, transaction 1, code 0, the blocks give block 2, \
             transaction 1, code 11",
            "the state of cc key \"a\": the ledger has version 2.0, 1 bytes and 0 of metadata, the blocks give version 2.0, \
             1 bytes and 0 of metadata, of other content",
            "the state of cc key \"c\": the ledger has version 3.0, 1 bytes and 0 of metadata, the blocks give version 1.0, \
             1 bytes and 0 of metadata",
            "the state of cc key \"e\": the ledger has none, the blocks give version 3.0, 1 bytes and 0 of metadata",
            "the state of cc key \"z\": the ledger has 5 bytes that are no value, the blocks give none",
            "the history of cc key \"a\" in transaction 0 of block 1: the ledger has none, the blocks give there",
        ]
    );
}

/// Replaces a block under its number, as damage would.
fn replace(channel: &TestChannel, number: u64, change: impl FnOnce(&mut Block)) {
    let read = channel.ledger.database.begin_read().unwrap();
    let row = read.open_table(store::BLOCKS).unwrap().get(number).unwrap().unwrap().value().to_vec();
    let mut block = store::decode_block(number, &row).unwrap();
    change(&mut block);
    let damage = channel.ledger.database.begin_write().unwrap();
    store::insert_block(&mut damage.open_table(store::BLOCKS).unwrap(), number, &block).unwrap();
    damage.commit().unwrap();
    channel.ledger.set_snapshot(Snapshot::open(&channel.ledger.database).unwrap());
}

fn differs(change: impl FnOnce(&mut Block), words: &[&str]) {
    let channel = channel();
    replace(&channel, 2, change);
    let report = verify(&channel);
    for word in words {
        assert!(report.differences.iter().any(|difference| difference.contains(word)), "{word}: {report:#?}");
    }
}

#[test]
fn a_block_that_was_changed_is_found() {
    differs(
        |block| block.header.as_mut().unwrap().number = 7,
        &[
            "block 2: its header says that it is number 7",
            "block 2: the index of hashes has it not",
            "block 3: it follows",
        ],
    );
    differs(|block| block.header.as_mut().unwrap().previous_hash = Bytes::new(), &["block 2: it follows a block with"]);
    differs(|block| block.data.as_mut().unwrap().data[3] = Bytes::new(), &["block 2: its data hash is "]);
    let flags = |flags: &'static [u8]| {
        move |block: &mut Block| {
            block::set_metadata(block, BlockMetadataIndex::TransactionsFilter, Bytes::from_static(flags));
        }
    };
    differs(flags(&[0, 11, 9, 2]), &["block 2: it has 5 transactions and flags for 4", "block 2: its commit hash is "]);
    differs(
        flags(&[11, 9, 0, 0, 0]),
        &[
            "block 2: transaction 0 (one) is marked MVCC_READ_CONFLICT, the blocks before it make it VALID",
            "block 2: transaction 1 (two) is marked a duplicate, and nothing before has its id",
            "block 2: transaction 3 is marked valid and is no envelope",
        ],
    );
    differs(
        |block| block::set_metadata(block, BlockMetadataIndex::CommitHash, Bytes::new()),
        &["its commit hash is , "],
    );
}

#[test]
fn a_block_that_cannot_be_read_ends_the_walk() {
    let channel = channel();
    let damage = channel.ledger.database.begin_write().unwrap();
    damage.open_table(store::BLOCKS).unwrap().remove(1).unwrap();
    damage.commit().unwrap();
    channel.ledger.set_snapshot(Snapshot::open(&channel.ledger.database).unwrap());
    let report = verify(&channel);
    assert_eq!((report.blocks, report.height, &report.differences[..]), (1, 4, &["block 1 is missing".to_owned()][..]));
}

/// No package is installed.
struct Nothing;

impl DeployedIndexes for Nothing {
    fn index_files(&self, _: &str, _: &str) -> Option<Vec<PackagedIndex>> {
        None
    }
}

#[test]
fn a_row_of_an_index_that_the_state_does_not_give_is_found() {
    let mut channel = TestChannel::new();
    channel.provider.use_couchdb(Arc::new(Nothing)).unwrap();
    channel.put("cc", &[("a", r#"{"n":1}"#), ("b", r#"{"n":2}"#), ("c", "text")]);
    let definition = r#"{"index":{"fields":["n"]},"ddoc":"d","name":"byN"}"#.to_owned();
    let file = IndexFile { file: "byN.json".into(), definition };
    channel.ledger.define_indexes("cc", &[PackagedIndex { collection: None, file }]).unwrap();
    channel.put("cc", &[("b", r#"{"n":3}"#), ("d", r#"{"n":4}"#)]);
    assert_eq!(verify(&channel).differences, [""; 0]);

    let damage = channel.ledger.database.begin_write().unwrap();
    {
        let mut rows = damage.open_table(INDEX_ROWS).unwrap();
        let all: Vec<_> = rows.iter().unwrap().map(|entry| entry.unwrap().0.value().to_vec()).collect();
        assert_eq!(all.len(), 3);
        rows.remove(&all[0][..]).unwrap();
        let other_key = [&all[1][..all[1].len() - 1], b"z"].concat();
        rows.insert(&other_key[..], 1).unwrap();
        rows.insert(&all[2][..], 900).unwrap();
        rows.insert(&b"\0nobody\0"[..], 1).unwrap();
    }
    damage.commit().unwrap();
    channel.ledger.set_snapshot(Snapshot::open(&channel.ledger.database).unwrap());
    assert_eq!(
        verify(&channel).differences,
        [
            "the index cc/d/byN lacks the row of key \"a\"",
            "the index cc/d/byN lacks the row of key \"d\"",
            "the index cc/d/byN has a row of key \"z\" that the state does not give",
            "the index cc/d/byN has a row of key \"?\" that the state does not give",
            "a row of 8 bytes is of no index",
        ]
    );
}

#[test]
fn indexes_that_the_state_has_left_behind_are_made_anew_and_no_difference() {
    let dir = tempfile::tempdir().unwrap();
    let open = |couchdb: bool| {
        let provider = LedgerProvider::open(dir.path()).unwrap();
        if couchdb {
            provider.use_couchdb(Arc::new(Nothing)).unwrap();
        }
        let ledger = provider.get(TestChannel::NAME);
        let ledger = ledger
            .unwrap_or_else(|| provider.create(TestChannel::NAME, &block::new_block(0, Bytes::new(), vec![])).unwrap());
        TestChannel::of(Arc::new(provider), ledger)
    };
    let mut channel = open(true);
    channel.put("cc", &[("a", r#"{"n":1}"#)]);
    let file = IndexFile { file: "n.json".into(), definition: r#"{"index":{"fields":["n"]}}"#.to_owned() };
    channel.ledger.define_indexes("cc", &[PackagedIndex { collection: None, file }]).unwrap();
    drop(channel);
    let mut channel = open(false);
    channel.put("cc", &[("a", r#"{"n":2}"#)]);
    assert_eq!(verify(&channel).differences, [""; 0]);
    drop(channel);
    assert_eq!(verify(&open(true)).differences, [""; 0]);
}
