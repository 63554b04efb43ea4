use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{BlockMetadataIndex, Metadata};

use super::*;
use crate::ledger::LedgerProvider;
use crate::testing::{GOLDEN_CHANNEL, Golden, from_the_orderer, outside_the_ledger};

/// The recorded channel up to `height`, each of its blocks changed by `change` before it is committed.
fn ledger(folder: &std::path::Path, height: u64, change: impl Fn(u64, &mut Block)) -> (LedgerProvider, Arc<Ledger>) {
    let ledgers = LedgerProvider::open(folder).expect("a directory");
    let mut first = from_the_orderer(Golden::V1_4.block(0).expect("a block"));
    change(0, &mut first);
    let ledger = ledgers.create(GOLDEN_CHANNEL, &first).expect("a ledger");
    for number in 1..height {
        let recorded = Golden::V1_4.block(number).expect("a block");
        let mut block = from_the_orderer(recorded.clone());
        change(number, &mut block);
        ledger.commit(block, &outside_the_ledger(&recorded)).expect("committed");
    }
    (ledgers, ledger)
}

#[test]
fn a_recorded_chain_was_made_by_its_ordering_service() {
    let folder = tempfile::tempdir().expect("a directory");
    let (_ledgers, ledger) = ledger(folder.path(), 42, |_, _| {});
    let mut heard = Vec::new();
    let report = verify_signatures(&ledger, |done, of| heard.push((done, of))).expect("readable");
    assert_eq!(report, SignedChainReport { blocks: 42, updates: 6, ..SignedChainReport::default() });
    assert!(report.is_good());
    assert_eq!((heard.len(), heard.last()), (42, Some(&(42, 42))));
}

#[test]
fn blocks_that_somebody_else_made_are_named() {
    let folder = tempfile::tempdir().expect("a directory");
    let (_ledgers, ledger) = ledger(folder.path(), 9, |number, block| {
        if number == 4 || number == 7 {
            let mut metadata =
                Metadata::decode(block::metadata(block, BlockMetadataIndex::Signatures)).expect("metadata");
            metadata.signatures[0].signature = Bytes::from_static(b"none");
            block::set_metadata(block, BlockMetadataIndex::Signatures, metadata.encode_to_vec().into());
        }
    });
    let report = verify_signatures(&ledger, |_, _| {}).expect("readable");
    let nobody = "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the \
                  'Writers' sub-policies to be satisfied";
    assert_eq!(report.problems, [format!("block 4: {nobody}"), format!("block 7: {nobody}")]);
    assert_eq!((report.blocks, report.updates, report.problem_count, report.is_good()), (9, 4, 2, false));
}

#[test]
fn a_chain_that_begins_with_no_configuration_is_none() {
    let folder = tempfile::tempdir().expect("a directory");
    let ledgers = LedgerProvider::open(folder.path()).expect("a directory");
    let first = block::new_block(0, Bytes::new(), vec![Bytes::from_static(b"\x0a\x00")]);
    let ledger = ledgers.create("c", &first).expect("a ledger");
    let report = verify_signatures(&ledger, |_, _| {}).expect("readable");
    assert!(report.problems[0].starts_with("block 0: block 0 is no configuration block: "), "{report:?}");
}
