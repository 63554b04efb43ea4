use selvedge_proto::rwset::TxReadWriteSet;

use super::*;
use crate::ledger::testing::{TestChannel, endorser_transaction, envelope};

use TxValidationCode as Code;

fn transaction(txid: &str) -> Bytes {
    endorser_transaction(TestChannel::NAME, txid, TxReadWriteSet::default().encode_to_vec().into())
}

fn refused(channel: &TestChannel, block: Block, codes: &[Code]) -> String {
    let error = channel.ledger.commit(block, codes).unwrap_err();
    assert!(matches!(error, LedgerError::BadBlock { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_block_that_does_not_follow_is_refused_and_the_right_one_still_goes() {
    let channel = TestChannel::new();
    let good = channel.next_block(vec![transaction("a")]);
    let change = |change: fn(&mut selvedge_proto::common::BlockHeader)| {
        let mut block = good.clone();
        change(block.header.as_mut().unwrap());
        block
    };
    let text = refused(&channel, change(|header| header.number = 2), &[Code::Valid]);
    assert_eq!(text, "block 2 of channel testchannel is refused: the next block is number 1");
    let text = refused(&channel, change(|header| header.previous_hash = Bytes::from_static(b"x")), &[Code::Valid]);
    assert!(text.contains("it follows block 78, the newest block is "), "{text}");
    let text = refused(&channel, change(|header| header.data_hash = Bytes::new()), &[Code::Valid]);
    assert!(text.contains("its data hashes to"), "{text}");
    let text = refused(&channel, good.clone(), &[]);
    assert!(text.ends_with("it has 1 transactions, but 0 validation codes came"), "{text}");
    refused(&channel, Block::default(), &[]);

    let committed = channel.ledger.commit(good.clone(), &[Code::Valid]).unwrap();
    let again = channel.ledger.commit(good.clone(), &[]).unwrap();
    assert_eq!((again.block, again.codes), (committed.block, committed.codes), "the same block again");
    let text = refused(&channel, change(|header| header.previous_hash = Bytes::new()), &[Code::Valid]);
    assert!(text.ends_with("another block of this number is committed already"), "{text}");
    assert_eq!(channel.ledger.height().unwrap(), 2);
}

#[test]
fn the_index_of_ids_names_the_first_transaction_of_an_id() {
    let channel = TestChannel::new();
    let commit = |transactions: &[(&str, Code)]| {
        let block = channel.next_block(transactions.iter().map(|(txid, _)| transaction(txid)).collect());
        let codes: Vec<_> = transactions.iter().map(|(_, code)| *code).collect();
        assert_eq!(channel.ledger.commit(block, &codes).unwrap().codes, codes, "they were judged outside");
    };
    commit(&[("a", Code::BadCreatorSignature), ("a", Code::Valid), ("a", Code::DuplicateTxid), ("b", Code::Valid)]);
    let found = channel.ledger.transaction_by_id("a").unwrap().unwrap();
    assert_eq!(found.validation_code, Code::BadCreatorSignature as i32);
    commit(&[("b", Code::DuplicateTxid), ("c", Code::EndorsementPolicyFailure)]);
    assert!(channel.ledger.contains_transaction("c").unwrap() && !channel.ledger.contains_transaction("d").unwrap());
    assert_eq!(channel.ledger.block_by_txid("b").unwrap().unwrap().header.unwrap().number, 1);
}

#[test]
fn an_envelope_that_is_none_gets_a_code_and_the_others_go_on() {
    let channel = TestChannel::new();
    let message = envelope(TestChannel::NAME, "m", HeaderType::Message, Bytes::new()).encode_to_vec();
    let garbage = envelope(TestChannel::NAME, "g", HeaderType::EndorserTransaction, "\x0a".into()).encode_to_vec();
    let empty = envelope(TestChannel::NAME, "e", HeaderType::EndorserTransaction, Bytes::new()).encode_to_vec();
    let results = endorser_transaction(TestChannel::NAME, "r", "\x0a".into());
    let data =
        vec![Bytes::from_static(b"\xff"), message.into(), garbage.into(), empty.into(), results, transaction("t")];
    let block = channel.next_block(data);
    let codes = channel.ledger.commit(block, &[Code::Valid; 6]).unwrap().codes;
    let other = Code::InvalidOtherReason;
    assert_eq!(codes, [other, Code::UnsupportedTxPayload, other, Code::NilTxaction, other, Code::Valid]);
}

#[test]
fn a_fault_of_the_store_is_an_error_and_halts_the_channel() {
    let mut channel = TestChannel::new();
    channel.put("cc", &[("k", "v")]);
    let mut simulator = channel.ledger.new_tx_simulator("tx").unwrap();
    simulator.get_state("cc", "k").unwrap();
    let results = simulator.results().unwrap().public;

    let damage = channel.ledger.database.begin_write().unwrap();
    damage.open_table(store::STATE).unwrap().insert(&b"cc\0k"[..], &b"short"[..]).unwrap();
    damage.commit().unwrap();
    channel.ledger.set_snapshot(Snapshot::open(&channel.ledger.database).unwrap());

    let block = channel.next_block(vec![endorser_transaction(TestChannel::NAME, "reads", results)]);
    let error = channel.ledger.commit(block, &[Code::Valid]).unwrap_err();
    assert!(matches!(error, LedgerError::Corrupted(_)), "{error}");
    let innocent = channel.next_block(vec![transaction("innocent")]);
    let halted = channel.ledger.commit(innocent, &[Code::Valid]).unwrap_err().to_string();
    assert!(halted.starts_with("channel testchannel is halted and takes no more blocks"), "{halted}");
    assert!(halted.contains("a state value of 5 bytes"), "{halted}");
    assert_eq!(channel.ledger.height().unwrap(), 2);
}

#[test]
fn a_commit_tells_its_subscribers_and_waits_for_no_reader() {
    let mut channel = TestChannel::new();
    let mut heights = channel.ledger.subscribe();
    let mut reader = channel.ledger.new_tx_simulator("reader").unwrap();
    let mut rows = reader.get_state_range("cc", "", "").unwrap();
    for height in 2..5 {
        channel.put("cc", &[("k", "v")]);
        assert!(heights.has_changed().unwrap());
        assert_eq!(*heights.borrow_and_update(), height);
    }
    assert_eq!(reader.next(&mut rows).unwrap(), None, "the reader is still at its height");
    assert_eq!(reader.height().unwrap(), 1);
}

#[test]
fn a_height_that_was_told_can_be_read() {
    const BLOCKS: u64 = 200;
    let mut channel = TestChannel::new();
    let ledger = std::sync::Arc::clone(&channel.ledger);
    let told = ledger.subscribe();
    let reader = std::thread::spawn(move || {
        let mut height = 1;
        while height <= BLOCKS {
            height = *told.borrow();
            assert!(ledger.height().unwrap() >= height, "block {} was told and is not there", height - 1);
        }
    });
    let heights = channel.ledger.subscribe();
    for _ in 0..BLOCKS - 1 {
        channel.put("cc", &[("k", "v")]);
    }
    let height = channel.ledger.height().unwrap();
    let block = channel.next_block(vec![transaction("last")]);
    channel.ledger.commit_with(block, &[Code::Valid], |_| assert_eq!(*heights.borrow(), height, "told early")).unwrap();
    reader.join().unwrap();
}

#[test]
fn a_simulator_works_in_the_middle_of_a_commit_and_sees_the_state_before_it() {
    let mut channel = TestChannel::new();
    channel.put("cc", &[("k", "old")]);
    let mut writer = channel.ledger.new_tx_simulator("writer").unwrap();
    writer.set_state("cc", "k", "new".into()).unwrap();
    let block =
        channel.next_block(vec![endorser_transaction(TestChannel::NAME, "w", writer.results().unwrap().public)]);
    let read = |ledger: &Ledger| {
        let mut simulator = ledger.new_tx_simulator("reader").unwrap();
        let mut rows = simulator.get_state_range("cc", "", "").unwrap();
        let row = simulator.next(&mut rows).unwrap().unwrap();
        (simulator.height().unwrap(), simulator.get_state("cc", "k").unwrap().unwrap(), row.value)
    };
    let ledger = std::sync::Arc::clone(&channel.ledger);
    // The disk has the block, the commit is not over, and whatever it locks is locked.
    let durable = |_: &[Code]| {
        let (done, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(read(&ledger)));
        let seen = seen.recv_timeout(Duration::from_secs(30)).expect("a simulator waits for no commit");
        assert_eq!(seen, (2, "old".into(), "old".into()));
    };
    channel.ledger.commit_with(block, &[Code::Valid], durable).unwrap();
    assert_eq!(read(&channel.ledger), (3, "new".into(), "new".into()));
}

/// As in Fabric: whoever signs something without an id uses up the id that its nonce makes.
#[test]
fn a_transaction_without_its_id_has_the_id_that_its_nonce_and_creator_make() {
    use selvedge_proto::common::{Envelope, Header, Payload, SignatureHeader};
    let channel = TestChannel::new();
    let signed = SignatureHeader { creator: "creator".into(), nonce: "nonce".into() }.encode_to_vec();
    let nameless = |signature_header: Bytes| {
        let bare = envelope(TestChannel::NAME, "", HeaderType::EndorserTransaction, Bytes::new());
        let Payload { header, data } = Payload::decode(bare.payload).unwrap();
        let header = Header { signature_header, ..header.unwrap() };
        Bytes::from(
            Envelope { payload: Payload { header: Some(header), data }.encode_to_vec().into(), ..Default::default() }
                .encode_to_vec(),
        )
    };
    let block = channel.next_block(vec![nameless(signed.into()), nameless("\x0a".into())]);
    channel.ledger.commit(block, &[Code::BadProposalTxid, Code::BadCommonHeader]).unwrap();
    let id = crate::endorser::hash::transaction_id(b"nonce", b"creator");
    assert!(channel.ledger.new_query_executor().contains_transaction(&id).unwrap());
    assert!(!channel.ledger.contains_transaction("").unwrap(), "a header that does not decode makes no id");
    let scratch = tempfile::tempdir().unwrap();
    let report = channel.ledger.verify(scratch.path(), |_| ()).unwrap();
    assert!(report.is_good(), "{report:?}");
}
