//! Ledgers that stand for CouchDB: what they take, what they answer, and that their indexes are those of the state.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::{ChaincodeData, TxValidationCode};
use selvedge_proto::rwset::TxReadWriteSet;

use super::*;
use crate::ledger::private_testing::{PrivateChannel, collection};
use crate::ledger::rich_query::IndexFile;
use crate::ledger::testing::TestChannel;
use crate::ledger::{StateIterator, TxSimulator};

/// Installed packages: index files by name and version.
#[derive(Default)]
struct Installed(Mutex<BTreeMap<(String, String), Vec<PackagedIndex>>>);

impl Installed {
    fn install(&self, version: &str, definitions: &[&str]) {
        let files = definitions.iter().enumerate().map(|(n, text)| index(&format!("indexes/{n}.json"), text));
        self.0.lock().unwrap().insert(("cc".into(), version.into()), files.collect());
    }
}

impl DeployedIndexes for Installed {
    fn index_files(&self, chaincode: &str, version: &str) -> Option<Vec<PackagedIndex>> {
        self.0.lock().unwrap().get(&(chaincode.to_owned(), version.to_owned())).cloned()
    }
}

fn index(file: &str, definition: &str) -> PackagedIndex {
    PackagedIndex { collection: None, file: IndexFile { file: file.into(), definition: definition.into() } }
}

const BY_OWNER: &str = r#"{"index":{"fields":["owner","size"]},"ddoc":"d","name":"byOwner"}"#;
const BY_SIZE: &str = r#"{"index":{"fields":[{"size":"desc"}]},"ddoc":"d","name":"bySize"}"#;

fn couchdb() -> (TestChannel, Arc<Installed>) {
    let channel = TestChannel::new();
    let packages = Arc::new(Installed::default());
    channel.provider.use_couchdb(packages.clone()).unwrap();
    (channel, packages)
}

fn drain(simulator: &mut TxSimulator, mut rows: StateIterator) -> Vec<(String, Bytes)> {
    std::iter::from_fn(|| simulator.next(&mut rows).unwrap()).map(|row| (row.key, row.value)).collect()
}

fn keys(ledger: &Ledger, query: &str) -> Vec<String> {
    let mut simulator = ledger.new_tx_simulator("query").unwrap();
    let rows = simulator.execute_query("cc", query).unwrap();
    drain(&mut simulator, rows).into_iter().map(|(key, _)| key).collect()
}

/// Commits what lscc writes when a version of `cc` is deployed.
fn deploy(channel: &mut TestChannel, version: &str) {
    let data = ChaincodeData { name: "cc".into(), version: version.into(), ..ChaincodeData::default() };
    let mut simulator = channel.ledger.new_tx_simulator("deploy").unwrap();
    simulator.set_state(LSCC, "cc", data.encode_to_vec().into()).unwrap();
    channel.commit_results(&[simulator.results().unwrap().public]);
}

fn marbles(channel: &mut TestChannel) {
    channel.put(
        "cc",
        &[
            ("m1", r#"{"size":35,"owner":"tom"}"#),
            ("m2", r#"{"size":50,"owner":"jerry"}"#),
            ("m3", r#"{"size":5,"owner":"tom"}"#),
            ("text", "tom"),
        ],
    );
    channel.put("ccc", &[("m9", r#"{"size":1,"owner":"tom"}"#)]);
}

const TOMS: &str = r#"{"selector":{"owner":"tom","size":{"$gt":1}}}"#;

#[test]
fn a_ledger_for_goleveldb_answers_no_rich_query_and_takes_any_write() {
    let channel = TestChannel::new();
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    let refusal = simulator.execute_query("cc", TOMS).unwrap_err().to_string();
    assert_eq!(refusal, "ExecuteQuery not supported for leveldb");
    simulator.set_state("cc", "_key", r#"{"_id":1}"#.into()).unwrap();
    let results = simulator.results().unwrap().public;
    let mut channel = channel;
    assert_eq!(channel.commit_results(&[results]).codes, [TxValidationCode::Valid]);
}

#[test]
fn rows_of_a_rich_query_are_recorded_as_reads_and_nothing_else_is() {
    let (mut channel, _) = couchdb();
    marbles(&mut channel);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    let rows = simulator.execute_query("cc", TOMS).unwrap();
    let found = drain(&mut simulator, rows);
    assert_eq!(found[0], ("m1".to_owned(), Bytes::from(r#"{"owner":"tom","size":35}"#)));
    let set = TxReadWriteSet::decode(simulator.results().unwrap().public).unwrap().ns_rwset.remove(0);
    let set = KvrwSet::decode(set.rwset).unwrap();
    let reads: Vec<_> = set.reads.iter().map(|read| (read.key.as_str(), read.version.unwrap().block_num)).collect();
    assert_eq!(reads, [("m1", 1), ("m3", 1)]);
    assert!(set.range_queries_info.is_empty());
}

#[test]
fn a_page_makes_the_transaction_read_only_and_says_where_the_next_begins() {
    let (mut channel, _) = couchdb();
    marbles(&mut channel);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    let mut bookmark = String::new();
    for expected in [vec!["m1"], vec!["m3"], vec![]] {
        let mut rows = simulator.execute_query_page("cc", TOMS, 1, &bookmark).unwrap();
        let row = simulator.next(&mut rows).unwrap();
        assert_eq!(simulator.next(&mut rows).unwrap(), None);
        assert_eq!(row.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), expected);
        bookmark = rows.bookmark().unwrap();
    }
    let refusal = simulator.set_state("cc", "k", "v".into()).unwrap_err().to_string();
    assert!(refusal.ends_with("has already performed a paginated query. Writes are not allowed"), "{refusal}");
    let mut writing = channel.ledger.new_tx_simulator("tx").unwrap();
    writing.set_state("cc", "k", "v".into()).unwrap();
    let refusal = writing.execute_query_page("cc", TOMS, 1, "").unwrap_err().to_string();
    assert!(refusal.ends_with("Paginated queries are supported only in a read-only transaction"), "{refusal}");
}

#[test]
fn what_couchdb_refuses_is_refused_in_simulation_and_invalid_in_a_block() {
    let (mut channel, _) = couchdb();
    let leveldb = TestChannel::new();
    for (key, value, refusal) in [
        ("", "v", "invalid key. Empty string is not supported as a key by couchdb"),
        ("_k", "v", "invalid key [_k], cannot begin with \"_\""),
        ("k", r#"{"_id":"x"}"#, "field [_id] is not valid for the CouchDB state database"),
        ("k", r#"{"~version":"x"}"#, "field [~version] is not valid for the CouchDB state database"),
    ] {
        let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
        assert_eq!(simulator.set_state("cc", key, value.into()).unwrap_err().to_string(), refusal);
        let mut unchecked = leveldb.ledger.new_tx_simulator("tx").unwrap();
        // The code comes before MVCC: this read would fail there.
        unchecked.rwset.read("cc", "gone", Some(crate::ledger::Version { block: 7, tx: 7 }));
        unchecked.set_state("cc", key, value.into()).unwrap();
        let committed = channel.commit_results(&[unchecked.results().unwrap().public]);
        assert_eq!(committed.codes, [TxValidationCode::InvalidWriteset], "{key} {value}");
    }
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    assert!(simulator.delete_state("cc", "_k").is_err());
    assert!(simulator.set_state_metadata("cc", "_k", BTreeMap::new()).is_err());
}

#[test]
fn json_is_read_in_one_form_and_anything_else_as_it_was_written() {
    let (mut channel, _) = couchdb();
    channel.put("cc", &[("json", "{ \"b\": 1.50, \"a\": 1 }"), ("text", "{ text"), ("list", "[ 1 ]")]);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    let read = |simulator: &mut TxSimulator, key| simulator.get_state("cc", key).unwrap().unwrap();
    assert_eq!(read(&mut simulator, "json"), r#"{"a":1,"b":1.5}"#);
    assert_eq!(read(&mut simulator, "text"), "{ text");
    let rows = simulator.get_state_range("cc", "", "").unwrap();
    let values: Vec<_> = drain(&mut simulator, rows).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [r#"{"a":1,"b":1.5}"#, "[ 1 ]", "{ text"]);
}

#[test]
fn a_deployment_brings_its_packages_indexes_and_an_upgrade_replaces_them() {
    let (mut channel, packages) = couchdb();
    marbles(&mut channel);
    packages.install("1", &[BY_OWNER, "{}", "no JSON"]);
    packages.install("2", &[BY_OWNER, BY_SIZE]);
    packages.install("3", &[]);
    deploy(&mut channel, "1");
    assert_eq!(channel.ledger.indexes(), ["cc/d/byOwner"]);
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m3"]);
    deploy(&mut channel, "2");
    assert_eq!(channel.ledger.indexes(), ["cc/d/byOwner", "cc/d/bySize"]);
    channel.put("cc", &[("m3", ""), ("m4", r#"{"size":40,"owner":"tom"}"#), ("m2", r#"{"size":2,"owner":"tom"}"#)]);
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m2", "m4"]);
    assert_eq!(
        keys(&channel.ledger, r#"{"selector":{"size":{"$gt":0}},"sort":[{"size":"desc"}]}"#),
        ["m4", "m1", "m2"]
    );
    // Not installed here: the queries are answered with what there is.
    deploy(&mut channel, "not-installed");
    assert_eq!(channel.ledger.indexes().len(), 2);
    deploy(&mut channel, "3");
    assert!(channel.ledger.indexes().is_empty());
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m2", "m4"]);
}

#[test]
fn indexes_survive_a_restart_and_catch_up_after_a_time_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let packages = Arc::new(Installed::default());
    packages.install("1", &[BY_OWNER]);
    let open = |couchdb: bool| {
        let provider = LedgerProvider::open(dir.path()).unwrap();
        if couchdb {
            provider.use_couchdb(packages.clone()).unwrap();
        }
        let ledger = provider.get(TestChannel::NAME);
        let genesis = crate::ledger::block::new_block(0, Bytes::new(), vec![]);
        let ledger = ledger.unwrap_or_else(|| provider.create(TestChannel::NAME, &genesis).unwrap());
        TestChannel::of(Arc::new(provider), ledger)
    };
    let mut channel = open(false);
    marbles(&mut channel);
    deploy(&mut channel, "1");
    assert!(channel.ledger.indexes().is_empty());
    drop(channel);

    // Deployed before the indexes could be made.
    let mut channel = open(true);
    assert_eq!(channel.ledger.indexes(), ["cc/d/byOwner"]);
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m3"]);
    channel.put("cc", &[("m0", r#"{"size":7,"owner":"tom"}"#)]);
    drop(channel);

    let mut channel = open(false);
    assert_eq!(channel.ledger.indexes(), ["cc/d/byOwner"]);
    assert_eq!(channel.ledger.state_database(), StateDatabase::GoLevelDb);
    channel.put("cc", &[("m1", ""), ("m5", r#"{"size":9,"owner":"tom"}"#)]);
    drop(channel);

    for _ in 0..2 {
        let channel = open(true);
        assert_eq!(keys(&channel.ledger, TOMS), ["m0", "m3", "m5"]);
    }
}

#[test]
fn defining_the_same_indexes_again_changes_nothing() {
    let (mut channel, _) = couchdb();
    marbles(&mut channel);
    let both = [index("a.json", BY_OWNER), index("b.json", BY_SIZE)];
    assert!(channel.ledger.define_indexes("cc", &both).unwrap());
    assert!(!channel.ledger.define_indexes("cc", &both).unwrap());
    assert!(channel.ledger.define_indexes("cc", &both[..1]).unwrap());
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m3"]);
}

#[test]
fn an_install_brings_indexes_to_the_channel_that_has_this_very_package() {
    let mut channel = TestChannel::new();
    deploy(&mut channel, "1");
    marbles(&mut channel);
    let by_owner = [index("a.json", BY_OWNER)];
    let install = |version, id: &[u8]| {
        channel.provider.define_installed("cc", version, id, &by_owner);
        channel.ledger.indexes()
    };
    assert!(install("1", b"").is_empty(), "goleveldb has none");
    channel.provider.use_couchdb(Arc::new(Installed::default())).unwrap();
    assert!(install("2", b"").is_empty(), "another version");
    assert!(install("1", b"other").is_empty(), "other code");
    assert_eq!(install("1", b""), ["cc/d/byOwner"]);
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m3"]);
}

#[test]
fn a_block_that_deploys_nothing_leaves_the_definitions_as_they_were_read() {
    let (mut channel, packages) = couchdb();
    packages.install("1", &[BY_OWNER]);
    deploy(&mut channel, "1");
    let definitions = |ledger: &Ledger| ledger.snapshot().indexes.definitions().clone();
    let before = definitions(&channel.ledger);
    marbles(&mut channel);
    assert!(Arc::ptr_eq(&before, &definitions(&channel.ledger)));
    assert_eq!(keys(&channel.ledger, TOMS), ["m1", "m3"]);
    packages.install("2", &[BY_OWNER, BY_SIZE]);
    deploy(&mut channel, "2");
    assert!(!Arc::ptr_eq(&before, &definitions(&channel.ledger)));
}

#[test]
fn private_data_answers_rich_queries_with_the_indexes_of_its_collection() {
    let mut private = PrivateChannel::new(vec![collection("c", 2), collection("other", 0)]);
    let packages = Arc::new(Installed::default());
    private.channel.provider.use_couchdb(packages).unwrap();
    let of_collection = |name: &str| PackagedIndex { collection: Some(name.into()), ..index("a.json", BY_OWNER) };
    let ask = |private: &PrivateChannel| {
        let mut simulator = private.simulator();
        let rows = simulator.execute_query_on_private_data("cc", "c", TOMS).unwrap();
        let found = drain(&mut simulator, rows);
        let set = TxReadWriteSet::decode(simulator.results().unwrap().public).unwrap();
        assert!(set.ns_rwset.iter().all(|set| set.namespace == LSCC), "no row is recorded as read");
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let put = |txid, key, value| private.put(txid, "c", key, value);
    let first = vec![
        put("t1", "p1", r#"{"size":2,"owner":"tom"}"#),
        put("t2", "p2", r#"{"size":3,"owner":"jerry"}"#),
        private.put("t3", "other", "p3", r#"{"size":2,"owner":"tom"}"#),
    ];
    private.commit(first);
    assert_eq!(ask(&private), ["p1"]);
    assert!(private.channel.ledger.define_indexes("cc", &[of_collection("c"), of_collection("undefined")]).unwrap());
    assert_eq!(private.channel.ledger.indexes(), ["cc/c/d/byOwner"]);
    assert_eq!(ask(&private), ["p1"]);
    private.commit(vec![private.put("t4", "c", "p0", r#"{"size":5,"owner":"tom"}"#)]);
    assert_eq!(ask(&private), ["p0", "p1"]);
    // What was written first lives for two more blocks, and its rows end with it.
    private.commit(vec![]);
    private.commit(vec![]);
    assert_eq!(ask(&private), ["p0"]);
    assert!(private.channel.ledger.define_indexes("cc", &[]).unwrap());
    assert!(private.channel.ledger.indexes().is_empty());
    assert_eq!(ask(&private), ["p0"]);

    assert_eq!(private.get("c", "p0").unwrap().unwrap(), r#"{"owner":"tom","size":5}"#);
    let refusal = private.simulator().set_private_data("cc", "c", "_k", "v".into()).unwrap_err().to_string();
    assert_eq!(refusal, "invalid key [_k], cannot begin with \"_\"");
    private.upgrade(vec![]);
}

/// One block's worth of changes: keys, and the size and owner that they get, or nothing.
fn changes() -> impl Strategy<Value = Vec<(u8, Option<(i8, bool)>)>> {
    prop::collection::vec((0u8..12, prop::option::weighted(0.8, (-3i8..3, any::<bool>()))), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_an_index_answers_as_a_scan_does(blocks in prop::collection::vec(changes(), 1..6), defined in 0usize..6) {
        let ((mut indexed, _), (mut scanned, _)) = (couchdb(), couchdb());
        for (number, block) in blocks.iter().enumerate() {
            if number == defined {
                let both = [index("a.json", BY_OWNER), index("b.json", BY_SIZE)];
                indexed.ledger.define_indexes("cc", &both).unwrap();
            }
            let rows: BTreeMap<String, String> = block.iter().map(|(key, value)| {
                let value = value.map(|(size, tom)| {
                    // Every third has no owner, and every fifth is no JSON.
                    match (key % 3, key % 5) {
                        (_, 4) => format!("size {size}"),
                        (2, _) => format!(r#"{{"size":{size}}}"#),
                        _ => format!(r#"{{"size":{size},"owner":"{}"}}"#, if tom { "tom" } else { "jerry" }),
                    }
                });
                (format!("k{key:02}"), value.unwrap_or_default())
            }).collect();
            let rows: Vec<_> = rows.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            indexed.put("cc", &rows);
            scanned.put("cc", &rows);
            for query in [
                TOMS,
                r#"{"selector":{"owner":"tom"},"sort":[{"size":"desc"}]}"#,
                r#"{"selector":{"size":{"$lte":1}},"sort":["size"]}"#,
                r#"{"selector":{"size":{"$gte":0,"$lt":2}}}"#,
                r#"{"selector":{"owner":{"$gt":"k"}},"sort":["owner","size"],"skip":1}"#,
            ] {
                prop_assert_eq!(keys(&indexed.ledger, query), keys(&scanned.ledger, query), "{}", query);
            }
        }
    }
}
