use std::sync::Arc;

use selvedge_proto::protos::{ChaincodeAction, ProposalResponsePayload, StaticCollectionConfig};
use selvedge_proto::protos::{ChaincodeData, ChaincodeInput, ProposalResponse, Response};
use selvedge_proto::rwset::TxReadWriteSet;

use super::super::fixture::{CHANNEL, Network};
use super::super::{ChaincodeExecutor, Endorser, EndorserParts};
use super::*;
use crate::chaincode::{Executed, TransactionParams};
use crate::container::Ccid;
use crate::ledger::private_testing::{CHAINCODE, collection, package};
use crate::testing::{Played, chaincode_package, define};

/// A chaincode that writes to a collection of `cc` and answers with this status.
fn writes(collection: &'static str, status: i32) -> Arc<dyn ChaincodeExecutor> {
    Arc::new(Played(move |params: &TransactionParams, _: &Ccid, _: ChaincodeInput| {
        let mut simulator = params.simulator.as_ref().expect("a channel").lock().expect("nobody died");
        simulator.set_private_data(CHAINCODE, collection, "k", "secret".into()).expect("a collection");
        Executed { response: Response { status, ..Response::default() }, event: None }
    }))
}

/// `cc` with a collection for this peer alone and one that another peer must have too.
fn network() -> Network {
    let network = Network::new();
    network.packages.put(&chaincode_package(CHAINCODE, "1", &[]).expect("a package")).expect("stored");
    let ledger = network.parts.ledgers.ledger(CHANNEL).expect("a ledger");
    let data = ChaincodeData { name: CHAINCODE.into(), version: "1".into(), ..ChaincodeData::default() };
    let copied = StaticCollectionConfig { required_peer_count: 1, ..collection("copied", 0) };
    let collections = package(vec![collection("own", 0), copied]);
    let key = collections_key(CHAINCODE);
    let entries = [(CHAINCODE, data.encode_to_vec().into()), (&*key, collections.encode_to_vec().into())];
    define(&ledger, entries).expect("committed");
    network
}

/// The answer to a call of `chaincode`, and what the transient store has of it.
async fn propose(
    network: &Network,
    chaincode: &str,
    executor: Arc<dyn ChaincodeExecutor>,
) -> (String, ProposalResponse, Vec<TxPvtReadWriteSetWithConfigInfo>) {
    let proposal = network.propose(CHANNEL, chaincode);
    let parts = EndorserParts { executor, ..network.parts.clone() };
    let answer = Endorser::new(parts, 1, None).process(proposal.signed).await.expect("an answer");
    let kept = network.transient.private_data(CHANNEL, &proposal.txid).expect("the store");
    (proposal.txid, answer, kept)
}

#[tokio::test]
async fn an_endorsement_says_hashes_and_leaves_the_data_with_its_collection() {
    let network = network();
    let (_, answer, kept) = propose(&network, CHAINCODE, writes("own", 200)).await;
    assert!(answer.endorsement.is_some());
    let payload = ProposalResponsePayload::decode(answer.payload.clone()).expect("a payload");
    assert!(!answer.payload.windows(6).any(|window| window == b"secret"), "the value is in no answer");
    let action = ChaincodeAction::decode(payload.extension).expect("an action");
    let public = TxReadWriteSet::decode(action.results).expect("a set");
    assert_eq!(public.ns_rwset[0].collection_hashed_rwset[0].collection_name, "own");
    assert_eq!(public.ns_rwset[1].rwset.windows(3).filter(|window| window == b"cc~").count(), 1);

    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(kept.endorsed_at, 2);
    let set = &kept.pvt_rwset.as_ref().expect("a set").ns_pvt_rwset[0].collection_pvt_rwset[0];
    assert!(set.rwset.windows(6).any(|window| window == b"secret"));
    assert_eq!(
        kept.collection_configs[CHAINCODE],
        package(vec![collection("own", 0)]),
        "not those it did not write to"
    );
}

#[tokio::test]
async fn a_collection_that_other_peers_must_have_cannot_be_written_without_them() {
    let network = network();
    let (txid, answer, kept) = propose(&network, CHAINCODE, writes("copied", 200)).await;
    let response = answer.response.expect("a response");
    let text = format!(
        "failed to distribute private collection, txID {txid}, channel %smychannel: could not build private data \
         dissemination plan for chaincode cc and collection copied: required to disseminate to at least 1 peers, but know \
         of only 0 eligible peers"
    );
    assert_eq!((response.status, response.message), (500, text));
    assert!(answer.endorsement.is_none() && answer.payload.is_empty() && kept.is_empty());
}

#[tokio::test]
async fn what_cannot_be_committed_is_not_kept() {
    let network = network();
    for status in [400, 500] {
        let (_, answer, kept) = propose(&network, CHAINCODE, writes("own", status)).await;
        assert_eq!(answer.response.map(|response| response.status), Some(status));
        assert!(answer.endorsement.is_none() && kept.is_empty(), "{status}");
    }
    let (_, answer, kept) = propose(&network, LSCC, writes("own", 200)).await;
    let response = answer.response.expect("a response");
    assert_eq!((response.status, &*response.message), (500, "Private data is forbidden to be used in instantiate"));
    assert!(kept.is_empty());
}

#[test]
fn a_chaincode_without_collections_is_told_so() {
    let network = Network::new();
    network.packages.put(&chaincode_package(CHAINCODE, "1", &[]).expect("a package")).expect("stored");
    let ledger = network.parts.ledgers.ledger(CHANNEL).expect("a ledger");
    let mut simulator = ledger.new_tx_simulator("t").expect("a simulator");
    simulator.results().expect("results");
    let simulator = SharedSimulator::new(simulator.into());
    let private = TxPvtReadWriteSet {
        ns_pvt_rwset: vec![NsPvtReadWriteSet { namespace: "bare".into(), ..NsPvtReadWriteSet::default() }],
        ..TxPvtReadWriteSet::default()
    };
    let refused = assemble(private, &simulator).expect_err("it has none");
    assert_eq!(refused.to_string(), "failed to obtain collections config: no collection config for chaincode \"bare\"");
}
