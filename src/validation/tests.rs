//! From proposal to transaction, and what each fault of a transaction is called.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Block, BlockData, Config, ConfigEnvelope, Envelope, HeaderType, Payload};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ProposalResponsePayload, Transaction, TxValidationCode,
};
use selvedge_proto::{kvrwset, rwset};

use super::TransactionValidator;
use crate::client::{create_signed_envelope, create_signed_tx};
use crate::endorser::Endorser;
use crate::endorser::fixture::{CHANNEL, MSPID, Network, Sccs};
use crate::msp::{Signer, SigningIdentity};
use crate::ordering::BlockValidator;

struct Bench {
    network: Network,
    peer: SigningIdentity,
    validator: TransactionValidator,
}

impl Bench {
    fn new() -> Self {
        let network = Network::new();
        let peer = SigningIdentity::load(&network.msp.peer, MSPID).expect("the peer's key");
        let validator = TransactionValidator::new(network.channels.clone(), Arc::new(Sccs));
        Self { network, peer, validator }
    }

    /// A transaction of a query of qscc; its results are empty.
    async fn transaction(&self) -> Envelope {
        let created = self.network.propose(CHANNEL, "qscc");
        let endorser = Endorser::new(self.network.parts.clone(), 1, None);
        let response = endorser.process(created.signed).await.expect("a response");
        create_signed_tx(&created.proposal, &self.network.user, &[response]).expect("a transaction")
    }

    /// The same with other results, endorsed and signed anew.
    async fn with_action(&self, change: impl FnOnce(&mut ChaincodeAction)) -> Envelope {
        let mut payload = Payload::decode(self.transaction().await.payload).expect("a payload");
        let mut transaction = Transaction::decode(payload.data).expect("a transaction");
        let mut body = ChaincodeActionPayload::decode(transaction.actions[0].payload.clone()).expect("an action");
        let endorsed = body.action.as_mut().expect("endorsed");
        let mut response =
            ProposalResponsePayload::decode(endorsed.proposal_response_payload.clone()).expect("a response");
        let mut action = ChaincodeAction::decode(response.extension).expect("an action");
        change(&mut action);
        response.extension = action.encode_to_vec().into();
        endorsed.proposal_response_payload = response.encode_to_vec().into();
        let endorsement = &mut endorsed.endorsements[0];
        let message = [&endorsed.proposal_response_payload[..], &endorsement.endorser].concat();
        endorsement.signature = self.peer.sign(&message).expect("signs");
        transaction.actions[0].payload = body.encode_to_vec().into();
        payload.data = transaction.encode_to_vec().into();
        let payload = Bytes::from(payload.encode_to_vec());
        Envelope { signature: self.network.user.sign(&payload).expect("signs"), payload }
    }

    fn judge(&self, envelopes: &[Envelope]) -> Vec<TxValidationCode> {
        let data = envelopes.iter().map(|envelope| envelope.encode_to_vec().into()).collect();
        self.validator.validate(CHANNEL, &Block { data: Some(BlockData { data }), ..Block::default() })
    }
}

fn writing(namespaces: &[&str]) -> Bytes {
    let write = kvrwset::KvWrite { key: "k".into(), value: Bytes::from_static(b"v"), is_delete: false };
    let set = Bytes::from(kvrwset::KvrwSet { writes: vec![write], ..Default::default() }.encode_to_vec());
    let namespace =
        |name: &&str| rwset::NsReadWriteSet { namespace: (*name).to_owned(), rwset: set.clone(), ..Default::default() };
    rwset::TxReadWriteSet { ns_rwset: namespaces.iter().map(namespace).collect(), ..Default::default() }
        .encode_to_vec()
        .into()
}

/// As in Fabric, whose decoder takes a known field of another wire type for an unknown one: a number where there are bytes.
#[tokio::test]
async fn a_field_of_another_wire_type_changes_no_verdict() {
    const MISFIT: &[u8] = &[0x08, 0x00];
    let bench = Bench::new();
    let Envelope { payload, .. } = bench.transaction().await;
    let payload = Bytes::from([MISFIT, &payload].concat());
    let signed = Envelope { signature: bench.network.user.sign(&payload).expect("signs"), payload };
    let envelope = Bytes::from([MISFIT, &signed.encode_to_vec()].concat());
    assert!(Envelope::decode(envelope.clone()).is_err(), "the usual decoder refuses it");
    let block = Block { data: Some(BlockData { data: vec![envelope] }), ..Block::default() };
    assert_eq!(bench.validator.validate(CHANNEL, &block), [TxValidationCode::Valid]);
}

#[tokio::test]
async fn an_endorsed_proposal_becomes_a_valid_transaction() {
    let bench = Bench::new();
    let mut transactions = Vec::new();
    for _ in 0..40 {
        transactions.push(bench.transaction().await);
    }
    // One bad one in the middle gets its own place although transactions are judged side by side.
    transactions[17].signature = Bytes::from_static(b"x");
    let codes = bench.judge(&transactions);
    for (index, code) in codes.into_iter().enumerate() {
        let expected = if index == 17 { TxValidationCode::BadCreatorSignature } else { TxValidationCode::Valid };
        assert_eq!(code, expected, "transaction {index}");
    }
}

#[tokio::test]
async fn results_are_judged_by_what_they_touch() {
    use TxValidationCode::{BadRwset, IllegalWriteset, InvalidOtherReason, Valid};
    let bench = Bench::new();
    let results = |results: Bytes| move |action: &mut ChaincodeAction| action.results = results;
    type Change = Box<dyn FnOnce(&mut ChaincodeAction)>;
    let cases: Vec<(Change, TxValidationCode)> = vec![
        (Box::new(results(writing(&["qscc", "kv"]))), Valid),
        (Box::new(results(writing(&["kv", "kv"]))), IllegalWriteset),
        (Box::new(results(writing(&["lscc"]))), IllegalWriteset),
        (Box::new(results(writing(&["vscc"]))), IllegalWriteset),
        (Box::new(results(Bytes::from_static(b"\xff"))), BadRwset),
        (Box::new(|action| action.chaincode_id = None), InvalidOtherReason),
        (Box::new(|action| action.chaincode_id.as_mut().expect("an id").version.clear()), InvalidOtherReason),
        (Box::new(|action| action.chaincode_id.as_mut().expect("an id").name = "kv".into()), InvalidOtherReason),
        (Box::new(|action| action.events = Bytes::from_static(b"\x0a\x02kv")), InvalidOtherReason),
    ];
    for (index, (change, code)) in cases.into_iter().enumerate() {
        let transaction = bench.with_action(change).await;
        assert_eq!(bench.judge(&[transaction]), [code], "case {index}");
    }
}

#[tokio::test]
async fn a_channel_that_was_not_joined_has_no_valid_transactions() {
    let bench = Bench::new();
    let data = vec![bench.transaction().await.encode_to_vec().into()];
    let block = Block { data: Some(BlockData { data }), ..Block::default() };
    assert_eq!(bench.validator.validate("elsewhere", &block), [TxValidationCode::TargetChainNotFound]);
}

#[test]
fn a_configuration_that_is_none_is_for_the_committer() {
    let bench = Bench::new();
    let of = |data: &ConfigEnvelope| create_signed_envelope(HeaderType::Config, CHANNEL, data, &bench.peer);
    let config = Config { sequence: 1, channel_group: None };
    let whole = of(&ConfigEnvelope { config: Some(config), last_update: None }).expect("signed");
    let mut payload = Payload::decode(whole.payload.clone()).expect("a payload");
    payload.data = payload.data.slice(..payload.data.len() - 1);
    let payload = Bytes::from(payload.encode_to_vec());
    let broken = Envelope { signature: bench.peer.sign(&payload).expect("signs"), payload };
    let nothing = of(&ConfigEnvelope::default()).expect("signed");
    let expected = [TxValidationCode::Valid, TxValidationCode::Valid, TxValidationCode::InvalidConfigTransaction];
    assert_eq!(bench.judge(&[whole, broken, nothing]), expected);
}
