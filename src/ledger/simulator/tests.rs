use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::kvrwset::range_query_info::ReadsInfo;
use selvedge_proto::rwset::TxReadWriteSet;

use super::*;
use crate::ledger::testing::TestChannel;

fn channel() -> TestChannel {
    let mut channel = TestChannel::new();
    let rows: Vec<(String, &str)> = (0..6).map(|i| (format!("k{i}"), "v")).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    channel.put("cc", &rows);
    channel
}

fn public(simulator: &mut TxSimulator, index: usize) -> (String, KvrwSet) {
    let set = TxReadWriteSet::decode(simulator.results().unwrap().public).unwrap();
    let ns = &set.ns_rwset[index];
    (ns.namespace.clone(), KvrwSet::decode(ns.rwset.clone()).unwrap())
}

#[test]
fn a_simulator_reads_its_snapshot_and_never_its_own_writes() {
    let mut channel = channel();
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    simulator.set_state("cc", "k0", "mine".into()).unwrap();
    channel.put("cc", &[("k0", "theirs")]);
    assert_eq!(simulator.get_state("cc", "k0").unwrap().unwrap(), "v");
    assert_eq!(channel.ledger.new_tx_simulator("tx").unwrap().get_state("cc", "k0").unwrap().unwrap(), "theirs");
}

#[test]
fn a_value_that_is_too_large_leaves_no_trace_and_a_small_one_that_of_any_read() {
    let mut channel = channel();
    let large = "v".repeat(1000);
    channel.put("cc", &[("large", &large)]);
    let simulator = || channel.ledger.new_tx_simulator("tx").unwrap();
    let mut refused = simulator();
    assert_eq!(refused.get_small_state("cc", "large", 999).unwrap(), None);
    assert!(refused.results().unwrap().public.is_empty(), "nothing was read");

    let (mut small, mut any) = (simulator(), simulator());
    for key in ["large", "k0", "missing"] {
        let value = any.get_state("cc", key).unwrap().unwrap_or_default();
        assert_eq!(small.get_small_state("cc", key, 2000).unwrap(), Some(value), "{key}");
    }
    assert_eq!(small.results().unwrap(), any.results().unwrap());
}

#[test]
fn the_set_is_sorted_and_a_missing_key_is_read_without_a_version() {
    let channel = channel();
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    for key in ["k1", "missing", "k0", "k1"] {
        simulator.get_state("cc", key).unwrap();
    }
    for (key, value) in [("b", "1"), ("a", ""), ("b", "2"), ("a\u{10ffff}", "3"), ("a!", "4")] {
        simulator.set_state("cc", key, value.into()).unwrap();
    }
    simulator.get_state("another", "k").unwrap();
    let (namespace, set) = public(&mut simulator, 1);
    assert_eq!(namespace, "cc");
    let reads: Vec<_> = set.reads.iter().map(|read| (read.key.as_str(), read.version.is_some())).collect();
    assert_eq!(reads, [("k0", true), ("k1", true), ("missing", false)]);
    let writes: Vec<_> =
        set.writes.iter().map(|write| (write.key.as_str(), write.is_delete, &write.value[..])).collect();
    assert_eq!(writes, [("a", true, &b""[..]), ("a!", false, b"4"), ("a\u{10ffff}", false, b"3"), ("b", false, b"2")]);
}

#[test]
fn results_are_taken_once_and_nothing_goes_after_done() {
    let channel = channel();
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    assert!(simulator.results().unwrap().public.is_empty());
    let text = |error: LedgerError| error.to_string();
    let again = simulator.results().map(|_| ()).unwrap_err();
    assert_eq!(text(again), "this function should only be called once on a transaction simulator instance");
    simulator.done();
    let closed = simulator.get_state("cc", "k0").unwrap_err();
    assert_eq!(text(closed), "this instance should not be used after calling Done()");
}

#[test]
fn a_paginated_query_and_a_write_exclude_each_other() {
    let channel = channel();
    let mut simulator = channel.ledger.new_tx_simulator("t1").unwrap();
    let mut page = simulator.get_state_range_page("cc", "", "", 2, "k2").unwrap();
    assert_eq!(simulator.next(&mut page).unwrap().unwrap().key, "k2");
    assert_eq!(simulator.next(&mut page).unwrap().unwrap().key, "k3");
    assert_eq!(simulator.next(&mut page).unwrap(), None);
    assert_eq!(page.bookmark().unwrap(), "k4");
    let error = simulator.set_state("cc", "k", "v".into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "txid [t1]: Transaction has already performed a paginated query. Writes are not allowed"
    );
    let (_, set) = public(&mut simulator, 0);
    let query = &set.range_queries_info[0];
    assert_eq!((&*query.start_key, &*query.end_key, query.itr_exhausted), ("k2", "k3", false));

    let mut simulator = channel.ledger.new_tx_simulator("t2").unwrap();
    simulator.delete_state("cc", "k0").unwrap();
    let error = simulator.get_state_range_page("cc", "", "", 2, "").map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "txid [t2]: Paginated queries are supported only in a read-only transaction");
}

#[test]
fn an_iterator_records_what_it_saw_even_when_it_is_gone() {
    let channel = channel();
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    for _ in 0..2 {
        let mut rows = simulator.get_state_range("cc", "k4", "").unwrap();
        while simulator.next(&mut rows).unwrap().is_some() {}
    }
    let mut rows = simulator.get_state_range("cc", "k", "k3").unwrap();
    simulator.next(&mut rows).unwrap();
    drop(rows);
    let mut rows = simulator.get_state_range("cc", "k9", "k1").unwrap();
    assert_eq!(simulator.next(&mut rows).unwrap(), None);
    let (_, set) = public(&mut simulator, 0);
    let queries: Vec<_> = set
        .range_queries_info
        .iter()
        .map(|query| {
            let reads = match &query.reads_info {
                Some(ReadsInfo::RawReads(raw)) => raw.kv_reads.len(),
                _ => 0,
            };
            (query.start_key.as_str(), query.end_key.as_str(), query.itr_exhausted, reads)
        })
        .collect();
    assert_eq!(queries, [("k4", "", true, 2), ("k", "k0", false, 1), ("k9", "k1", true, 0)]);
}

#[test]
fn metadata_is_replaced_as_a_whole_and_reading_it_is_a_read() {
    let mut channel = channel();
    let set = |channel: &mut TestChannel, entries: &[(&str, &str)]| {
        let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
        let entries =
            entries.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())));
        simulator.set_state_metadata("cc", "k0", entries.collect()).unwrap();
        channel.commit_results(&[simulator.results().unwrap().public]);
    };
    set(&mut channel, &[("a", "1"), ("b", "2")]);
    set(&mut channel, &[("b", "3")]);
    channel.put("cc", &[("k0", "the metadata stays")]);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    let metadata = simulator.get_state_metadata("cc", "k0").unwrap();
    assert_eq!(metadata, BTreeMap::from([("b".to_owned(), Bytes::from_static(b"3"))]));
    assert_eq!(public(&mut simulator, 0).1.reads.len(), 1);

    set(&mut channel, &[]);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    assert!(simulator.get_state_metadata("cc", "k0").unwrap().is_empty());
    assert_eq!(simulator.get_state("cc", "k0").unwrap().unwrap(), "the metadata stays");
}

#[test]
fn an_unknown_collection_is_refused_in_fabrics_words_and_leaves_fabrics_reads() {
    let mut channel = channel();
    channel.put("lscc", &[("cc", "a definition")]);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    let error = simulator.get_private_data("cc", "secret", "k").unwrap_err();
    assert_eq!(
        error.to_string(),
        "collection config not defined for chaincode [cc], \
         pass the collection configuration upon chaincode definition/instantiation"
    );
    let (namespace, set) = public(&mut simulator, 0);
    let keys: Vec<_> = set.reads.iter().map(|read| read.key.as_str()).collect();
    assert_eq!((namespace.as_str(), keys), ("lscc", vec!["cc", "cc~collection"]));
}
