//! A node's other half for unit tests: a signer that signs nothing, and a gatekeeper with a switch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Block, ChannelHeader, Envelope, Header, HeaderType, Payload, Status};
use selvedge_proto::orderer::seek_info::SeekBehavior;
use selvedge_proto::orderer::seek_position::Type as Position;
use selvedge_proto::orderer::{SeekInfo, SeekNewest, SeekOldest, SeekPosition, SeekSpecified};
use selvedge_proto::protos::TxValidationCode;
use selvedge_proto::rwset::TxPvtReadWriteSet;

use super::processor::{Processor, Refusal};
use super::{BatchConfig, DeliverAccess, Orderer, OrdererDirectory, PrivateDataAccess};
use crate::committer::Committer;
use crate::ledger::testing::{TestChannel, envelope};
use crate::ledger::{Ledger, LedgerError};
use crate::msp::{MspError, Signer};
use crate::validation::{BlockValidator, ValidationError};

/// The signature is the message, so that a test can look at it.
pub(super) struct PlainSigner;

impl Signer for PlainSigner {
    fn serialize(&self) -> Bytes {
        Bytes::from_static(b"orderer")
    }

    fn sign(&self, message: &[u8]) -> Result<Bytes, MspError> {
        Ok(Bytes::copy_from_slice(message))
    }
}

pub(super) struct AllValid;

impl BlockValidator for AllValid {
    fn validate(&self, _: &Ledger, block: &Block) -> Result<Vec<TxValidationCode>, ValidationError> {
        Ok(vec![TxValidationCode::Valid; block.data.as_ref().map_or(0, |data| data.data.len())])
    }
}

/// Lets everybody in until it is closed.
#[derive(Default)]
pub(super) struct Gate(AtomicBool);

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl DeliverAccess for Gate {
    fn is_open(&self, channel: &str) -> bool {
        channel == TestChannel::NAME
    }

    fn check(&self, resource: &str, _channel: &str, _envelope: &Envelope) -> Result<(), String> {
        if self.0.load(Ordering::SeqCst) { Err(format!("no {resource} today: permission denied")) } else { Ok(()) }
    }
}

impl PrivateDataAccess for Gate {
    fn readable(
        &self,
        ledger: &Ledger,
        block: u64,
        _request: &Envelope,
    ) -> Result<BTreeMap<u64, TxPvtReadWriteSet>, LedgerError> {
        ledger.private_data_of_block(block)
    }
}

impl Gate {
    /// The channel that is ordered elsewhere.
    pub(super) const ELSEWHERE: &str = "elsewhere";

    /// The channel that could not be opened.
    pub(super) const UNOPENED: &str = "unopened";
}

impl OrdererDirectory for Gate {
    fn orderer_addresses(&self, channel: &str, _envelope: &Envelope) -> Option<Vec<String>> {
        (channel == Self::ELSEWHERE).then(|| vec!["a:7050".to_owned(), "b:7050".to_owned()])
    }

    fn is_unopened(&self, channel: &str) -> bool {
        channel == Self::UNOPENED
    }
}

/// A configuration with a number that a test may raise; from number 1 on it refuses what contains the letter x.
pub(super) struct Rules {
    pub(super) config: BatchConfig,
    pub(super) sequence: AtomicU64,
}

impl Rules {
    pub(super) fn new(config: BatchConfig) -> Arc<Self> {
        Arc::new(Self { config, sequence: AtomicU64::new(0) })
    }

    pub(super) fn change(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }
}

impl Processor for Rules {
    fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::SeqCst)
    }

    fn batch_config(&self) -> BatchConfig {
        self.config
    }

    fn process_normal(&self, envelope: &Envelope) -> Result<u64, Refusal> {
        match self.sequence() {
            0 => Ok(0),
            _ if envelope.payload.contains(&b'x') => {
                Err(Refusal { status: Status::Forbidden, info: "no x today: permission denied".into() })
            }
            sequence => Ok(sequence),
        }
    }

    /// A configuration that nobody can apply.
    fn process_config_update(&self, _: &Envelope) -> Result<(Envelope, u64), Refusal> {
        Ok((envelope(TestChannel::NAME, "", HeaderType::Config, Bytes::new()), self.sequence()))
    }
}

/// An orderer of the channel that follows `rules`.
pub(super) fn orderer(channel: &TestChannel, rules: Arc<Rules>, validator: Arc<dyn BlockValidator>) -> Orderer {
    let committer = Committer::new(Arc::clone(&channel.ledger), Arc::default(), validator);
    Orderer::start_with(committer, Arc::new(PlainSigner), rules)
}

pub(super) fn newest() -> Position {
    Position::Newest(SeekNewest {})
}

pub(super) fn oldest() -> Position {
    Position::Oldest(SeekOldest {})
}

pub(super) fn at(number: u64) -> Position {
    Position::Specified(SeekSpecified { number })
}

/// A request made now.
pub(super) fn seek(channel: &str, start: Position, stop: Position, behavior: SeekBehavior) -> Envelope {
    let position = |position| Some(SeekPosition { r#type: Some(position) });
    let seek = SeekInfo { start: position(start), stop: position(stop), behavior: behavior as i32, error_response: 0 };
    request(channel, SystemTime::now(), seek.encode_to_vec().into())
}

pub(super) fn request(channel: &str, made: SystemTime, data: Bytes) -> Envelope {
    let header = ChannelHeader {
        r#type: HeaderType::DeliverSeekInfo as i32,
        timestamp: Some(made.into()),
        channel_id: channel.to_owned(),
        ..Default::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
    let payload = Payload { header: Some(header), data };
    Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::new() }
}
