//! What is inside the envelopes of a block (Fabric: `protoutil`, `common/validation`).
//!
//! Decoding only: nothing here says whether a transaction is good. Invariant: bytes from a block never panic.

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{ChannelHeader, ConfigEnvelope, Envelope, Header, HeaderType, Payload, SignatureHeader};
use selvedge_proto::kvrwset::{HashedRwSet, KvrwSet};
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ProposalResponsePayload, Transaction, TxValidationCode,
};
use selvedge_proto::rwset::TxReadWriteSet;
use sha2::{Digest, Sha256};

/// An envelope of a block with its channel header.
#[derive(Clone, Debug)]
pub struct BlockTransaction {
    /// Whose transaction it is, and of what type.
    pub header: ChannelHeader,
    /// The payload's data: a `Transaction`, a `ConfigEnvelope`, or what the type says.
    pub data: Bytes,
    signature_header: Bytes,
}

impl BlockTransaction {
    /// Decodes an envelope as far as its channel header; none when it is not an envelope.
    pub fn decode(envelope: &Bytes) -> Option<Self> {
        Self::from_envelope(&Envelope::decode_as_go(envelope.clone()).ok()?)
    }

    /// The same for an envelope that is decoded already.
    pub fn from_envelope(envelope: &Envelope) -> Option<Self> {
        let payload = Payload::decode_as_go(envelope.payload.clone()).ok()?;
        let Header { channel_header, signature_header } = payload.header?;
        let header = ChannelHeader::decode_as_go(channel_header).ok()?;
        Some(Self { header, data: payload.data, signature_header })
    }

    /// The id under which the ledger knows it (Fabric: `GetOrComputeTxIDFromEnvelope`): that of its channel header, or,
    /// where it has none there, what nonce and creator make. So who signs a transaction without its id has used the id
    /// up. Empty where there is neither.
    pub fn indexed_id(&self) -> String {
        if !self.header.tx_id.is_empty() {
            return self.header.tx_id.clone();
        }
        let id = |SignatureHeader { nonce, creator }| {
            hex::encode(Sha256::new().chain_update(nonce).chain_update(creator).finalize())
        };
        SignatureHeader::decode_as_go(self.signature_header.clone()).map(id).unwrap_or_default()
    }

    /// The type, if it is one that Fabric knows.
    pub fn header_type(&self) -> Option<HeaderType> {
        HeaderType::try_from(self.header.r#type).ok()
    }

    /// What each action of an endorser transaction did.
    ///
    /// # Errors
    /// The code for a transaction that cannot be decoded.
    pub fn chaincode_actions(&self) -> Result<Vec<ChaincodeAction>, TxValidationCode> {
        let transaction = Transaction::decode_as_go(self.data.clone()).map_err(undecodable)?;
        transaction.actions.into_iter().map(|action| chaincode_action(action.payload)).collect()
    }

    /// The configuration that a CONFIG transaction sets.
    ///
    /// # Errors
    /// The code for a configuration that cannot be decoded.
    pub fn config(&self) -> Result<ConfigEnvelope, TxValidationCode> {
        ConfigEnvelope::decode_as_go(self.data.clone()).map_err(|_| TxValidationCode::InvalidConfigTransaction)
    }
}

fn undecodable(_: prost::DecodeError) -> TxValidationCode {
    TxValidationCode::InvalidOtherReason
}

fn chaincode_action(payload: Bytes) -> Result<ChaincodeAction, TxValidationCode> {
    let payload = ChaincodeActionPayload::decode_as_go(payload).map_err(undecodable)?;
    let endorsed = payload.action.ok_or(TxValidationCode::NilTxaction)?;
    let response = ProposalResponsePayload::decode_as_go(endorsed.proposal_response_payload).map_err(undecodable)?;
    ChaincodeAction::decode_as_go(response.extension).map_err(undecodable)
}

/// The read-write set of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceRwSet {
    /// The chaincode.
    pub namespace: String,
    /// Its public reads and writes.
    pub public: KvrwSet,
    /// The hashes of its private ones, with the names of the collections.
    pub collections: Vec<(String, HashedRwSet)>,
}

/// Decodes the results of a simulation, namespaces in the order in which they stand there.
///
/// # Errors
/// The code for results that cannot be decoded.
pub fn decode_rwset(results: Bytes) -> Result<Vec<NamespaceRwSet>, TxValidationCode> {
    let set = TxReadWriteSet::decode_as_go(results).map_err(undecodable)?;
    let namespace = |set: selvedge_proto::rwset::NsReadWriteSet| {
        let collections = set.collection_hashed_rwset.into_iter().map(|collection| {
            let hashed = HashedRwSet::decode_as_go(collection.hashed_rwset).map_err(undecodable)?;
            Ok((collection.collection_name, hashed))
        });
        Ok(NamespaceRwSet {
            public: KvrwSet::decode_as_go(set.rwset).map_err(undecodable)?,
            collections: collections.collect::<Result<_, _>>()?,
            namespace: set.namespace,
        })
    };
    set.ns_rwset.into_iter().map(namespace).collect()
}

/// The read-write set of an endorser transaction.
pub(super) fn endorsed_rwset(transaction: &BlockTransaction) -> Result<Vec<NamespaceRwSet>, TxValidationCode> {
    let actions = transaction.chaincode_actions()?;
    let action = actions.into_iter().next().ok_or(TxValidationCode::NilTxaction)?;
    decode_rwset(action.results)
}
