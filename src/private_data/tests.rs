//! The recorded network's organisations, and collections made for the tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::Envelope;
use selvedge_proto::protos::collection_policy_config::Payload;
use selvedge_proto::protos::{CollectionPolicyConfig, SignedProposal, StaticCollectionConfig};
use selvedge_proto::rwset::TxReadWriteSet;

use super::*;
use crate::chaincode::{Access, Collections as _, Permission};
use crate::channel::{Authenticator, Bundle, Channels};
use crate::client::{BlockPosition, create_chaincode_proposal, create_fetch_envelope};
use crate::ledger::private_testing::{CHAINCODE, PrivateChannel, collection};
use crate::ledger::{PrivateDataRules, SharedSimulator};
use crate::msp::{Msp, Signer, SigningIdentity};
use crate::ordering::PrivateDataAccess;
use crate::policies::parse;
use crate::testing::{GOLDEN_CHANNEL, Golden};
use selvedge_proto::orderer::seek_info::SeekErrorResponse;

fn channels() -> Arc<Channels> {
    let channels = Channels::default();
    channels.put(Bundle::from_config_block(&Golden::V1_4.block(0).unwrap()).unwrap()).unwrap();
    Arc::new(channels)
}

fn signer(folder: &str, mspid: &str) -> SigningIdentity {
    SigningIdentity::load(&Golden::V1_4.path(&format!("msp/{folder}")), mspid).unwrap()
}

fn store() -> CollectionStore {
    let local = Msp::load(&Golden::V1_4.path("msp/alpha-peer0"), "AlphaMSP").unwrap();
    CollectionStore::new(Arc::new(Authenticator::new(channels(), Arc::new(local))))
}

fn of(name: &str, policy: &str) -> StaticCollectionConfig {
    let payload = Some(Payload::SignaturePolicy(parse(policy).unwrap()));
    StaticCollectionConfig { member_orgs_policy: Some(CollectionPolicyConfig { payload }), ..collection(name, 0) }
}

fn proposal(signer: &SigningIdentity) -> SignedProposal {
    create_chaincode_proposal(GOLDEN_CHANNEL, CHAINCODE, vec![], BTreeMap::new(), signer).unwrap().signed
}

fn simulator(channel: &PrivateChannel) -> SharedSimulator {
    Arc::new(Mutex::new(channel.simulator()))
}

const ALPHA: &str = "OR('AlphaMSP.member')";

#[test]
fn only_a_collection_that_says_so_is_for_its_members_alone() {
    let both = StaticCollectionConfig { member_only_read: true, member_only_write: true, ..of("both", ALPHA) };
    let read = StaticCollectionConfig { member_only_read: true, ..of("read", ALPHA) };
    let channel = PrivateChannel::new(vec![both, read, of("open", ALPHA)]);
    let store = store();
    let ask = |who: &SigningIdentity, access, name| {
        store.permission(access, GOLDEN_CHANNEL, CHAINCODE, name, Some(&proposal(who)), &simulator(&channel)).unwrap()
    };
    let (alpha, beta) = (signer("alpha-user1", "AlphaMSP"), signer("beta-user1", "BetaMSP"));
    for (name, read, write) in [("both", false, false), ("read", false, true), ("open", true, true)] {
        let as_permission = |granted| if granted { Permission::Granted } else { Permission::Refused };
        assert_eq!(ask(&beta, Access::Read, name), as_permission(read), "reading {name}");
        assert_eq!(ask(&beta, Access::Write, name), as_permission(write), "writing {name}");
        assert_eq!(ask(&alpha, Access::Read, name), Permission::Granted, "a member reads {name}");
        assert_eq!(ask(&alpha, Access::Write, name), Permission::Granted, "a member writes {name}");
    }
    let revoked = signer("alpha-user2-revoked", "AlphaMSP");
    let forged = SignedProposal { signature: Bytes::from_static(b"none"), ..proposal(&alpha) };
    assert_eq!(ask(&revoked, Access::Read, "open"), Permission::Granted, "nobody is asked");
    let refused =
        store.permission(Access::Read, GOLDEN_CHANNEL, CHAINCODE, "both", Some(&forged), &simulator(&channel));
    assert_eq!(refused.unwrap(), Permission::Refused, "whose signature it is not");
}

#[test]
fn the_definition_stands_in_the_read_set_and_what_is_not_there_is_said_in_fabrics_words() {
    let channel = PrivateChannel::new(vec![of("a", ALPHA), collection("nobodys", 0)]);
    let store = store();
    let alpha = signer("alpha-user1", "AlphaMSP");
    let ask = |access, chaincode: &str, name: &str| {
        let simulator = simulator(&channel);
        let answer = store.permission(access, GOLDEN_CHANNEL, chaincode, name, Some(&proposal(&alpha)), &simulator);
        let results = simulator.lock().unwrap().results().unwrap().public;
        assert_eq!(TxReadWriteSet::decode(results).unwrap().ns_rwset[0].namespace, "lscc");
        answer.map_err(|denied| denied.0)
    };
    assert_eq!(ask(Access::Read, CHAINCODE, "a"), Ok(Permission::Granted));
    let unknown = Err("collection goldchan/cc/b could not be found".to_owned());
    assert_eq!(ask(Access::Read, CHAINCODE, "b"), unknown);
    assert_eq!(ask(Access::Read, "other", "b"), Err("collection goldchan/other/b could not be found".to_owned()));
    assert_eq!(ask(Access::Write, CHAINCODE, "b"), Ok(Permission::Granted), "the simulator refuses it");
    assert_eq!(ask(Access::Read, CHAINCODE, "nobodys"), Ok(Permission::Granted), "nobody asks who its members are");
}

#[test]
fn an_organisation_that_the_policy_names_is_a_member() {
    let beta = signer("beta-peer0", "BetaMSP");
    let membership = Membership::new(channels(), "BetaMSP", beta.serialize());
    let member = |policy: &str| membership.is_member(GOLDEN_CHANNEL, &of("c", policy));
    assert!(member("OR('AlphaMSP.member', 'BetaMSP.member')"));
    assert!(member("OR('BetaMSP.admin')"), "whatever the peer is in it");
    assert!(member("AND('AlphaMSP.member', 'BetaMSP.member')"), "alone it could not satisfy it");
    assert!(!member(ALPHA));
    assert!(!membership.is_member(GOLDEN_CHANNEL, &collection("c", 0)), "a collection without a policy is nobody's");
    assert!(!membership.is_member("elsewhere", &of("c", "OR('BetaMSP.member')")), "a channel that is not open");
    assert!(membership.keeps_data_of_invalid(GOLDEN_CHANNEL), "it has V1_4_2");
    assert!(!membership.keeps_data_of_invalid("elsewhere"));
}

#[test]
fn a_block_goes_with_the_private_data_of_collections_that_its_reader_may_read() {
    let members = StaticCollectionConfig { member_only_read: true, ..of("members", ALPHA) };
    let mut channel = PrivateChannel::new(vec![members.clone(), of("open", ALPHA)]);
    let both = channel.endorse("both", |simulator| {
        simulator.set_private_data(CHAINCODE, "members", "k", "v".into()).unwrap();
        simulator.set_private_data(CHAINCODE, "open", "k", "v".into()).unwrap();
    });
    channel.commit(vec![channel.put("members", "members", "l", "v"), both]);
    // Who may read was decided with the block.
    channel.upgrade(vec![of("members", ALPHA), StaticCollectionConfig { member_only_read: true, ..of("open", ALPHA) }]);

    let delivery = |msps_of: Arc<Channels>| PrivateDataDelivery::new(msps_of);
    let request = |who: &SigningIdentity| -> Envelope {
        let position = BlockPosition::Number(2);
        create_fetch_envelope(GOLDEN_CHANNEL, position, SeekErrorResponse::Strict, who, Bytes::new()).unwrap()
    };
    // The test's ledger has the name of another channel.
    let config = channels().get(GOLDEN_CHANNEL).unwrap().config().clone();
    let channels = Arc::new(Channels::default());
    channels.put(Bundle::from_config(channel.channel.ledger.channel_id(), &config).unwrap()).unwrap();
    let read = |delivery: &PrivateDataDelivery, who: &SigningIdentity| -> Vec<(u64, String)> {
        let data = delivery.readable(&channel.channel.ledger, 2, &request(who)).unwrap();
        let names = data.into_iter().flat_map(|(tx, set)| {
            let sets = set.ns_pvt_rwset.into_iter().flat_map(|namespace| namespace.collection_pvt_rwset);
            sets.map(move |set| (tx, set.collection_name)).collect::<Vec<_>>()
        });
        names.collect()
    };
    let (alpha, beta) = (signer("alpha-user1", "AlphaMSP"), signer("beta-user1", "BetaMSP"));
    let all = [(0, "members".to_owned()), (1, "members".to_owned()), (1, "open".to_owned())];
    assert_eq!(read(&delivery(Arc::clone(&channels)), &alpha), all);
    assert_eq!(read(&delivery(channels), &beta), all[2..]);
    assert_eq!(read(&delivery(Arc::default()), &alpha), all[2..], "on a channel that is not open nobody is a member");
}
