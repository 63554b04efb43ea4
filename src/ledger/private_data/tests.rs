use prost::Message;
use selvedge_proto::kvrwset::{HashedRwSet, KvrwSet};
use selvedge_proto::rwset::TxReadWriteSet;

use super::*;
use crate::ledger::LedgerProvider;
use crate::ledger::private_testing::{CHAINCODE, PrivateChannel, collection};
use crate::ledger::transaction::BlockTransaction;
use crate::testing::Golden;

fn channel() -> PrivateChannel {
    let channel = PrivateChannel::new(vec![collection("a", 0), collection("b", 0)]);
    channel.commit(vec![channel.put("t", "a", "k", "v"), channel.put("u", "a", "l", "w")]);
    channel
}

fn text(error: LedgerError) -> String {
    error.to_string()
}

/// The hashed and the private set of the first collection of the second namespace (the first is the chaincode's).
fn sets(simulator: &mut TxSimulator) -> (HashedRwSet, Bytes, Option<KvrwSet>) {
    let results = simulator.results().unwrap();
    let public = TxReadWriteSet::decode(results.public).unwrap();
    let names: Vec<_> = public.ns_rwset.iter().map(|set| set.namespace.as_str()).collect();
    assert_eq!(names, [CHAINCODE, "lscc"]);
    assert!(public.ns_rwset[0].rwset.is_empty(), "an entry of its own, with nothing public in it");
    let hashed = &public.ns_rwset[0].collection_hashed_rwset[0];
    let private = results.private.map(|mut private| {
        let set = private.ns_pvt_rwset.remove(0).collection_pvt_rwset.remove(0).rwset;
        assert_eq!(digest(&set), hashed.pvt_rwset_hash, "the hash is that of the members' bytes");
        KvrwSet::decode(set).unwrap()
    });
    (HashedRwSet::decode(hashed.hashed_rwset.clone()).unwrap(), hashed.pvt_rwset_hash.clone(), private)
}

#[test]
fn private_puts_leave_the_bytes_that_fabric_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Golden::V1_4.replay(&LedgerProvider::open(dir.path()).unwrap(), 9).unwrap();
    let numbers = [("pn-000002", "s2"), ("pn-000000", "s0"), ("pn-000001", "s1")];
    type Writes<'a> = &'a [(&'a str, &'a str)];
    let cases: [(usize, &str, Writes<'_>); 3] =
        [(3, "collA", &[("p1", "classified")]), (4, "collB", &[("p2", "only for one")]), (5, "collA", &numbers)];
    let recorded = Golden::V1_4.block(9).unwrap().data.unwrap().data;
    for (index, collection, writes) in cases {
        let mut simulator = ledger.new_tx_simulator("simulated").unwrap();
        simulator.get_state("lscc", "kv").unwrap();
        for (key, value) in writes {
            simulator.set_private_data("kv", collection, key, Bytes::copy_from_slice(value.as_bytes())).unwrap();
        }
        let actions = BlockTransaction::decode(&recorded[index]).unwrap().chaincode_actions().unwrap();
        let ours = simulator.results().unwrap().public;
        assert_eq!(hex::encode(&ours), hex::encode(&actions[0].results), "block 9, transaction {index}");
    }
}

#[test]
fn hashes_stand_in_the_order_of_the_plain_keys_and_a_delete_has_no_value_hash() {
    let channel = channel();
    let mut simulator = channel.simulator();
    for (key, value) in [("d", "4"), ("b", ""), ("a", "1"), ("c", "3"), ("d", "last")] {
        simulator.set_private_data(CHAINCODE, "a", key, value.into()).unwrap();
    }
    simulator.purge_private_data(CHAINCODE, "a", "c").unwrap();
    for key in ["z", "k", "y"] {
        simulator.get_private_data(CHAINCODE, "a", key).unwrap();
    }
    let (hashed, _, private) = sets(&mut simulator);
    let writes: Vec<_> = hashed
        .hashed_writes
        .iter()
        .map(|write| (write.key_hash.clone(), write.value_hash.clone(), write.is_delete, write.is_purge))
        .collect();
    let key = |key: &str| digest(key.as_bytes());
    assert_eq!(
        writes,
        [
            (key("a"), key("1"), false, false),
            (key("b"), Bytes::new(), true, false),
            (key("c"), Bytes::new(), true, true),
            (key("d"), key("last"), false, false),
        ]
    );
    let reads: Vec<_> =
        hashed.hashed_reads.iter().map(|read| (read.key_hash.clone(), read.version.is_some())).collect();
    assert_eq!(reads, [(key("k"), true), (key("y"), false), (key("z"), false)]);
    let private: Vec<_> = private.unwrap().writes.into_iter().map(|write| (write.key, write.is_delete)).collect();
    assert_eq!(
        private.iter().map(|(key, gone)| (key.as_str(), *gone)).collect::<Vec<_>>(),
        [("a", false), ("b", true), ("c", true), ("d", false)]
    );
}

#[test]
fn metadata_is_everybodys_and_members_get_the_bare_key() {
    let channel = channel();
    let mut simulator = channel.simulator();
    let entries = BTreeMap::from([("n".to_owned(), Bytes::from_static(b"v"))]);
    simulator.set_private_data_metadata(CHAINCODE, "a", "k", entries).unwrap();
    let (hashed, _, private) = sets(&mut simulator);
    assert_eq!(hashed.metadata_writes[0].key_hash, digest(b"k"));
    assert_eq!(hashed.metadata_writes[0].entries[0].name, "n");
    let private = private.unwrap();
    assert_eq!((private.metadata_writes[0].key.as_str(), private.metadata_writes[0].entries.len()), ("k", 0));
    assert!(private.writes.is_empty());
}

#[test]
fn a_collection_that_is_only_read_has_no_private_set_and_no_hash_of_one() {
    let channel = channel();
    let mut simulator = channel.simulator();
    assert_eq!(simulator.get_private_data(CHAINCODE, "a", "k").unwrap().unwrap(), "v");
    assert_eq!(simulator.get_private_data_hash(CHAINCODE, "a", "l").unwrap().unwrap(), digest(b"w"));
    assert!(simulator.get_private_data_metadata(CHAINCODE, "a", "m").unwrap().is_empty());
    let (hashed, hash, private) = sets(&mut simulator);
    assert_eq!(hashed.hashed_reads.len(), 3);
    assert!(hash.is_empty() && private.is_none());
}

#[test]
fn a_read_sees_what_is_committed_and_never_the_transactions_own_write() {
    let channel = channel();
    let mut simulator = channel.simulator();
    simulator.set_private_data(CHAINCODE, "a", "k", "mine".into()).unwrap();
    channel.commit(vec![channel.put("v", "a", "k", "theirs")]);
    assert_eq!(simulator.get_private_data(CHAINCODE, "a", "k").unwrap().unwrap(), "v");
    assert_eq!(channel.get("a", "k").unwrap().unwrap(), "theirs");
}

#[test]
fn unknown_collections_are_refused_in_fabrics_words() {
    let channel = channel();
    let mut simulator = channel.simulator();
    let error = simulator.set_private_data(CHAINCODE, "nope", "k", "v".into()).unwrap_err();
    assert_eq!(text(error), "collection [nope] not defined in the collection config for chaincode [cc]");
    let error = simulator.get_private_data_hash("other", "a", "k").unwrap_err();
    assert_eq!(
        text(error),
        "collection config not defined for chaincode [other], pass the collection configuration upon chaincode \
         definition/instantiation"
    );
}

#[test]
fn a_query_of_private_data_and_a_write_exclude_each_other() {
    let channel = channel();
    let mut simulator = channel.simulator();
    let mut rows = simulator.get_private_data_range(CHAINCODE, "a", "", "").unwrap();
    let mut found = Vec::new();
    while let Some(row) = simulator.next(&mut rows).unwrap() {
        found.push((row.key, row.value));
    }
    assert_eq!(found, [("k".to_owned(), "v".into()), ("l".to_owned(), Bytes::from_static(b"w"))]);
    for (start, end, expected) in [("l", "", 1), ("", "l", 1), ("k", "k\0", 1), ("m", "", 0)] {
        let mut rows = simulator.get_private_data_range(CHAINCODE, "a", start, end).unwrap();
        let count = std::iter::from_fn(|| simulator.next(&mut rows).unwrap()).count();
        assert_eq!(count, expected, "{start:?} to {end:?}");
    }
    let mut rows = simulator.get_private_data_range(CHAINCODE, "b", "", "").unwrap();
    assert_eq!(simulator.next(&mut rows).unwrap(), None, "the collection beside it");
    let error = simulator.set_state(CHAINCODE, "k", "v".into()).unwrap_err();
    assert_eq!(
        text(error),
        "txid [simulated]: Transaction has already performed queries on pvt data. Writes are not allowed"
    );
    let results = simulator.results().unwrap();
    let set = TxReadWriteSet::decode(results.public).unwrap();
    assert_eq!(set.ns_rwset.len(), 1, "nothing but the look-up of the collections: {set:?}");

    let mut simulator = channel.simulator();
    simulator.delete_private_data(CHAINCODE, "a", "k").unwrap();
    let refused = "txid [simulated]: Queries on pvt data is supported only in a read-only transaction";
    let error = simulator.get_private_data_range(CHAINCODE, "a", "", "").map(|_| ()).unwrap_err();
    assert_eq!(text(error), refused);
    let error = simulator.execute_query_on_private_data(CHAINCODE, "a", "{}").map(|_| ()).unwrap_err();
    assert_eq!(text(error), refused);
}
