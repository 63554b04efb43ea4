use selvedge_proto::rwset::{CollectionPvtReadWriteSet, NsPvtReadWriteSet, TxPvtReadWriteSet};

use super::*;

fn private(content: &str) -> TxPvtReadWriteSetWithConfigInfo {
    let set =
        CollectionPvtReadWriteSet { collection_name: "c".into(), rwset: Bytes::copy_from_slice(content.as_bytes()) };
    let namespace = NsPvtReadWriteSet { namespace: "cc".into(), collection_pvt_rwset: vec![set] };
    let pvt_rwset = Some(TxPvtReadWriteSet { data_model: 0, ns_pvt_rwset: vec![namespace] });
    TxPvtReadWriteSetWithConfigInfo { endorsed_at: 7, pvt_rwset, ..Default::default() }
}

fn count(store: &TransientStore, channel: &str, txid: &str) -> usize {
    store.private_data(channel, txid).unwrap().len()
}

#[test]
fn what_was_persisted_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = TransientStore::open(dir.path()).unwrap();
    store.persist("ch", "t", 3, &private("one")).unwrap();
    store.persist("ch", "t", 3, &private("two")).unwrap();
    drop(store);
    let store = TransientStore::open(dir.path()).unwrap();
    let mut found = store.private_data("ch", "t").unwrap();
    found.sort_by_key(|found| found.encode_to_vec());
    assert_eq!(found, [private("one"), private("two")]);
    assert_eq!((count(&store, "ch", "t2"), count(&store, "c", "t"), count(&store, "ch", "")), (0, 0, 0));
}

#[test]
fn a_purge_by_transaction_takes_all_of_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = TransientStore::open(dir.path()).unwrap();
    for (channel, txid, content) in [("ch", "t", "1"), ("ch", "t", "2"), ("ch", "t1", "3"), ("other", "t", "4")] {
        store.persist(channel, txid, 3, &private(content)).unwrap();
    }
    store.purge_by_txids("ch", &["t".to_owned(), "unknown".to_owned()]).unwrap();
    assert_eq!((count(&store, "ch", "t"), count(&store, "ch", "t1"), count(&store, "other", "t")), (0, 1, 1));
    store.purge_by_txids("ch", &["t1".to_owned()]).unwrap();
    assert_eq!(store.lowest_height("ch").unwrap(), None, "nothing is left of it in the index of heights");
    assert_eq!(store.lowest_height("other").unwrap(), Some(3));
}

#[test]
fn a_purge_by_height_leaves_what_came_at_it_or_was_endorsed_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = TransientStore::open(dir.path()).unwrap();
    for (txid, height) in [("old", 2), ("again", 2), ("again", 9), ("again", 4), ("new", 5)] {
        store.persist("ch", txid, height, &private("same")).unwrap();
    }
    store.persist("other", "old", 2, &private("same")).unwrap();
    assert_eq!(store.lowest_height("ch").unwrap(), Some(2));
    store.purge_by_height("ch", 5).unwrap();
    assert_eq!((count(&store, "ch", "old"), count(&store, "ch", "again"), count(&store, "ch", "new")), (0, 1, 1));
    assert_eq!(store.lowest_height("ch").unwrap(), Some(5));
    assert_eq!(count(&store, "other", "old"), 1, "another channel's blocks are other blocks");
}

#[test]
fn sets_that_come_at_a_time_are_all_durable_when_persist_returns() {
    let dir = tempfile::tempdir().unwrap();
    let store = TransientStore::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..10 {
                    let txid = format!("{thread}-{round}");
                    store.persist("ch", &txid, 1, &private(&txid)).unwrap();
                    assert_eq!(count(store, "ch", &txid), 1, "{txid} is there when it says so");
                }
            });
        }
    });
    drop(store);
    let store = TransientStore::open(dir.path()).unwrap();
    let all = (0..8).flat_map(|thread| (0..10).map(move |round| format!("{thread}-{round}")));
    assert_eq!(all.filter(|txid| count(&store, "ch", txid) == 1).count(), 80);
}

#[test]
fn a_damaged_file_is_told_from_a_full_disk_and_what_to_do_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    std::fs::write(&path, vec![7; 9000]).unwrap();
    let refused = TransientStore::open(dir.path()).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("the transient store {} is damaged: ", path.display())), "{refused}");
    assert!(refused.contains("move it away to start without it"), "{refused}");
    std::fs::remove_file(&path).unwrap();
    TransientStore::open(dir.path()).unwrap();
}

/// A write transaction that a panic has ended is never closed: redb would have the next one wait for it.
#[test]
fn after_a_panic_everybody_is_told_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(TransientStore::open(dir.path()).unwrap());
    store.persist("ch", "before", 3, &private("one")).unwrap();
    let panicked = guarded(|| {
        let _transaction = GuardedWrite::begin(&store.database)?;
        panic!("a page of nonsense");
        #[expect(unreachable_code, reason = "it gives the closure its type")]
        Ok(())
    });
    assert!(matches!(panicked, Err(LedgerError::Corrupted(_))));
    let (said, heard) = std::sync::mpsc::channel();
    let after = Arc::clone(&store);
    std::thread::spawn(move || {
        for _ in 0..2 {
            said.send(after.persist("ch", "after", 4, &private("two"))).unwrap();
        }
        said.send(after.purge_by_txids("ch", &["before".to_owned()])).unwrap();
        said.send(after.purge_by_height("ch", 9)).unwrap();
    });
    for _ in 0..4 {
        let outcome = heard.recv_timeout(std::time::Duration::from_secs(30)).expect("nobody waits");
        let error = outcome.unwrap_err();
        assert!(error.is_fault() && error.to_string().starts_with("the transient store "), "{error}");
    }
    assert_eq!(count(&store, "ch", "before"), 1, "reading goes on");
}
