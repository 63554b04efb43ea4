//! What goes wrong in a ledger.
//!
//! Texts that Fabric's clients and chaincodes see are Fabric's, the misspelt ones too. Invariant: a fault of the store is
//! [`LedgerError::Storage`] (or [`LedgerError::Corrupted`]), never an invalid code in a block.

use std::path::{Path, PathBuf};

use super::Version;
use super::rich_query::{CouchDbRule, RichQueryError};

/// An error of the ledger. Its text is what a chaincode or a client sees.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database failed.
    #[error("the ledger's database failed: {0}")]
    Storage(#[source] Box<redb::Error>),
    /// The database takes nothing more since an earlier failure, not even reads.
    #[error(
        "the ledger's database is closed since its disk failed; the log and /healthz say how. Start the node again"
    )]
    Closed,
    /// What is in the database is not what was written there.
    #[error(
        "the ledger's database is damaged: {0}; put a copy of the data directory back that was made while the node was stopped"
    )]
    Corrupted(String),
    /// The channel is on disk, and could not be opened when the node started.
    #[error("the ledger of channel {channel} could not be opened: {reason}")]
    Unopened {
        /// The channel.
        channel: String,
        /// Why not.
        reason: String,
    },
    /// A file of the data directory failed.
    #[error("the ledger (below peer.fileSystemPath) cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as in "open".
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another node works on the data directory.
    #[error("the ledger directory {} is in use by another node; stop that one or choose another directory", .0.display())]
    DirectoryInUse(PathBuf),
    /// The data directory was written by another version of this program.
    #[error(
        "the ledger directory {} has format {found:?}, this version reads format {supported:?}; \
         use the version that wrote it or an empty directory",
        dir.display()
    )]
    UnknownFormat {
        /// The data directory.
        dir: PathBuf,
        /// What its format file says; empty when it has none but holds ledgers.
        found: String,
        /// What this version writes.
        supported: &'static str,
    },
    /// The file of the transient store is no database any more.
    #[error(
        "the transient store {} is damaged: {damage}; move it away to start without it: private data that was endorsed here \
         and is not committed yet is lost then",
        path.display()
    )]
    TransientStore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: String,
    },
    /// Not a name for a channel.
    #[error(
        "channel name {0:?} is not allowed: it must begin with a lower-case letter, go on with lower-case letters, \
         digits, dots and dashes, and be shorter than 250 characters"
    )]
    InvalidChannelId(String),
    /// The channel was joined before.
    #[error("LedgerID already exists")]
    LedgerExists,
    /// The channel takes no more blocks, because an earlier commit failed in a way that cannot be judged invalid.
    #[error("channel {channel} is halted and takes no more blocks until the node is restarted: {reason}")]
    Halted {
        /// The channel.
        channel: String,
        /// The failure that halted it.
        reason: String,
    },
    /// A block that cannot follow the newest one, or is not one.
    #[error("block {number} of channel {channel} is refused: {reason}")]
    BadBlock {
        /// The channel.
        channel: String,
        /// The block's number.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// The simulator was closed.
    #[error("this instance should not be used after calling Done()")]
    Done,
    /// The results were taken before.
    #[error("this function should only be called once on a transaction simulator instance")]
    ResultsTaken,
    /// A combination of reads and writes that only a read-only transaction may make.
    #[error("txid [{txid}]: {rule}")]
    UnsupportedTransaction {
        /// The transaction.
        txid: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A rich query to a ledger that stands for goleveldb.
    #[error("ExecuteQuery not supported for leveldb")]
    RichQuery,
    /// A rich query that cannot be answered.
    #[error(transparent)]
    Query(#[from] RichQueryError),
    /// A write that a peer with CouchDB does not take.
    #[error(transparent)]
    CouchDb(#[from] CouchDbRule),
    /// The chaincode has no collections.
    #[error(
        "collection config not defined for chaincode [{0}], \
         pass the collection configuration upon chaincode definition/instantiation"
    )]
    NoCollections(String),
    /// The chaincode has collections, and this is none of them.
    #[error("collection [{collection}] not defined in the collection config for chaincode [{chaincode}]")]
    NoSuchCollection {
        /// The chaincode.
        chaincode: String,
        /// The name that is not there.
        collection: String,
    },
    /// What lscc keeps as a chaincode's collections is something else.
    #[error("the collections of chaincode {chaincode} in the state of lscc cannot be decoded: {source}")]
    Collections {
        /// The chaincode.
        chaincode: String,
        /// The decoder's error.
        source: prost::DecodeError,
    },
    /// The value is not here, or not the one whose hash is the newest: it never came to this peer, or its organisation is
    /// no member of the collection.
    #[error(
        "private data matching public hash version is not available. Public hash version = {}, Private data version = {}",
        height(*.hash), height(*.value)
    )]
    PrivateDataNotAvailable {
        /// The version of the hash.
        hash: Option<Version>,
        /// The version of the value that is here.
        value: Option<Version>,
    },
}

impl LedgerError {
    /// The same where opening a channel's file failed: what is wrong with the file is told apart from what is wrong with the
    /// system.
    pub(super) fn of_opening(self, path: &Path) -> Self {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};

        let Self::Storage(failed) = self else { return self };
        match *failed {
            redb::Error::Io(source) if !matches!(source.kind(), InvalidData | UnexpectedEof) => {
                Self::Io { action: "open", path: path.to_owned(), source }
            }
            redb::Error::DatabaseAlreadyOpen => Self::Storage(failed),
            damage => Self::Corrupted(format!("{}: {damage}", path.display())),
        }
    }

    /// Whether the store failed, so that nothing can be said about the block at hand.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Storage(_) | Self::Closed | Self::Corrupted(_) | Self::TransientStore { .. } | Self::Io { .. }
        )
    }
}

/// A version as Go prints it.
fn height(version: Option<Version>) -> String {
    match version {
        Some(Version { block, tx }) => format!("{{BlockNum: {block}, TxNum: {tx}}}"),
        None => "<nil>".into(),
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for LedgerError {
            fn from(error: $error) -> Self {
                match error.into() {
                    redb::Error::PreviousIo => Self::Closed,
                    error => Self::Storage(Box::new(error)),
                }
            }
        }
    )*};
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);
