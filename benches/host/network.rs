//! A channel of two organisations, and chains of blocks for it that are made in advance: signed, endorsed, and with the
//! versions in their read sets that the state has when their turn comes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use selvedge::chaincode::SystemChaincodes;
use selvedge::channel::genesis::{OrderingSettings, development_block};
use selvedge::channel::{Bundle, Channels};
use selvedge::client::{create_chaincode_proposal, create_signed_tx};
use selvedge::committer::Committer;
use selvedge::endorser::hash::{payload_without_transient, proposal_hash};
use selvedge::ledger::{Ledger, LedgerProvider, block};
use selvedge::msp::development::{self, DevelopmentMsp};
use selvedge::msp::{Signer, SigningIdentity, folder};
use selvedge::validation::TransactionValidator;
use selvedge_proto::common::signature_policy::{NOutOf, Type};
use selvedge_proto::common::{
    Block, ConfigEnvelope, ConfigGroup, Envelope, Header, MspPrincipal, MspRole, Payload, SignaturePolicy,
    SignaturePolicyEnvelope,
};
use selvedge_proto::kvrwset::{KvRead, KvWrite, KvrwSet, Version};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeData, ChaincodeId, ChaincodeProposalPayload, Endorsement, Proposal, ProposalResponse,
    ProposalResponsePayload, Response, TxValidationCode,
};
use selvedge_proto::rwset::{NsReadWriteSet, TxReadWriteSet};

pub(crate) const CHANNEL: &str = "mychannel";
pub(crate) const CHAINCODE: &str = "asset";
const CHAINCODE_VERSION: &str = "1.0";
const MSPIDS: [&str; 2] = ["Org1MSP", "Org2MSP"];
/// Keys of the chaincode before the first transaction.
pub(crate) const KEYS: usize = 20_000;
/// Keys that a transaction reads and then writes.
const KEYS_EACH: usize = 2;
const VALUE: [u8; 200] = [b'v'; 200];

/// The organisations and the channel's first block.
pub(crate) struct Network {
    user: SigningIdentity,
    peers: [SigningIdentity; 2],
    genesis: Block,
    _folder: tempfile::TempDir,
}

/// A peer of the channel, with a ledger of its own.
pub(crate) struct Peer {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) validator: Arc<TransactionValidator>,
    pub(crate) committer: Committer,
}

impl Network {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let make = |mspid: &str| anyhow::Ok(development::ensure(&folder.path().join(mspid), mspid)?);
        let organisations = [make(MSPIDS[0])?, make(MSPIDS[1])?];
        let peer = |index: usize| SigningIdentity::load(&organisations[index].peer, MSPIDS[index]);
        Ok(Self {
            user: SigningIdentity::load(&organisations[0].user, MSPIDS[0])?,
            peers: [peer(0)?, peer(1)?],
            genesis: genesis(&organisations)?,
            _folder: folder,
        })
    }

    /// Joins the channel in a new folder.
    pub(crate) fn peer(&self, folder: &Path) -> anyhow::Result<Peer> {
        self.peer_of(LedgerProvider::open(folder)?.create(CHANNEL, &self.genesis)?)
    }

    /// Starts the peer again.
    pub(crate) fn open(&self, folder: &Path) -> anyhow::Result<Peer> {
        self.peer_of(LedgerProvider::open(folder)?.get(CHANNEL).context("the channel was joined")?)
    }

    fn peer_of(&self, ledger: Arc<Ledger>) -> anyhow::Result<Peer> {
        let channels = Arc::new(Channels::default());
        channels.put(Bundle::from_config_block(&self.genesis)?)?;
        let validator = Arc::new(TransactionValidator::new(Arc::clone(&channels), Arc::new(Sccs)));
        let committer = Committer::new(Arc::clone(&ledger), Arc::clone(&channels), validator.clone());
        Ok(Peer { ledger, channels, validator, committer })
    }

    /// A chain from block 1 on, whose transactions have so many endorsements; the policy asks for all of them.
    pub(crate) fn chain(&self, endorsements: usize) -> Chain<'_> {
        let previous = self.genesis.header.as_ref().map(block::header_hash).unwrap_or_default();
        Chain {
            network: self,
            endorsements,
            number: 1,
            previous: previous.to_vec().into(),
            written: Vec::new(),
            seed: 1,
        }
    }

    fn transaction(&self, results: Bytes, endorsements: usize) -> anyhow::Result<Envelope> {
        let args = ["transfer", "from", "to", "100"].map(Bytes::from).to_vec();
        let made = create_chaincode_proposal(CHANNEL, CHAINCODE, args, BTreeMap::new(), &self.user)?;
        let proposal = Proposal::decode(made.proposal.clone())?;
        let header = Header::decode(proposal.header)?;
        let input = ChaincodeProposalPayload::decode(proposal.payload)?.input;
        let response = Response { status: 200, ..Response::default() };
        let action = ChaincodeAction {
            results,
            response: Some(response.clone()),
            chaincode_id: Some(ChaincodeId {
                name: CHAINCODE.into(),
                version: CHAINCODE_VERSION.into(),
                path: String::new(),
            }),
            events: Bytes::new(),
        };
        let hash = proposal_hash(&header.channel_header, &header.signature_header, &payload_without_transient(&input));
        let payload =
            ProposalResponsePayload { proposal_hash: hash.to_vec().into(), extension: action.encode_to_vec().into() };
        let payload = Bytes::from(payload.encode_to_vec());
        let responses = self.peers[..endorsements].iter().map(|peer| {
            let endorser = peer.serialize();
            let signature = peer.sign(&[&payload[..], &endorser].concat())?;
            Ok(ProposalResponse {
                version: 1,
                response: Some(response.clone()),
                payload: payload.clone(),
                endorsement: Some(Endorsement { endorser, signature }),
                ..ProposalResponse::default()
            })
        });
        let responses = responses.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(create_signed_tx(&made.proposal, &self.user, &responses)?)
    }
}

impl Peer {
    /// Commits a chain's first block, which no validator would let pass.
    pub(crate) fn fill(&self, block: Block) -> anyhow::Result<()> {
        let codes = self.ledger.commit(block, &[TxValidationCode::Valid])?.codes;
        anyhow::ensure!(codes == [TxValidationCode::Valid], "the first block is {codes:?}");
        Ok(())
    }
}

/// Makes one block after the other.
pub(crate) struct Chain<'a> {
    network: &'a Network,
    endorsements: usize,
    number: u64,
    previous: Bytes,
    /// The place of each key's last write.
    written: Vec<Version>,
    seed: u64,
}

impl Chain<'_> {
    /// The first block: it defines the chaincode and writes all keys.
    pub(crate) fn fill(&mut self) -> anyhow::Result<Block> {
        self.written = vec![Version { block_num: self.number, tx_num: 0 }; KEYS];
        let definition = ChaincodeData {
            name: CHAINCODE.into(),
            version: CHAINCODE_VERSION.into(),
            escc: "escc".into(),
            vscc: "vscc".into(),
            policy: all_of(&MSPIDS[..self.endorsements]).encode_to_vec().into(),
            ..ChaincodeData::default()
        };
        let lscc = vec![write(CHAINCODE.into(), definition.encode_to_vec())];
        let keys = (0..KEYS).map(|number| write(key(number), VALUE.to_vec())).collect();
        let results = rwset([
            (CHAINCODE, KvrwSet { writes: keys, ..KvrwSet::default() }),
            ("lscc", KvrwSet { writes: lscc, ..KvrwSet::default() }),
        ]);
        let transaction = self.network.transaction(results, self.endorsements)?;
        Ok(self.block(vec![transaction.encode_to_vec().into()]))
    }

    /// A block of so many transactions, each of which reads the definition, and reads and writes two keys that no other of
    /// the block touches.
    pub(crate) fn next(&mut self, transactions: usize) -> anyhow::Result<Block> {
        anyhow::ensure!(transactions * KEYS_EACH <= KEYS, "the transactions of a block have to have keys of their own");
        let start = self.random();
        // A step that is prime to the number of keys: no key comes twice.
        let place = |index: usize| (start + index * 7_919) % KEYS;
        let mut data = Vec::with_capacity(transactions);
        for tx in 0..transactions {
            let keys = [place(tx * KEYS_EACH), place(tx * KEYS_EACH + 1)];
            data.push(self.network.transaction(self.transfer(keys), self.endorsements)?.encode_to_vec().into());
            for key in keys {
                self.written[key] = Version { block_num: self.number, tx_num: tx as u64 };
            }
        }
        Ok(self.block(data))
    }

    /// So many blocks.
    pub(crate) fn blocks(&mut self, count: usize, transactions: usize) -> anyhow::Result<Vec<Block>> {
        (0..count).map(|_| self.next(transactions)).collect()
    }

    fn transfer(&self, keys: [usize; KEYS_EACH]) -> Bytes {
        let mut keys = keys.map(|number| (key(number), self.written[number]));
        keys.sort_by(|(left, _), (right, _)| left.cmp(right));
        let definition = KvRead { key: CHAINCODE.into(), version: Some(Version { block_num: 1, tx_num: 0 }) };
        let reads = keys.iter().map(|(key, version)| KvRead { key: key.clone(), version: Some(*version) }).collect();
        let writes = keys.into_iter().map(|(key, _)| write(key, VALUE.to_vec())).collect();
        rwset([
            (CHAINCODE, KvrwSet { reads, writes, ..KvrwSet::default() }),
            ("lscc", KvrwSet { reads: vec![definition], ..KvrwSet::default() }),
        ])
    }

    fn block(&mut self, data: Vec<Bytes>) -> Block {
        let block = block::new_block(self.number, self.previous.clone(), data);
        self.number += 1;
        self.previous = block.header.as_ref().map(block::header_hash).unwrap_or_default().to_vec().into();
        block
    }

    /// The same sequence in each run.
    fn random(&mut self) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize
    }
}

pub(crate) fn key(number: usize) -> String {
    format!("asset-{number:08}")
}

fn write(key: String, value: Vec<u8>) -> KvWrite {
    KvWrite { key, is_delete: false, value: value.into() }
}

fn rwset<const N: usize>(namespaces: [(&str, KvrwSet); N]) -> Bytes {
    let namespaces = namespaces.map(|(namespace, set)| NsReadWriteSet {
        namespace: namespace.into(),
        rwset: set.encode_to_vec().into(),
        ..NsReadWriteSet::default()
    });
    TxReadWriteSet { ns_rwset: namespaces.to_vec(), ..TxReadWriteSet::default() }.encode_to_vec().into()
}

fn all_of(mspids: &[&str]) -> SignaturePolicyEnvelope {
    let rule = |rule| SignaturePolicy { r#type: Some(rule) };
    let rules = (0..mspids.len()).map(|index| rule(Type::SignedBy(index as i32))).collect();
    let member = |mspid: &&str| MspPrincipal {
        principal: MspRole { msp_identifier: (*mspid).into(), role: 0 }.encode_to_vec().into(),
        ..MspPrincipal::default()
    };
    SignaturePolicyEnvelope {
        version: 0,
        rule: Some(rule(Type::NOutOf(NOutOf { n: mspids.len() as i32, rules }))),
        identities: mspids.iter().map(member).collect(),
    }
}

/// Block 0 of the first organisation's channel, with the second one in it.
fn genesis(organisations: &[DevelopmentMsp; 2]) -> anyhow::Result<Block> {
    let block = |organisation: &DevelopmentMsp| {
        let ordering = OrderingSettings {
            addresses: Vec::new(),
            max_message_count: 500,
            absolute_max_bytes: 10 << 20,
            preferred_max_bytes: 2 << 20,
            batch_timeout: Duration::from_secs(2),
        };
        let config = folder::verifying_config(&organisation.organisation, &organisation.mspid)?;
        anyhow::Ok(development_block(CHANNEL, &config, &ordering)?)
    };
    let second = application(&mut configuration(&block(&organisations[1])?)?.1)?.groups.clone();
    let (mut payload, mut config) = configuration(&block(&organisations[0])?)?;
    application(&mut config)?.groups.extend(second);
    payload.data = config.encode_to_vec().into();
    let envelope = Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() };
    Ok(block::new_block(0, Bytes::new(), vec![envelope.encode_to_vec().into()]))
}

fn configuration(block: &Block) -> anyhow::Result<(Payload, ConfigEnvelope)> {
    let envelope = block.data.as_ref().and_then(|data| data.data.first()).context("a block without a transaction")?;
    let payload = Payload::decode(Envelope::decode(envelope.clone())?.payload)?;
    let config = ConfigEnvelope::decode(payload.data.clone())?;
    Ok((payload, config))
}

fn application(config: &mut ConfigEnvelope) -> anyhow::Result<&mut ConfigGroup> {
    let root = config.config.as_mut().and_then(|config| config.channel_group.as_mut());
    root.and_then(|root| root.groups.get_mut("Application")).context("a configuration without Application")
}

/// The names that a peer of Fabric knows.
struct Sccs;

impl SystemChaincodes for Sccs {
    fn is_sys_cc(&self, name: &str) -> bool {
        matches!(name, "lscc" | "cscc" | "qscc" | "escc" | "vscc")
    }

    fn is_sys_cc_and_not_invokable_external(&self, name: &str) -> bool {
        matches!(name, "escc" | "vscc")
    }

    fn is_sys_cc_and_not_invokable_cc2cc(&self, name: &str) -> bool {
        matches!(name, "escc" | "vscc" | "cscc")
    }

    fn version(&self) -> &str {
        "1.4.12"
    }
}
