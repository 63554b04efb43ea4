//! The tables of a channel's database, and a snapshot of them (Fabric: the block store, `stateleveldb`, `historydb`).
//!
//! Reading only; the one writer is in `commit.rs`. Invariant: a [`Snapshot`] is the end of one block: its tables and its
//! [`Tip`] are of the same height, however long somebody keeps it.

use std::ops::Bound;

use bytes::Bytes;
use prost::Message;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition};
use selvedge_proto::common::{Block, BlockMetadataIndex, Metadata};
use sha2::{Digest, Sha256};

use super::LedgerError;
use super::block;
use super::private_expiry::{self, KeyEnd, SetEnd};
use super::private_store::{MISSING_SETS, PRIVATE_SETS, PRIVATE_STATE, SetKey};
use super::rich_query::store::IndexSnapshot;
use super::state::{CommittedState, StateRow, StateValue, Version, VersionedKey};

/// Number -> checksum, marshalled block: see [`insert_block`].
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Header hash -> number.
pub(super) const BLOCK_BY_HASH: TableDefinition<'_, &[u8], u64> = TableDefinition::new("block_by_hash");
/// Transaction id -> block, index, validation code, of the id's first occurrence.
pub(super) const TRANSACTIONS: TableDefinition<'_, &str, (u64, u32, u8)> = TableDefinition::new("transactions");
/// Namespace, NUL, key -> version, metadata, value.
pub(super) const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
/// Namespace, key, block, transaction of each public write.
pub(super) const HISTORY: TableDefinition<'_, HistoryKey, ()> = TableDefinition::new("history");
/// What is known of the channel as a whole.
pub(super) const CHANNEL: TableDefinition<'_, &str, u64> = TableDefinition::new("channel");
/// In [`CHANNEL`]: the number of the newest block with a valid CONFIG transaction.
pub(super) const LAST_CONFIG: &str = "last_config";

pub(super) type HistoryKey = (&'static str, &'static str, u64, u64);

/// The end of the chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Tip {
    /// Number of blocks.
    pub height: u64,
    /// Header hash of the newest block.
    pub hash: Bytes,
    /// The hash that the newest block names as its predecessor's.
    pub previous_hash: Bytes,
    /// Commit hash of the newest block; block 0 has none.
    pub commit_hash: Bytes,
    /// Number of the newest configuration block.
    pub last_config: u64,
}

impl Tip {
    /// The tip when `newest` is the newest block.
    pub(super) fn after(newest: &Block, last_config: u64) -> Self {
        let header = newest.header.clone().unwrap_or_default();
        let commit_hash = Metadata::decode(block::metadata(newest, BlockMetadataIndex::CommitHash)).unwrap_or_default();
        Self {
            height: header.number + 1,
            hash: Bytes::copy_from_slice(&block::header_hash(&header)),
            previous_hash: header.previous_hash,
            commit_hash: commit_hash.value,
            last_config,
        }
    }
}

/// The channel at one height.
pub(super) struct Snapshot {
    pub tip: Tip,
    pub state: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub history: ReadOnlyTable<HistoryKey, ()>,
    pub blocks: ReadOnlyTable<u64, &'static [u8]>,
    pub block_by_hash: ReadOnlyTable<&'static [u8], u64>,
    pub transactions: ReadOnlyTable<&'static str, (u64, u32, u8)>,
    pub private_state: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub private_sets: ReadOnlyTable<SetKey, &'static [u8]>,
    pub missing_sets: ReadOnlyTable<SetKey, bool>,
    pub key_expiry: ReadOnlyTable<KeyEnd, &'static [u8]>,
    pub set_expiry: ReadOnlyTable<SetEnd, ()>,
    pub indexes: IndexSnapshot,
}

impl Snapshot {
    /// The newest height of a database that holds at least block 0.
    pub(super) fn open(database: &Database) -> Result<Self, LedgerError> {
        let read = database.begin_read()?;
        let mut snapshot = Self::of(&read, Tip::default(), None)?;
        let newest = match snapshot.blocks.last()? {
            Some((number, row)) => decode_block(number.value(), row.value())?,
            None => return Err(LedgerError::Corrupted("it holds no block".into())),
        };
        let last_config = read.open_table(CHANNEL)?.get(LAST_CONFIG)?.map_or(0, |row| row.value());
        snapshot.tip = Tip::after(&newest, last_config);
        Ok(snapshot)
    }

    /// The height that a commit has just reached, with its tip: what is known need not be read from the disk and decoded.
    pub(super) fn after(database: &Database, tip: Tip, before: &Self) -> Result<Self, LedgerError> {
        Self::of(&database.begin_read()?, tip, Some(&before.indexes))
    }

    fn of(read: &ReadTransaction, tip: Tip, indexes: Option<&IndexSnapshot>) -> Result<Self, LedgerError> {
        Ok(Self {
            tip,
            state: read.open_table(STATE)?,
            history: read.open_table(HISTORY)?,
            blocks: read.open_table(BLOCKS)?,
            block_by_hash: read.open_table(BLOCK_BY_HASH)?,
            transactions: read.open_table(TRANSACTIONS)?,
            private_state: read.open_table(PRIVATE_STATE)?,
            private_sets: read.open_table(PRIVATE_SETS)?,
            missing_sets: read.open_table(MISSING_SETS)?,
            key_expiry: read.open_table(private_expiry::KEYS)?,
            set_expiry: read.open_table(private_expiry::SETS)?,
            indexes: IndexSnapshot::open(read, indexes)?,
        })
    }

    /// The block of that number; `u64::MAX` is the newest.
    pub(super) fn block(&self, number: u64) -> Result<Option<Block>, LedgerError> {
        let number = if number == u64::MAX { self.tip.height - 1 } else { number };
        self.blocks.get(number)?.map(|row| decode_block(number, row.value())).transpose()
    }

    /// A block that an index names.
    pub(super) fn indexed_block(&self, number: u64) -> Result<Block, LedgerError> {
        let missing = || LedgerError::Corrupted(format!("block {number} is missing, though an index names it"));
        self.block(number)?.ok_or_else(missing)
    }

    /// A value of the private state, by its key there.
    pub(super) fn private_value(&self, key: &[u8]) -> Result<Option<StateValue>, LedgerError> {
        self.private_state.get(key)?.map(|row| Ok(StateRow::decode(row.value())?.to_value())).transpose()
    }

    pub(super) fn number_by_hash(&self, hash: &[u8]) -> Result<Option<u64>, LedgerError> {
        Ok(self.block_by_hash.get(hash)?.map(|row| row.value()))
    }

    /// Block, index and validation code of a transaction.
    pub(super) fn transaction(&self, txid: &str) -> Result<Option<(u64, u32, u8)>, LedgerError> {
        Ok(self.transactions.get(txid)?.map(|row| row.value()))
    }
}

impl CommittedState for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<StateValue>, LedgerError> {
        self.state.get(key)?.map(|row| Ok(StateRow::decode(row.value())?.to_value())).transpose()
    }

    fn metadata(&self, key: &[u8]) -> Result<Bytes, LedgerError> {
        let row = self.state.get(key)?;
        row.map_or(Ok(Bytes::new()), |row| Ok(Bytes::copy_from_slice(StateRow::decode(row.value())?.metadata)))
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, LedgerError> {
        self.state.get(key)?.map(|row| Ok(StateRow::decode(row.value())?.version)).transpose()
    }

    fn range(
        &self,
        from: &[u8],
        to: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<VersionedKey, LedgerError>>, LedgerError> {
        let rows = state_range(&self.state, from, to)?;
        Ok(rows.map(|row| {
            let (key, value) = row?;
            Ok((key.value().to_vec(), StateRow::decode(value.value())?.version))
        }))
    }
}

/// A range of the state table; one whose end precedes its start is empty.
pub(super) fn state_range(
    table: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    from: &[u8],
    to: Bound<&[u8]>,
) -> Result<redb::Range<'static, &'static [u8], &'static [u8]>, LedgerError> {
    let to = match to {
        Bound::Included(end) | Bound::Excluded(end) if end < from => Bound::Excluded(from),
        to => to,
    };
    Ok(table.range::<&[u8]>((Bound::Included(from), to))?)
}

type BlocksMut<'t> = Table<'t, u64, &'static [u8]>;

/// Bytes of a block's checksum: enough against accidents, which is what it is for.
const CHECKSUM: usize = 8;

/// Writes a block's row, in its place: it has megabytes. The checksum is there because the database does not look whether a
/// page is still what was written, and the block's own hashes do not cover its flags and signatures.
pub(super) fn insert_block(blocks: &mut BlocksMut<'_>, number: u64, block: &Block) -> Result<(), LedgerError> {
    let mut row = blocks.insert_reserve(number, CHECKSUM + block.encoded_len())?;
    let (sum, bytes) = row.as_mut().split_at_mut(CHECKSUM);
    block.encode_raw(&mut &mut *bytes);
    sum.copy_from_slice(&checksum(number, bytes));
    Ok(())
}

/// The block of that number, if its row is what was written.
pub(super) fn decode_block(number: u64, row: &[u8]) -> Result<Block, LedgerError> {
    let damaged = |what: String| LedgerError::Corrupted(format!("block {number} {what}"));
    let Some((expected, bytes)) = row.split_first_chunk::<CHECKSUM>() else {
        return Err(damaged(format!("has a row of {} bytes", row.len())));
    };
    if checksum(number, bytes) != *expected {
        return Err(damaged("does not match its checksum".into()));
    }
    // One copy out of the page; the block's fields are slices of it.
    Block::decode(Bytes::copy_from_slice(bytes)).map_err(|error| damaged(format!("does not decode: {error}")))
}

fn checksum(number: u64, bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = Sha256::new();
    hash.update(number.to_be_bytes());
    hash.update(bytes);
    let hash: [u8; 32] = hash.finalize().into();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&hash[..CHECKSUM]);
    checksum
}
