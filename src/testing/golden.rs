//! What was recorded from real Fabric networks, in `tests/golden` of this repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{Block, BlockMetadataIndex};
use selvedge_proto::protos::TxValidationCode;
use serde_json::Value;

use crate::chaincode::SystemChaincodes;
use crate::channel::{Bundle, Channels};
use crate::committer::Committer;
use crate::ledger::{Ledger, LedgerProvider, block};
use crate::validation::TransactionValidator;

/// The channel that was recorded.
pub const GOLDEN_CHANNEL: &str = "goldchan";

/// The recordings of one release of Fabric.
#[derive(Clone, Copy, Debug)]
pub struct Golden(&'static str);

impl Golden {
    /// Fabric 1.4.12.
    pub const V1_4: Self = Self("v1.4");
    /// Fabric 2.5. Its channel asks for V2_0, so only the ledger can take its blocks.
    pub const V2_5: Self = Self("v2.5");

    /// Where a file is.
    pub fn path(self, file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.0).join(file)
    }

    /// A file's content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(self, file: &str) -> anyhow::Result<Bytes> {
        let path = self.path(file);
        Ok(std::fs::read(&path).with_context(|| path.display().to_string())?.into())
    }

    /// A JSON file's content.
    ///
    /// # Errors
    /// When it cannot be read, or is no JSON.
    pub fn json(self, file: &str) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.read(file)?).with_context(|| file.to_owned())
    }

    /// A block as the recorded peer returned it.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn block(self, number: u64) -> anyhow::Result<Block> {
        Ok(Block::decode(self.read(&format!("blocks/block-{number:03}.block"))?)?)
    }

    /// Makes the recorded channel's ledger up to a height, from the blocks as the orderer sent them. What the ledger does
    /// not find out itself is taken from the recording; [`GoldenPeer`] finds it all out.
    ///
    /// # Errors
    /// When the ledger fails, or comes to other verdicts.
    pub fn replay(self, ledgers: &LedgerProvider, height: u64) -> anyhow::Result<Arc<Ledger>> {
        let ledger = ledgers.create(GOLDEN_CHANNEL, &from_the_orderer(self.block(0)?))?;
        for number in 1..height {
            let recorded = self.block(number)?;
            let committed = ledger.commit(from_the_orderer(recorded.clone()), &outside_the_ledger(&recorded))?;
            anyhow::ensure!(committed.block == recorded, "block {number} was committed otherwise than recorded");
        }
        Ok(ledger)
    }
}

/// A peer that has block 0 of the channel recorded from Fabric 1.4, and judges and commits what comes next.
pub struct GoldenPeer {
    /// The channel's configuration in force.
    pub channels: Arc<Channels>,
    /// Takes the blocks.
    pub committer: Committer,
    /// Where its ledger is.
    pub ledgers: LedgerProvider,
}

impl GoldenPeer {
    /// With a ledger in `folder`.
    ///
    /// # Errors
    /// When the recording cannot be read, or the ledger fails.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let genesis = from_the_orderer(Golden::V1_4.block(0)?);
        let channels = Arc::new(Channels::default());
        channels.put(Bundle::from_config_block(&genesis)?)?;
        let ledgers = LedgerProvider::open(folder)?;
        let ledger = ledgers.create(GOLDEN_CHANNEL, &genesis)?;
        let validator = TransactionValidator::new(Arc::clone(&channels), Arc::new(GoldenSccs));
        let committer = Committer::new(ledger, Arc::clone(&channels), Arc::new(validator));
        Ok(Self { channels, committer, ledgers })
    }
}

/// The system chaincodes of the recorded peers.
pub struct GoldenSccs;

impl SystemChaincodes for GoldenSccs {
    fn is_sys_cc(&self, name: &str) -> bool {
        matches!(name, "lscc" | "cscc" | "qscc" | "escc" | "vscc")
    }

    fn is_sys_cc_and_not_invokable_external(&self, name: &str) -> bool {
        matches!(name, "escc" | "vscc")
    }

    fn is_sys_cc_and_not_invokable_cc2cc(&self, name: &str) -> bool {
        matches!(name, "cscc" | "escc" | "vscc")
    }

    fn version(&self) -> &str {
        "1.4.12"
    }
}

/// The text at a place in a JSON value; empty where there is none.
pub fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The bytes at a place in a JSON value that holds them in base64.
///
/// # Errors
/// When they are not.
pub fn base64_at(value: &Value, pointer: &str) -> anyhow::Result<Bytes> {
    Ok(BASE64_STANDARD.decode(text_at(value, pointer))?.into())
}

/// A block without what the peer filled in.
pub fn from_the_orderer(mut recorded: Block) -> Block {
    block::set_metadata(&mut recorded, BlockMetadataIndex::TransactionsFilter, Bytes::new());
    block::set_metadata(&mut recorded, BlockMetadataIndex::CommitHash, Bytes::new());
    recorded
}

/// What the checks outside the ledger would say, given what the peer said in the end.
pub fn outside_the_ledger(recorded: &Block) -> Vec<TxValidationCode> {
    use TxValidationCode as Code;
    let ours = [Code::MvccReadConflict, Code::PhantomReadConflict];
    let outside = |code| if ours.contains(&code) { Code::Valid } else { code };
    block::validation_codes(recorded).into_iter().map(outside).collect()
}
