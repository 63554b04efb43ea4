use std::sync::atomic::Ordering;

use selvedge_proto::rwset::{CollectionPvtReadWriteSet, NsPvtReadWriteSet};
use selvedge_proto::transientstore::TxPvtReadWriteSetWithConfigInfo;

use super::*;
use crate::ledger::private_testing::{CHAINCODE, PrivateChannel, RETENTION, collection};
use crate::ledger::testing::TestChannel;
use crate::ledger::{Ledger, MissingPrivateData};

use TxValidationCode as Code;

/// Forever in `a`, for one block in `short`.
fn channel() -> PrivateChannel {
    PrivateChannel::new(vec![collection("a", 0), collection("short", 1)])
}

fn missing(ledger: &Ledger) -> Vec<(u64, u64, String, bool)> {
    let missing = ledger.missing_private_data(100).unwrap();
    let row = |row: MissingPrivateData| (row.block, row.tx, row.collection, row.eligible);
    missing.into_iter().map(row).collect()
}

/// The collections of which a block's transactions have sets here.
fn kept(ledger: &Ledger, block: u64) -> Vec<(u64, Vec<String>)> {
    let names = |set: TxPvtReadWriteSet| {
        let sets = set.ns_pvt_rwset.into_iter().flat_map(|namespace| namespace.collection_pvt_rwset);
        sets.map(|set| set.collection_name).collect()
    };
    ledger.private_data_of_block(block).unwrap().into_iter().map(|(tx, set)| (tx, names(set))).collect()
}

fn stale(hash: (u64, u64), value: &str) -> String {
    format!(
        "private data matching public hash version is not available. Public hash version = {{BlockNum: {}, TxNum: {}}}, \
         Private data version = {value}",
        hash.0, hash.1
    )
}

#[test]
fn what_was_endorsed_is_written_with_its_block_and_leaves_the_transient_store() {
    let channel = channel();
    let both = channel.endorse("both", |simulator| {
        simulator.set_private_data(CHAINCODE, "a", "k", "va".into()).unwrap();
        simulator.set_private_data(CHAINCODE, "short", "k", "vs".into()).unwrap();
    });
    let unsubmitted = channel.put("unsubmitted", "a", "x", "y");
    let committed = channel.commit(vec![both, channel.put("one", "a", "l", "vl")]);
    assert_eq!(committed.codes, [Code::Valid; 2]);
    assert_eq!(channel.get("a", "k").unwrap().as_deref(), Some("va"));
    assert_eq!(channel.get("short", "k").unwrap().as_deref(), Some("vs"));
    assert_eq!(channel.get("a", "l").unwrap().as_deref(), Some("vl"));
    let ledger = &channel.channel.ledger;
    assert_eq!(kept(ledger, 2), [(0, vec!["a".into(), "short".into()]), (1, vec!["a".into()])]);
    assert_eq!((kept(ledger, 1), missing(ledger)), (vec![], vec![]));
    for (txid, left) in [("both", 0), ("one", 0), ("unsubmitted", 1)] {
        assert_eq!(channel.transient.private_data(TestChannel::NAME, txid).unwrap().len(), left, "{txid}");
    }

    // A delete, and a block that comes again.
    let committed = channel.commit(vec![channel.put("gone", "a", "k", ""), unsubmitted]);
    assert_eq!(channel.get("a", "k"), Ok(None));
    let again = ledger.commit(committed.block.clone(), &[]).unwrap();
    assert_eq!((again.block, channel.get("a", "x").unwrap().as_deref()), (committed.block, Some("y")));
}

#[test]
fn a_set_of_another_hash_is_dropped_and_recorded_as_missing() {
    let channel = channel();
    let envelope = channel.put("t", "a", "k", "endorsed");
    channel.transient.purge_by_txids(TestChannel::NAME, &["t".to_owned()]).unwrap();
    // Another endorsement of the same transaction came to something else.
    let set = KvrwSet {
        writes: vec![selvedge_proto::kvrwset::KvWrite { key: "k".into(), value: "forged".into(), is_delete: false }],
        ..KvrwSet::default()
    };
    let set =
        CollectionPvtReadWriteSet { collection_name: "a".into(), rwset: prost::Message::encode_to_vec(&set).into() };
    let namespace = NsPvtReadWriteSet { namespace: CHAINCODE.into(), collection_pvt_rwset: vec![set] };
    let pvt_rwset = Some(TxPvtReadWriteSet { data_model: 0, ns_pvt_rwset: vec![namespace] });
    let forged = TxPvtReadWriteSetWithConfigInfo { pvt_rwset, ..Default::default() };
    channel.transient.persist(TestChannel::NAME, "t", 2, &forged).unwrap();

    assert_eq!(channel.commit(vec![envelope]).codes, [Code::Valid], "the public half does not depend on it");
    assert_eq!(channel.get("a", "k"), Err(stale((2, 0), "<nil>")));
    assert_eq!(missing(&channel.channel.ledger), [(2, 0, "a".into(), true)]);
    assert_eq!(kept(&channel.channel.ledger, 2), []);
}

#[test]
fn of_several_endorsements_the_one_in_the_block_is_found() {
    let channel = channel();
    let old = channel.put("t", "a", "k", "first");
    channel.put("t", "a", "k", "second");
    channel.commit(vec![old]);
    assert_eq!(channel.get("a", "k").unwrap().as_deref(), Some("first"));
}

#[test]
fn data_that_never_came_leaves_the_old_value_unread_and_a_row_among_the_missing() {
    let channel = channel();
    channel.commit(vec![channel.put("t1", "a", "k", "old")]);
    let elsewhere = [channel.put("t2", "a", "k", "new"), channel.put("t3", "short", "k", "new")];
    let txids = ["t2", "t3"].map(str::to_owned);
    channel.transient.purge_by_txids(TestChannel::NAME, &txids).unwrap();
    channel.commit(elsewhere.into());
    assert_eq!(channel.get("a", "k"), Err(stale((3, 0), "{BlockNum: 2, TxNum: 0}")));
    assert_eq!(channel.get("a", "unknown"), Ok(None));
    let ledger = &channel.channel.ledger;
    assert_eq!(missing(ledger), [(3, 1, "short".into(), true), (3, 0, "a".into(), true)], "newest first");
    assert_eq!(ledger.missing_private_data(1).unwrap().len(), 1);

    let repaired = channel.commit(vec![channel.put("t4", "a", "k", "newest")]);
    assert_eq!(repaired.codes, [Code::Valid]);
    assert_eq!(channel.get("a", "k").unwrap().as_deref(), Some("newest"));
}

#[test]
fn who_is_no_member_keeps_hashes_alone_and_may_be_one_later() {
    let channel = channel();
    channel.rules.member.store(false, Ordering::SeqCst);
    channel.commit(vec![channel.put("t", "a", "k", "v")]);
    assert!(channel.has_hash("a", "k"));
    assert_eq!(channel.get("a", "k"), Err(stale((2, 0), "<nil>")));
    let ledger = &channel.channel.ledger;
    assert_eq!((kept(ledger, 2), missing(ledger)), (vec![], vec![(2, 0, "a".into(), false)]));
    assert_eq!(channel.transient.private_data(TestChannel::NAME, "t").unwrap(), [], "it endorsed and has it no more");

    channel.rules.member.store(true, Ordering::SeqCst);
    channel.commit(vec![channel.put("u", "a", "l", "w")]);
    assert_eq!(channel.get("a", "l").unwrap().as_deref(), Some("w"));
}

#[test]
fn data_of_invalid_transactions_is_kept_where_fabric_keeps_it_and_never_read() {
    let channel = channel();
    let ledger = &channel.channel.ledger;
    for (block, keeps, expected) in [(2, false, vec![1, 2]), (4, true, vec![0, 1, 2])] {
        channel.rules.keeps_invalid.store(keeps, Ordering::SeqCst);
        let read_and_put = |txid: &str| {
            channel.endorse(txid, |simulator| {
                simulator.get_private_data_hash(CHAINCODE, "a", "read").unwrap();
                simulator.set_private_data(CHAINCODE, "a", txid, "v".into()).unwrap();
            })
        };
        let refused = channel.put(&format!("refused{block}"), "a", "refused", "v");
        let first = channel.put(&format!("first{block}"), "a", "read", "v");
        let conflict = read_and_put(&format!("conflict{block}"));
        let codes = [Code::EndorsementPolicyFailure, Code::Valid, Code::Valid];
        let committed = ledger.commit(channel.channel.next_block(vec![refused, first, conflict]), &codes).unwrap();
        assert_eq!(committed.codes, [Code::EndorsementPolicyFailure, Code::Valid, Code::MvccReadConflict]);
        let sets: Vec<_> = kept(ledger, block).into_iter().map(|(tx, _)| tx).collect();
        assert_eq!(sets, expected, "data of invalid transactions kept: {keeps}");
        assert_eq!(channel.get("a", "refused"), Ok(None));
        assert_eq!(channel.get("a", &format!("conflict{block}")), Ok(None));
        channel.commit(vec![]);
    }
}

#[test]
fn private_data_ends_with_its_block_and_leaves_no_trace() {
    let channel = channel();
    let ledger = &channel.channel.ledger;
    // Blocks 2 to 4 write; what lives for one block ends with the second block after.
    channel.commit(vec![channel.put("t2", "short", "k", "1"), channel.put("a2", "a", "k", "stays")]);
    let lost = channel.put("t3", "short", "lost", "2");
    channel.transient.purge_by_txids(TestChannel::NAME, &["t3".to_owned()]).unwrap();
    channel.commit(vec![lost]);
    assert_eq!(channel.get("short", "k").unwrap().as_deref(), Some("1"), "after block 3 it is there");
    assert_eq!(kept(ledger, 2).len(), 2);

    let commit_hash = |block: &Block| {
        use selvedge_proto::common::{BlockMetadataIndex, Metadata};
        let metadata = crate::ledger::block::metadata(block, BlockMetadataIndex::CommitHash);
        <Metadata as prost::Message>::decode(metadata).unwrap().value
    };
    let before = commit_hash(&ledger.block_by_number(3).unwrap().unwrap());
    let block = channel.commit(vec![]).block;
    assert_eq!(commit_hash(&block), &UpdateBatch::default().commit_hash(&[], &before)[..], "no transaction did it");
    assert_eq!((channel.get("short", "k"), channel.has_hash("short", "k")), (Ok(None), false));
    assert_eq!(channel.get("a", "k").unwrap().as_deref(), Some("stays"));
    assert_eq!(kept(ledger, 2), [(1, vec!["a".into()])]);

    assert!(channel.has_hash("short", "lost") && missing(ledger).len() == 1);
    channel.commit(vec![]);
    assert!(
        !channel.has_hash("short", "lost") && missing(ledger).is_empty(),
        "hashes end everywhere, missing rows too"
    );
}

#[test]
fn what_was_written_again_lives_on_with_its_new_time() {
    let channel = channel();
    channel.commit(vec![channel.put("t2", "short", "early", "1"), channel.put("u2", "short", "late", "1")]);
    channel.commit(vec![channel.put("t3", "short", "early", "2")]);
    // In the very block in which it would end.
    channel.commit(vec![channel.put("t4", "short", "late", "2")]);
    assert_eq!(channel.get("short", "early").unwrap().as_deref(), Some("2"));
    assert_eq!(channel.get("short", "late").unwrap().as_deref(), Some("2"));
    channel.commit(vec![]);
    assert_eq!((channel.get("short", "early"), channel.has_hash("short", "early")), (Ok(None), false));
    assert_eq!(channel.get("short", "late").unwrap().as_deref(), Some("2"));
    channel.commit(vec![]);
    assert_eq!((channel.get("short", "late"), channel.has_hash("short", "late")), (Ok(None), false));
}

#[test]
fn an_old_value_whose_successor_never_came_ends_at_its_own_time() {
    let channel = channel();
    channel.commit(vec![channel.put("t2", "short", "k", "old")]);
    let lost = channel.put("t3", "short", "k", "new");
    channel.transient.purge_by_txids(TestChannel::NAME, &["t3".to_owned()]).unwrap();
    channel.commit(vec![lost]);
    assert_eq!(channel.get("short", "k"), Err(stale((3, 0), "{BlockNum: 2, TxNum: 0}")));
    channel.commit(vec![]);
    assert_eq!(channel.get("short", "k"), Err(stale((3, 0), "<nil>")), "the value is gone, the newer hash is not");
}

#[test]
fn metadata_alone_gives_hash_and_value_the_same_new_version() {
    let channel = channel();
    let set_metadata = |txid: &str, key: &'static str| {
        let entries = std::collections::BTreeMap::from([("n".to_owned(), Bytes::from_static(b"v"))]);
        let set = |simulator: &mut crate::ledger::TxSimulator| {
            simulator.set_private_data_metadata(CHAINCODE, "a", key, entries).unwrap();
        };
        channel.endorse(txid, set)
    };
    channel.commit(vec![channel.put("t2", "a", "k", "v"), channel.put("u2", "a", "old", "v")]);
    let lost = channel.put("t3", "a", "old", "new");
    channel.transient.purge_by_txids(TestChannel::NAME, &["t3".to_owned()]).unwrap();
    channel.commit(vec![lost]);
    channel.commit(vec![set_metadata("m1", "k"), set_metadata("m2", "old"), set_metadata("m3", "none")]);
    assert_eq!(channel.get("a", "k").unwrap().as_deref(), Some("v"));
    let metadata = channel.simulator().get_private_data_metadata(CHAINCODE, "a", "k").unwrap();
    assert_eq!(metadata["n"], "v");
    assert_eq!(channel.get("a", "old"), Err(stale((4, 1), "{BlockNum: 2, TxNum: 1}")), "a stale value stays stale");
    assert_eq!(channel.get("a", "none"), Ok(None));
}

#[test]
fn what_is_never_committed_leaves_the_transient_store_by_its_height() {
    let channel = channel();
    channel.put("orphan", "a", "k", "v");
    assert_eq!(channel.transient.lowest_height(TestChannel::NAME).unwrap(), Some(2));
    let height = |height: u64| channel.channel.ledger.height().unwrap() == height;
    while !height(2 * RETENTION) {
        channel.commit(vec![]);
    }
    assert_eq!(
        channel.transient.lowest_height(TestChannel::NAME).unwrap(),
        Some(2),
        "as in Fabric, every so many blocks"
    );
    channel.commit(vec![]);
    assert_eq!(channel.transient.lowest_height(TestChannel::NAME).unwrap(), None);
}

#[test]
fn the_collections_before_a_block_decide_about_it() {
    let mut channel = channel();
    let into_new = |channel: &PrivateChannel, txid: &str| channel.put(txid, "a", "k", "v");
    let early = into_new(&channel, "early");
    channel.upgrade(vec![collection("a", 0), collection("short", 1), collection("new", 0)]);
    let ledger = &channel.channel.ledger;
    let names = |block| {
        let collections = ledger.collections_before(block, CHAINCODE).unwrap();
        collections.map(|collections| ["a", "new"].map(|name| collections.get(name).is_some()))
    };
    assert_eq!([names(1), names(2), names(3)], [None, Some([true, false]), Some([true, true])]);
    // Endorsed before the upgrade: its read of the collections does not hold any more.
    assert_eq!(channel.commit(vec![early]).codes, [Code::MvccReadConflict]);
    assert_eq!(kept(ledger, 3).len(), 1, "its data is kept with it, as that of any invalid transaction");
}

#[test]
fn a_write_to_a_collection_that_never_was_is_skipped_and_the_block_goes_on() {
    let mut channel = channel();
    let envelope = channel.put("t", "short", "k", "v");
    // Only a forged transaction comes to this: it would have read the collections.
    channel.upgrade(vec![collection("a", 0)]);
    let ledger = &channel.channel.ledger;
    ledger.commit(channel.channel.next_block(vec![envelope]), &[Code::Valid]).unwrap();
    assert_eq!((kept(ledger, 3), missing(ledger)), (vec![], vec![]));
}

/// The values of a collection that a chaincode gets by a range.
fn in_range(channel: &PrivateChannel, collection: &str) -> Vec<String> {
    let mut simulator = channel.simulator();
    let mut rows = simulator.get_private_data_range(CHAINCODE, collection, "", "").unwrap();
    std::iter::from_fn(|| simulator.next(&mut rows).unwrap()).map(|row| row.key).collect()
}

fn verified(channel: &PrivateChannel) -> Vec<String> {
    channel.channel.ledger.verify(&std::env::temp_dir(), |_| ()).unwrap().differences
}

#[test]
fn a_value_that_the_same_block_deletes_is_gone_even_where_the_delete_never_came() {
    let channel = channel();
    let put = channel.put("put", "short", "k", "v");
    let delete = channel.put("delete", "short", "k", "");
    channel.transient.purge_by_txids(TestChannel::NAME, &["delete".to_owned()]).unwrap();
    assert_eq!(channel.commit(vec![put, delete]).codes, [Code::Valid; 2]);
    assert_eq!(channel.get("short", "k"), Ok(None));
    assert_eq!(in_range(&channel, "short"), [""; 0], "nothing would ever end it: its hash is gone");
    assert_eq!(verified(&channel), [""; 0]);
}

/// A transaction whose public half has the hash of a private set that holds `forged` for `key`, and beside it the hashes of
/// `k` and another value.
fn forged(channel: &PrivateChannel, txid: &str, key: &str) -> Bytes {
    use prost::Message;
    use selvedge_proto::kvrwset::KvWrite;

    let mut simulator = channel.simulator();
    simulator.set_private_data(CHAINCODE, "a", "k", "agreed".into()).unwrap();
    let results = simulator.results().unwrap();
    let write = KvWrite { key: key.into(), value: "forged".into(), is_delete: false };
    let set: Bytes = KvrwSet { writes: vec![write], ..KvrwSet::default() }.encode_to_vec().into();
    let mut public = TxReadWriteSet::decode(results.public).unwrap();
    public.ns_rwset[0].collection_hashed_rwset[0].pvt_rwset_hash = digest(&set);
    let mut pvt_rwset = results.private;
    pvt_rwset.as_mut().unwrap().ns_pvt_rwset[0].collection_pvt_rwset[0].rwset = set;
    let endorsed = TxPvtReadWriteSetWithConfigInfo { pvt_rwset, ..Default::default() };
    channel.transient.persist(TestChannel::NAME, txid, 2, &endorsed).unwrap();
    crate::ledger::testing::endorser_transaction(TestChannel::NAME, txid, public.encode_to_vec().into())
}

#[test]
fn a_forged_set_cannot_put_a_value_under_another_ones_hash_or_under_none() {
    let channel = channel();
    channel.commit(vec![channel.put("t2", "a", "k2", "kept")]);
    channel.commit(vec![forged(&channel, "t3", "k")]);
    assert_eq!(channel.get("a", "k"), Err(stale((3, 0), "<nil>")));
    channel.commit(vec![forged(&channel, "t4", "k2")]);
    assert_eq!(channel.get("a", "k2").unwrap().as_deref(), Some("kept"));
    assert_eq!(in_range(&channel, "a"), ["k2"]);
    assert_eq!(verified(&channel), [""; 0]);
}

#[test]
fn of_two_hashes_of_one_collections_set_the_first_counts() {
    use prost::Message;

    let channel = channel();
    let mut simulator = channel.simulator();
    simulator.set_private_data(CHAINCODE, "a", "k", "v".into()).unwrap();
    let results = simulator.results().unwrap();
    let mut public = TxReadWriteSet::decode(results.public).unwrap();
    let sets = &mut public.ns_rwset[0].collection_hashed_rwset;
    let mut second = sets[0].clone();
    second.pvt_rwset_hash = digest(b"nothing that exists");
    sets.push(second);
    let endorsed = TxPvtReadWriteSetWithConfigInfo { pvt_rwset: results.private, ..Default::default() };
    channel.transient.persist(TestChannel::NAME, "t", 2, &endorsed).unwrap();
    let public = public.encode_to_vec().into();
    channel.commit(vec![crate::ledger::testing::endorser_transaction(TestChannel::NAME, "t", public)]);
    let ledger = &channel.channel.ledger;
    assert_eq!((kept(ledger, 2), missing(ledger)), (vec![(0, vec!["a".into()])], vec![]));
    assert_eq!(verified(&channel), [""; 0]);
}

#[test]
fn of_many_endorsements_no_more_are_looked_at_than_it_takes() {
    let channel = channel();
    let envelope = channel.put("t", "a", "k", "v");
    for number in 0..50 {
        channel.put("t", "a", "k", &number.to_string());
    }
    let mut seen = 0;
    let first = channel.transient.visit(TestChannel::NAME, "t", |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    first.unwrap();
    assert_eq!(seen, 1);
    channel.commit(vec![envelope]);
    assert_eq!(channel.get("a", "k").unwrap().as_deref(), Some("v"));
    assert_eq!(channel.transient.private_data(TestChannel::NAME, "t").unwrap(), []);
}
