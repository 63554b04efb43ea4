//! Validation and ledger together.

use prost::Message;
use selvedge_proto::protos::{ChaincodeData, TxValidationCode as Code};

use super::fixture::{Tx, definition, lscc};
use crate::committer::CommitError;
use crate::ledger::block;
use crate::testing::GoldenPeer;

fn commit(peer: &GoldenPeer, transactions: &[&Tx]) -> Result<Vec<Code>, CommitError> {
    let info = peer.committer.ledger().chain_info().expect("a chain");
    let data = transactions.iter().map(|transaction| transaction.make().encode_to_vec().into()).collect();
    Ok(peer.committer.commit(block::new_block(info.height, info.current_block_hash, data))?.codes)
}

#[test]
fn a_definition_counts_from_the_next_block_on_and_an_id_is_used_up_whatever_became_of_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let peer = GoldenPeer::new(folder.path()).expect("a peer");
    let deploy = lscc("deploy", &definition("new", "1", "OR('AlphaMSP.member')"), None);
    let early = Tx::of("new").nonce("early").writing("new", "k");
    let codes = commit(&peer, &[&deploy, &early]).expect("committed");
    assert_eq!(codes, [Code::Valid, Code::InvalidOtherReason]);
    let call = Tx::of("new").nonce("call").writing("new", "k");
    let codes = commit(&peer, &[&call, &early, &deploy, &call]).expect("committed");
    assert_eq!(codes, [Code::Valid, Code::DuplicateTxid, Code::DuplicateTxid, Code::DuplicateTxid]);
    let again = peer.committer.ledger().block_by_number(2).expect("readable").expect("there");
    assert_eq!(peer.committer.commit(again.clone()).expect("the same block again").block, again);
}

#[test]
fn a_transaction_that_cannot_be_judged_stops_the_channel_and_is_not_marked_invalid() {
    let folder = tempfile::tempdir().expect("a directory");
    let peer = GoldenPeer::new(folder.path()).expect("a peer");
    let custom = ChaincodeData { vscc: "custom".into(), ..definition("new", "1", "OR('AlphaMSP.member')") };
    assert_eq!(commit(&peer, &[&lscc("deploy", &custom, None)]).expect("committed"), [Code::Valid]);
    for _ in 0..2 {
        let fault = commit(&peer, &[&Tx::of("qscc"), &Tx::of("new")]).expect_err("no such plugin");
        assert!(matches!(fault, CommitError::Validation(_)), "{fault:?}");
        let text = fault.to_string();
        assert!(text.starts_with("transaction 1 of block 2 cannot be judged: plugin with name custom"), "{text}");
        assert_eq!(peer.committer.ledger().height().expect("a chain"), 2);
    }
}
