//! The recorded channel with real keys of its organisations, a state in memory, and transactions to be spoilt.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    Block, BlockData, BlockHeader, Capabilities, Capability, ChannelHeader, Config, ConfigValue, Envelope, Header,
    HeaderType, Payload, SignatureHeader,
};
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeData, ChaincodeDeploymentSpec, ChaincodeEndorsedAction,
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec, Endorsement, ProposalResponsePayload, Transaction, TransactionAction, TxValidationCode,
};
use selvedge_proto::{kvrwset, rwset};

use crate::channel::Bundle;
use crate::endorser::hash;
use crate::ledger::LedgerError;
use crate::msp::{Signer, SigningIdentity};
use crate::policies::parse;
use crate::testing::{GOLDEN_CHANNEL, Golden, GoldenSccs};
use crate::validation::ValidationError;
use crate::validation::block::judge_block;
use crate::validation::state::{Key, State};
use crate::validation::transaction::Rules;

pub(super) const CHANNEL: &str = GOLDEN_CHANNEL;

/// Somebody of the recorded channel: a folder of its MSPs and the MSP's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who(&'static str, &'static str);

pub(super) const ALPHA: Who = Who("alpha-peer0", "AlphaMSP");
pub(super) const BETA: Who = Who("beta-peer0", "BetaMSP");
pub(super) const ALPHA_USER: Who = Who("alpha-user1", "AlphaMSP");
pub(super) const BETA_USER: Who = Who("beta-user1", "BetaMSP");
pub(super) const ALPHA_ADMIN: Who = Who("alpha-admin", "AlphaMSP");
pub(super) const BETA_ADMIN: Who = Who("beta-admin", "BetaMSP");
pub(super) const REVOKED: Who = Who("alpha-user2-revoked", "AlphaMSP");
pub(super) const ORDERER: Who = Who("orderer0", "OrdererMSP");

impl Who {
    /// Read once: a property test makes thousands of signatures.
    pub(super) fn key(self) -> Arc<SigningIdentity> {
        static KEYS: Mutex<BTreeMap<&str, Arc<SigningIdentity>>> = Mutex::new(BTreeMap::new());
        let load = || SigningIdentity::load(&Golden::V1_4.path("msp").join(self.0), self.1).expect("a key");
        let mut keys = KEYS.lock().expect("nobody panics with it");
        Arc::clone(keys.entry(self.0).or_insert_with(|| Arc::new(load())))
    }
}

/// A marshalled policy in the language of the command line.
pub(super) fn policy(text: &str) -> Bytes {
    parse(text).expect("a policy").encode_to_vec().into()
}

/// The state before a block.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) values: HashMap<(String, String), Bytes>,
    pub(super) parameters: HashMap<(String, String, Vec<u8>), Bytes>,
    pub(super) ids: HashSet<String>,
    /// What cannot be read.
    pub(super) damaged: Option<Read>,
    pub(super) values_read: Cell<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Id,
    Value,
    Parameter,
}

impl Memory {
    /// kv may be endorsed by any member, kvand by a member of Alpha, which does not tell its members apart, and a peer of
    /// Beta; version 1.
    pub(super) fn new() -> Self {
        let mut memory = Self::default();
        memory.define("kv", "OR('AlphaMSP.member','BetaMSP.member')");
        memory.define("kvand", "AND('AlphaMSP.member','BetaMSP.peer')");
        memory
    }

    pub(super) fn define(&mut self, name: &str, endorsement: &str) {
        self.put("lscc", name, definition(name, "1", endorsement).encode_to_vec().into());
    }

    pub(super) fn put(&mut self, namespace: &str, key: &str, value: Bytes) {
        self.values.insert((namespace.into(), key.into()), value);
    }

    pub(super) fn protect(&mut self, namespace: &str, collection: &str, key: &[u8], parameter: Bytes) {
        self.parameters.insert((namespace.into(), collection.into(), key.to_vec()), parameter);
    }

    fn read(&self, what: Read) -> Result<(), LedgerError> {
        if self.damaged == Some(what) { Err(LedgerError::Corrupted(format!("no {what:?}"))) } else { Ok(()) }
    }
}

pub(super) fn definition(name: &str, version: &str, endorsement: &str) -> ChaincodeData {
    ChaincodeData {
        name: name.into(),
        version: version.into(),
        escc: "escc".into(),
        vscc: "vscc".into(),
        policy: policy(endorsement),
        instantiation_policy: policy("OR('AlphaMSP.admin','BetaMSP.admin')"),
        ..ChaincodeData::default()
    }
}

impl State for Memory {
    fn contains_transaction(&self, txid: &str) -> Result<bool, LedgerError> {
        self.read(Read::Id)?;
        Ok(self.ids.contains(txid))
    }

    fn value(&self, namespace: &str, key: &str) -> Result<Option<Bytes>, LedgerError> {
        self.read(Read::Value)?;
        self.values_read.set(self.values_read.get() + 1);
        Ok(self.values.get(&(namespace.into(), key.into())).cloned())
    }

    fn validation_parameter(&self, key: Key<'_>) -> Result<Option<Bytes>, LedgerError> {
        self.read(Read::Parameter)?;
        let place = (key.namespace.into(), key.collection.into(), key.key.bytes().to_vec());
        Ok(self.parameters.get(&place).cloned())
    }
}

/// The recorded channel, at the level of an application capability.
pub(super) struct Channel {
    bundle: Bundle,
}

impl Channel {
    /// With exactly these capabilities of peers.
    pub(super) fn with(capabilities: &[&str]) -> Self {
        let genesis = Golden::V1_4.block(0).expect("recorded");
        let mut config: Config = Bundle::from_config_block(&genesis).expect("a channel").config().clone();
        let root = config.channel_group.as_mut().expect("a root");
        let application = root.groups.get_mut("Application").expect("a group");
        let capabilities = capabilities.iter().map(|name| ((*name).to_owned(), Capability {})).collect();
        let value = ConfigValue { value: Capabilities { capabilities }.encode_to_vec().into(), ..Default::default() };
        // Without V1_2 there may be none.
        application.values.remove("ACLs");
        application.values.insert("Capabilities".into(), value);
        Self { bundle: Bundle::from_config(CHANNEL, &config).expect("a channel") }
    }

    /// At the newest level.
    pub(super) fn newest() -> &'static Self {
        static NEWEST: LazyLock<Channel> = LazyLock::new(|| Channel::with(&["V1_4_2"]));
        &NEWEST
    }

    pub(super) fn judge(&self, state: &Memory, envelopes: &[Envelope]) -> Vec<TxValidationCode> {
        self.try_judge(state, envelopes, 1).expect("it can be judged")
    }

    pub(super) fn try_judge(
        &self,
        state: &Memory,
        envelopes: &[Envelope],
        threads: usize,
    ) -> Result<Vec<TxValidationCode>, ValidationError> {
        self.judge_bytes(state, envelopes.iter().map(|envelope| envelope.encode_to_vec().into()).collect(), threads)
    }

    pub(super) fn judge_bytes(
        &self,
        state: &Memory,
        data: Vec<Bytes>,
        threads: usize,
    ) -> Result<Vec<TxValidationCode>, ValidationError> {
        let rules = Rules {
            channel: CHANNEL,
            msps: self.bundle.msps(),
            application_msps: &self.bundle.application_msps().collect::<BTreeSet<_>>(),
            capabilities: self.bundle.application().expect("peers").capabilities(),
            system_chaincodes: &GoldenSccs,
        };
        let header = Some(BlockHeader { number: 7, ..BlockHeader::default() });
        judge_block(&rules, state, &Block { header, data: Some(BlockData { data }), metadata: None }, threads)
    }
}

/// A change of one part of a transaction, before what encloses the part is made and signed.
type Change<T> = Option<Box<dyn Fn(&mut T)>>;

/// A transaction in the making.
pub(super) struct Tx {
    pub(super) creator: Who,
    pub(super) endorsers: Vec<Who>,
    pub(super) nonce: Bytes,
    pub(super) chaincode: String,
    pub(super) version: String,
    pub(super) args: Vec<Bytes>,
    pub(super) sets: Vec<rwset::NsReadWriteSet>,
    pub(super) action: Change<ChaincodeAction>,
    pub(super) response: Change<ProposalResponsePayload>,
    pub(super) endorsed: Change<ChaincodeEndorsedAction>,
    pub(super) transaction: Change<Transaction>,
    pub(super) channel_header: Change<ChannelHeader>,
    pub(super) signature_header: Change<SignatureHeader>,
    pub(super) payload: Change<Payload>,
    pub(super) envelope: Change<Envelope>,
}

impl Tx {
    /// A call of version 1 of a chaincode by a user, endorsed by the peer of Alpha. Equal calls have equal ids.
    pub(super) fn of(chaincode: &str) -> Self {
        Self {
            creator: ALPHA_USER,
            endorsers: vec![ALPHA],
            nonce: Bytes::from_static(b"nonce"),
            chaincode: chaincode.into(),
            version: "1".into(),
            args: vec![Bytes::from_static(b"put")],
            sets: Vec::new(),
            action: None,
            response: None,
            endorsed: None,
            transaction: None,
            channel_header: None,
            signature_header: None,
            payload: None,
            envelope: None,
        }
    }

    pub(super) fn nonce(mut self, nonce: &str) -> Self {
        self.nonce = Bytes::copy_from_slice(nonce.as_bytes());
        self
    }

    pub(super) fn by(mut self, creator: Who) -> Self {
        self.creator = creator;
        self
    }

    pub(super) fn endorsed_by(mut self, endorsers: &[Who]) -> Self {
        self.endorsers = endorsers.to_vec();
        self
    }

    pub(super) fn set(mut self, set: rwset::NsReadWriteSet) -> Self {
        self.sets.push(set);
        self
    }

    /// Writes a key of the namespace.
    pub(super) fn writing(self, namespace: &str, key: &str) -> Self {
        self.set(set(namespace, &[write(key, b"v")], &[]))
    }

    pub(super) fn action(mut self, change: impl Fn(&mut ChaincodeAction) + 'static) -> Self {
        self.action = Some(Box::new(change));
        self
    }

    pub(super) fn response(mut self, change: impl Fn(&mut ProposalResponsePayload) + 'static) -> Self {
        self.response = Some(Box::new(change));
        self
    }

    pub(super) fn endorsed(mut self, change: impl Fn(&mut ChaincodeEndorsedAction) + 'static) -> Self {
        self.endorsed = Some(Box::new(change));
        self
    }

    pub(super) fn transaction(mut self, change: impl Fn(&mut Transaction) + 'static) -> Self {
        self.transaction = Some(Box::new(change));
        self
    }

    pub(super) fn channel_header(mut self, change: impl Fn(&mut ChannelHeader) + 'static) -> Self {
        self.channel_header = Some(Box::new(change));
        self
    }

    pub(super) fn signature_header(mut self, change: impl Fn(&mut SignatureHeader) + 'static) -> Self {
        self.signature_header = Some(Box::new(change));
        self
    }

    pub(super) fn payload(mut self, change: impl Fn(&mut Payload) + 'static) -> Self {
        self.payload = Some(Box::new(change));
        self
    }

    pub(super) fn envelope(mut self, change: impl Fn(&mut Envelope) + 'static) -> Self {
        self.envelope = Some(Box::new(change));
        self
    }

    /// The id that the transaction has if nobody changes its headers.
    pub(super) fn txid(&self) -> String {
        hash::transaction_id(&self.nonce, &self.creator.key().serialize())
    }

    pub(super) fn make(&self) -> Envelope {
        let creator = self.creator.key();
        let id = ChaincodeId { name: self.chaincode.clone(), ..ChaincodeId::default() };
        let extension = ChaincodeHeaderExtension { chaincode_id: Some(id.clone()), ..Default::default() };
        let mut channel_header = ChannelHeader {
            r#type: HeaderType::EndorserTransaction as i32,
            channel_id: CHANNEL.into(),
            tx_id: self.txid(),
            extension: extension.encode_to_vec().into(),
            ..ChannelHeader::default()
        };
        change(&self.channel_header, &mut channel_header);
        let mut signature_header = SignatureHeader { creator: creator.serialize(), nonce: self.nonce.clone() };
        change(&self.signature_header, &mut signature_header);
        let channel_header = Bytes::from(channel_header.encode_to_vec());
        let signature_header = Bytes::from(signature_header.encode_to_vec());

        let input = ChaincodeInput { args: self.args.clone(), ..ChaincodeInput::default() };
        let spec = ChaincodeSpec { chaincode_id: Some(id), input: Some(input), ..ChaincodeSpec::default() };
        let spec = ChaincodeInvocationSpec { chaincode_spec: Some(spec) };
        let proposal = ChaincodeProposalPayload { input: spec.encode_to_vec().into(), ..Default::default() };
        let proposal = Bytes::from(proposal.encode_to_vec());

        let results = rwset::TxReadWriteSet { ns_rwset: self.sets.clone(), ..Default::default() };
        let ran = ChaincodeId { name: self.chaincode.clone(), version: self.version.clone(), ..Default::default() };
        let mut action = ChaincodeAction {
            results: results.encode_to_vec().into(),
            chaincode_id: Some(ran),
            ..ChaincodeAction::default()
        };
        change(&self.action, &mut action);
        let proposal_hash = hash::proposal_hash(&channel_header, &signature_header, &proposal);
        let mut response = ProposalResponsePayload {
            proposal_hash: Bytes::copy_from_slice(&proposal_hash),
            extension: action.encode_to_vec().into(),
        };
        change(&self.response, &mut response);
        let response = Bytes::from(response.encode_to_vec());
        let endorse = |who: &Who| {
            let (key, endorser) = (who.key(), who.key().serialize());
            let signature = key.sign(&[&response[..], &endorser].concat()).expect("signs");
            Endorsement { endorser, signature }
        };
        let endorsements = self.endorsers.iter().map(endorse).collect();
        let mut endorsed = ChaincodeEndorsedAction { proposal_response_payload: response.clone(), endorsements };
        change(&self.endorsed, &mut endorsed);
        let body = ChaincodeActionPayload { chaincode_proposal_payload: proposal, action: Some(endorsed) };
        let action = TransactionAction { header: signature_header.clone(), payload: body.encode_to_vec().into() };
        let mut transaction = Transaction { actions: vec![action] };
        change(&self.transaction, &mut transaction);

        let header = Some(Header { channel_header, signature_header });
        let mut payload = Payload { header, data: transaction.encode_to_vec().into() };
        change(&self.payload, &mut payload);
        let payload = Bytes::from(payload.encode_to_vec());
        let mut envelope = Envelope { signature: creator.sign(&payload).expect("signs"), payload };
        change(&self.envelope, &mut envelope);
        envelope
    }
}

/// A call of lscc's `deploy` or `upgrade` by the admin of Alpha that writes `data`, with what lscc keeps of `collections`.
pub(super) fn lscc(function: &str, data: &ChaincodeData, collections: Option<Bytes>) -> Tx {
    let id = ChaincodeId { name: data.name.clone(), version: data.version.clone(), ..ChaincodeId::default() };
    let mut writes = vec![write(&data.name, &data.encode_to_vec())];
    if let Some(collections) = &collections {
        writes.push(write(&format!("{}~collection", data.name), collections));
    }
    let empty = Bytes::new;
    let mut args = vec![Bytes::copy_from_slice(function.as_bytes()), CHANNEL.into()];
    args.extend([deployment_spec(Type::Golang, id), empty(), empty(), empty()]);
    args.extend(collections);
    Tx { args, ..Tx::of("lscc").by(ALPHA_ADMIN).set(set("lscc", &writes, &[])) }
}

/// What a client sends to have a chaincode instantiated: no code.
pub(super) fn deployment_spec(kind: Type, id: ChaincodeId) -> Bytes {
    let spec = ChaincodeSpec { r#type: kind as i32, chaincode_id: Some(id), ..ChaincodeSpec::default() };
    ChaincodeDeploymentSpec { chaincode_spec: Some(spec), ..Default::default() }.encode_to_vec().into()
}

fn change<T>(change: &Change<T>, part: &mut T) {
    if let Some(change) = change {
        change(part);
    }
}

pub(super) fn write(key: &str, value: &[u8]) -> kvrwset::KvWrite {
    kvrwset::KvWrite { key: key.into(), value: Bytes::copy_from_slice(value), is_delete: value.is_empty() }
}

/// New metadata of a key.
pub(super) fn metadata(key: &str) -> kvrwset::KvMetadataWrite {
    kvrwset::KvMetadataWrite { key: key.into(), entries: Vec::new() }
}

/// Public writes, and public changes of metadata, of a namespace.
pub(super) fn set(
    namespace: &str,
    writes: &[kvrwset::KvWrite],
    metadata_writes: &[kvrwset::KvMetadataWrite],
) -> rwset::NsReadWriteSet {
    let public = kvrwset::KvrwSet {
        writes: writes.to_vec(),
        metadata_writes: metadata_writes.to_vec(),
        ..kvrwset::KvrwSet::default()
    };
    rwset::NsReadWriteSet { namespace: namespace.into(), rwset: public.encode_to_vec().into(), ..Default::default() }
}

/// Hashed writes, and changes of metadata, of a collection of a namespace.
pub(super) fn private_set(namespace: &str, writes: &[&[u8]], metadata: &[&[u8]]) -> rwset::NsReadWriteSet {
    let write = |hash: &&[u8]| kvrwset::KvWriteHash { key_hash: Bytes::copy_from_slice(hash), ..Default::default() };
    let change =
        |hash: &&[u8]| kvrwset::KvMetadataWriteHash { key_hash: Bytes::copy_from_slice(hash), entries: vec![] };
    let hashed = kvrwset::HashedRwSet {
        hashed_writes: writes.iter().map(write).collect(),
        metadata_writes: metadata.iter().map(change).collect(),
        ..kvrwset::HashedRwSet::default()
    };
    let collection = rwset::CollectionHashedReadWriteSet {
        collection_name: "c".into(),
        hashed_rwset: hashed.encode_to_vec().into(),
        ..Default::default()
    };
    rwset::NsReadWriteSet {
        namespace: namespace.into(),
        collection_hashed_rwset: vec![collection],
        ..Default::default()
    }
}
