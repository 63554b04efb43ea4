//! Form, creator, id, and what an endorsed action has to hold.

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Envelope, Header, HeaderType, Payload};
use selvedge_proto::protos::{ChaincodeActionPayload, ChaincodeId, ProposalResponsePayload, TxValidationCode as Code};

use super::fixture::{ALPHA_USER, Channel, Memory, ORDERER, REVOKED, Read, Tx, private_set, set, write};
use crate::endorser::hash;
use crate::msp::Signer;

fn of_type(kind: HeaderType) -> Tx {
    Tx::of("kv").channel_header(move |header| header.r#type = kind as i32)
}

/// Each is faultless but for one thing.
fn faults() -> Vec<(&'static str, Tx, Code)> {
    use Code::*;
    let headers = |change: fn(&mut Header)| {
        Tx::of("kv").payload(move |payload| change(payload.header.as_mut().expect("a header")))
    };
    vec![
        ("nothing", Tx::of("kv").writing("kv", "k"), Valid),
        ("no header", Tx::of("kv").payload(|payload| payload.header = None), BadCommonHeader),
        ("bad channel header", headers(|header| header.channel_header = "\x0a".into()), BadCommonHeader),
        ("bad signature header", headers(|header| header.signature_header = "\x0a".into()), BadCommonHeader),
        ("type MESSAGE", of_type(HeaderType::Message), BadCommonHeader),
        ("an epoch", Tx::of("kv").channel_header(|header| header.epoch = 1), BadCommonHeader),
        ("no nonce", Tx::of("kv").signature_header(|header| header.nonce.clear()), BadCommonHeader),
        ("no creator", Tx::of("kv").signature_header(|header| header.creator.clear()), BadCommonHeader),
        (
            "creator nobody knows",
            Tx::of("kv").signature_header(|header| header.creator = "x".into()),
            BadCreatorSignature,
        ),
        ("revoked creator", Tx::of("kv").by(REVOKED), BadCreatorSignature),
        ("no signature", Tx::of("kv").envelope(|envelope| envelope.signature.clear()), BadCreatorSignature),
        ("type CONFIG_UPDATE", of_type(HeaderType::ConfigUpdate), UnsupportedTxPayload),
        ("type TOKEN_TRANSACTION", of_type(HeaderType::TokenTransaction), UnknownTxType),
        ("another id", Tx::of("kv").channel_header(|header| header.tx_id = "x".into()), BadProposalTxid),
        (
            "a token's other id",
            Tx::of("kv").channel_header(|header| {
                header.r#type = HeaderType::TokenTransaction as i32;
                header.tx_id.clear();
            }),
            BadProposalTxid,
        ),
        ("no actions", Tx::of("kv").transaction(|tx| tx.actions.clear()), InvalidEndorserTransaction),
        (
            "two actions",
            Tx::of("kv").transaction(|tx| tx.actions.push(tx.actions[0].clone())),
            InvalidEndorserTransaction,
        ),
        (
            "action without nonce",
            Tx::of("kv").transaction(|tx| tx.actions[0].header.clear()),
            InvalidEndorserTransaction,
        ),
        ("no endorsed part", Tx::of("kv").transaction(|tx| tx.actions[0].payload.clear()), InvalidEndorserTransaction),
        ("other proposal hash", Tx::of("kv").response(|prp| prp.proposal_hash.clear()), InvalidEndorserTransaction),
        ("no transaction", Tx::of("kv").payload(|payload| payload.data = "\x0a".into()), InvalidEndorserTransaction),
        ("other channel", Tx::of("kv").channel_header(|header| header.channel_id = "c".into()), TargetChainNotFound),
        ("bad extension", Tx::of("kv").channel_header(|header| header.extension = "\x0a".into()), BadHeaderExtension),
        ("bad action", Tx::of("kv").response(|prp| prp.extension = "\x0a".into()), BadResponsePayload),
        ("no action", Tx::of("kv").response(|prp| prp.extension.clear()), BadResponsePayload),
        ("bad results", Tx::of("kv").action(|action| action.results = "\x12\x05".into()), BadRwset),
        ("extension without name", Tx::of("kv").channel_header(|header| header.extension.clear()), InvalidOtherReason),
        (
            "action without name",
            Tx::of("kv").writing("kv", "k").action(|action| action.chaincode_id = None),
            InvalidOtherReason,
        ),
        ("other name", Tx::of("kv").action(|action| id(action).name = "kvand".into()), InvalidOtherReason),
        ("no version", Tx::of("kv").action(|action| id(action).version.clear()), InvalidOtherReason),
        ("event of another", Tx::of("kv").action(|action| action.events = "\x0a\x01x".into()), InvalidOtherReason),
        ("bad event", Tx::of("kv").action(|action| action.events = "\x0a".into()), InvalidOtherReason),
        ("own event", Tx::of("kv").action(|action| action.events = "\x0a\x02kv".into()), Valid),
        ("namespace twice", Tx::of("kv").writing("kv", "a").set(set("kv", &[], &[])), IllegalWriteset),
        ("writes to lscc", Tx::of("kv").writing("lscc", "kv"), IllegalWriteset),
        ("writes to cscc", Tx::of("kv").writing("cscc", "k"), IllegalWriteset),
        ("writes to vscc", Tx::of("kv").set(private_set("vscc", &[b"h"], &[])), IllegalWriteset),
        ("calls vscc", Tx::of("vscc"), IllegalWriteset),
        ("reads lscc", Tx::of("kv").set(set("lscc", &[], &[])), Valid),
    ]
}

fn id(action: &mut selvedge_proto::protos::ChaincodeAction) -> &mut ChaincodeId {
    action.chaincode_id.as_mut().expect("an id")
}

#[test]
fn each_fault_has_its_code() {
    let (channel, state) = (Channel::newest(), Memory::new());
    for (what, transaction, code) in faults() {
        assert_eq!(channel.judge(&state, &[transaction.make()]), [code], "{what}");
    }
}

#[test]
fn what_is_no_envelope_and_no_payload_is_told_apart() {
    let (channel, state) = (Channel::newest(), Memory::new());
    let bad_payload = Envelope { payload: "\x0a".into(), signature: Bytes::new() }.encode_to_vec();
    let data = vec![Bytes::from_static(b"\xff"), bad_payload.into(), Bytes::new()];
    let codes = channel.judge_bytes(&state, data, 1).expect("judged");
    assert_eq!(codes, [Code::InvalidOtherReason, Code::BadPayload, Code::BadCommonHeader]);
}

#[test]
fn an_id_on_the_ledger_comes_after_the_form_and_before_everything_else() {
    use Code::*;
    let channel = Channel::newest();
    let mut state = Memory::new();
    state.ids.insert(Tx::of("kv").txid());
    for (what, transaction, code) in faults() {
        // Another creator has another id, and so has no creator at all.
        let before = matches!(
            code,
            BadCommonHeader
                | BadCreatorSignature
                | UnsupportedTxPayload
                | UnknownTxType
                | BadProposalTxid
                | InvalidEndorserTransaction
                | TargetChainNotFound
        );
        let expected = if before { code } else { DuplicateTxid };
        assert_eq!(channel.judge(&state, &[transaction.make()]), [expected], "{what}");
    }
}

#[test]
fn in_a_block_an_id_belongs_to_the_first_valid_transaction() {
    use Code::*;
    let state = Memory::new();
    let valid = || Tx::of("kv").writing("kv", "k").make();
    let refused = Tx::of("kvand").writing("kvand", "k").make();
    let block = [refused, valid(), valid(), Tx::of("kv").nonce("other").make()];
    let codes = Channel::newest().judge(&state, &block);
    assert_eq!(codes, [EndorsementPolicyFailure, Valid, DuplicateTxid, Valid]);
    let codes = Channel::with(&[]).judge(&state, &block[1..]);
    assert_eq!(codes, [Valid; 3], "before V1_1 nobody minds");
}

/// As in Fabric, whose decoder takes a known field of another wire type for an unknown one: a number where there are bytes.
#[test]
fn a_field_of_another_wire_type_changes_no_verdict() {
    const MISFIT: &[u8] = &[0x08, 0x00];
    let Envelope { payload, .. } = Tx::of("kv").make();
    let payload = Bytes::from([MISFIT, &payload].concat());
    let signed = Envelope { signature: ALPHA_USER.key().sign(&payload).expect("signs"), payload };
    let envelope = Bytes::from([MISFIT, &signed.encode_to_vec()].concat());
    assert!(Envelope::decode(envelope.clone()).is_err(), "the usual decoder refuses it");
    let codes = Channel::newest().judge_bytes(&Memory::new(), vec![envelope], 1).expect("judged");
    assert_eq!(codes, [Code::Valid]);
}

/// Go tells a field that is there and empty from one that is not there.
#[test]
fn an_empty_event_is_an_event_of_nobody() {
    let transaction = Tx::of("kv").response(|prp| {
        prp.extension = Bytes::from([&prp.extension[..], &[0x12, 0]].concat());
    });
    let code = |capabilities| Channel::with(&[capabilities]).judge(&Memory::new(), &[transaction.make()]);
    assert_eq!(code("V1_4_2"), [Code::InvalidOtherReason]);
    assert_eq!(code("V1_1"), [Code::Valid], "events are looked at from V1_2 on");
}

#[test]
fn a_configuration_that_is_none_is_for_the_committer() {
    let (channel, state) = (Channel::newest(), Memory::new());
    let config = |data: &'static str| {
        let kind = |header: &mut selvedge_proto::common::ChannelHeader| header.r#type = HeaderType::Config as i32;
        let data = move |payload: &mut Payload| payload.data = data.into();
        Tx::of("kv").by(ORDERER).channel_header(kind).payload(data).make()
    };
    let codes = channel.judge(&state, &[config("\x0a\x00"), config("\x0a"), config("")]);
    assert_eq!(codes, [Code::Valid, Code::Valid, Code::InvalidConfigTransaction], "and none is a duplicate of another");
}

#[test]
fn a_fault_of_the_ledger_is_no_verdict() {
    let channel = Channel::newest();
    let good = || Tx::of("qscc").nonce("good").make();
    let transaction = Tx::of("kv").set(set("kv", &[write("k", b"v")], &[])).make();
    for damaged in [Read::Id, Read::Value, Read::Parameter] {
        let state = Memory { damaged: Some(damaged), ..Memory::new() };
        let bad_signature = Tx::of("kv").envelope(|envelope| envelope.signature.clear()).make();
        let fault = channel.try_judge(&state, &[bad_signature, transaction.clone(), good()], 1).expect_err("a fault");
        let text = fault.to_string();
        let expected =
            format!("transaction 1 of block 7 cannot be judged: the ledger's database is damaged: no {damaged:?};");
        assert!(text.starts_with(&expected), "{text}");
    }
}

/// As in Fabric: endorsers may endorse a proposal without a payload, and it may not be committed.
#[test]
fn an_action_without_a_proposal_payload_is_none() {
    let Envelope { payload, .. } = Tx::of("kv").make();
    let header = Payload::decode(payload).expect("a payload").header.expect("a header");
    let hash = hash::proposal_hash(&header.channel_header, &header.signature_header, b"");
    let without = |rest: &'static [u8]| {
        let of_nothing = move |prp: &mut ProposalResponsePayload| prp.proposal_hash = Bytes::copy_from_slice(&hash);
        let transaction = Tx::of("kv").response(of_nothing).transaction(move |transaction| {
            let action = &mut transaction.actions[0];
            let mut payload = ChaincodeActionPayload::decode(action.payload.clone()).expect("a payload");
            payload.chaincode_proposal_payload.clear();
            action.payload = [&payload.encode_to_vec(), rest].concat().into();
        });
        Channel::newest().judge(&Memory::new(), &[transaction.make()])
    };
    assert_eq!(without(&[]), [Code::InvalidEndorserTransaction]);
    assert_eq!(without(&[0x0a, 0]), [Code::Valid], "an empty one is there for Go");
}
