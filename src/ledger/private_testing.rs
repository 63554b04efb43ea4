//! A channel with a chaincode that has collections, for unit tests: endorsed through the transient store, committed in real
//! blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::{CollectionConfig, CollectionConfigPackage, StaticCollectionConfig, TxValidationCode};
use selvedge_proto::transientstore::TxPvtReadWriteSetWithConfigInfo;

use super::collections::{LSCC, collections_key};
use super::testing::{TestChannel, endorser_transaction};
use super::{CommittedBlock, PrivateDataRules, PrivateDataSupport, TransientStore, TxSimulator};

pub(crate) const CHAINCODE: &str = "cc";
/// Blocks that the channel's transient store keeps what is not committed.
pub(crate) const RETENTION: u64 = 4;

/// Chaincode `cc` is defined in block 1.
pub(crate) struct PrivateChannel {
    pub(crate) channel: TestChannel,
    pub(crate) transient: Arc<TransientStore>,
    pub(crate) rules: Arc<Rules>,
    _dir: tempfile::TempDir,
}

/// What a test says about the peer.
pub(crate) struct Rules {
    pub(crate) member: AtomicBool,
    pub(crate) keeps_invalid: AtomicBool,
}

impl PrivateDataRules for Rules {
    fn is_member(&self, _: &str, _: &StaticCollectionConfig) -> bool {
        self.member.load(Ordering::SeqCst)
    }

    fn keeps_data_of_invalid(&self, _: &str) -> bool {
        self.keeps_invalid.load(Ordering::SeqCst)
    }
}

/// A collection whose data lives for so many blocks.
pub(crate) fn collection(name: &str, block_to_live: u64) -> StaticCollectionConfig {
    StaticCollectionConfig { name: name.to_owned(), block_to_live, ..StaticCollectionConfig::default() }
}

/// What lscc keeps of these collections.
pub(crate) fn package(collections: Vec<StaticCollectionConfig>) -> CollectionConfigPackage {
    let config = collections
        .into_iter()
        .map(|config| CollectionConfig { payload: Some(Payload::StaticCollectionConfig(config)) })
        .collect();
    CollectionConfigPackage { config }
}

impl PrivateChannel {
    pub(crate) fn new(collections: Vec<StaticCollectionConfig>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let transient = Arc::new(TransientStore::open(dir.path()).unwrap());
        let rules = Arc::new(Rules { member: true.into(), keeps_invalid: true.into() });
        let mut channel = TestChannel::new();
        channel.provider.keep_private_data(PrivateDataSupport {
            transient: Arc::clone(&transient),
            rules: Arc::clone(&rules) as Arc<dyn PrivateDataRules>,
            retention: RETENTION,
        });
        Self::deploy(&mut channel, collections);
        Self { channel, transient, rules, _dir: dir }
    }

    fn deploy(channel: &mut TestChannel, collections: Vec<StaticCollectionConfig>) {
        let mut simulator = channel.ledger.new_tx_simulator("deploy").unwrap();
        simulator.set_state(LSCC, CHAINCODE, "a definition".into()).unwrap();
        let package = package(collections).encode_to_vec().into();
        simulator.set_state(LSCC, &collections_key(CHAINCODE), package).unwrap();
        let committed = channel.commit_results(&[simulator.results().unwrap().public]);
        assert_eq!(committed.codes, [TxValidationCode::Valid]);
    }

    /// Deploys other collections, in a block of their own.
    pub(crate) fn upgrade(&mut self, collections: Vec<StaticCollectionConfig>) {
        Self::deploy(&mut self.channel, collections);
    }

    pub(crate) fn simulator(&self) -> TxSimulator {
        self.channel.ledger.new_tx_simulator("simulated").unwrap()
    }

    /// Endorses: the private half goes to the transient store. Returns the envelope.
    pub(crate) fn endorse(&self, txid: &str, simulate: impl FnOnce(&mut TxSimulator)) -> Bytes {
        let mut simulator = self.simulator();
        simulate(&mut simulator);
        let height = simulator.height().unwrap();
        let results = simulator.results().unwrap();
        let private = TxPvtReadWriteSetWithConfigInfo { pvt_rwset: results.private, ..Default::default() };
        if private.pvt_rwset.is_some() {
            self.transient.persist(TestChannel::NAME, txid, height, &private).unwrap();
        }
        endorser_transaction(TestChannel::NAME, txid, results.public)
    }

    /// The same for one write.
    pub(crate) fn put(&self, txid: &str, collection: &str, key: &str, value: &str) -> Bytes {
        let value = Bytes::copy_from_slice(value.as_bytes());
        self.endorse(txid, |simulator| simulator.set_private_data(CHAINCODE, collection, key, value).unwrap())
    }

    /// Commits a block of transactions that passed validation.
    pub(crate) fn commit(&self, envelopes: Vec<Bytes>) -> CommittedBlock {
        let codes = vec![TxValidationCode::Valid; envelopes.len()];
        self.channel.ledger.commit(self.channel.next_block(envelopes), &codes).unwrap()
    }

    /// What a chaincode of the next transaction reads; the error's text if it is refused.
    pub(crate) fn get(&self, collection: &str, key: &str) -> Result<Option<String>, String> {
        let found = self.simulator().get_private_data(CHAINCODE, collection, key);
        let text = |value: Bytes| String::from_utf8(value.to_vec()).unwrap();
        found.map(|found| found.map(text)).map_err(|error| error.to_string())
    }

    /// Whether everybody's state has a hash of the key's value.
    pub(crate) fn has_hash(&self, collection: &str, key: &str) -> bool {
        self.simulator().get_private_data_hash(CHAINCODE, collection, key).unwrap().is_some()
    }
}
