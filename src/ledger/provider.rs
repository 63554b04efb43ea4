//! The directory with the databases of all channels (Fabric: `ledgermgmt`, `kvledger.Provider`).
//!
//! Invariant: one node works on a directory at a time, and only on one whose format it knows. A channel exists once its
//! file has its final name, which is after block 0 is durable in it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use selvedge_proto::common::Block;

use super::state_database::CouchDb;
use super::{Ledger, LedgerError, PrivateDataSupport};
use crate::channel::is_channel_name;

/// What [`FORMAT_FILE`] says. A change of a table or of a value's encoding needs another.
const FORMAT: &str = "2";
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const DATABASE: &str = "redb";
/// A database that is being made. What a crash leaves of it is removed at the next start.
const UNFINISHED: &str = "unfinished";
/// One at a time is made. Not named after its channel, whose name may be as long as a file's.
const UNFINISHED_LEDGER: &str = "joining.unfinished";

/// All ledgers of a node.
#[derive(Debug)]
pub struct LedgerProvider {
    dir: PathBuf,
    pub(super) ledgers: Mutex<BTreeMap<String, Arc<Ledger>>>,
    pub(super) couchdb: OnceLock<CouchDb>,
    unopened: BTreeMap<String, String>,
    private: OnceLock<Arc<PrivateDataSupport>>,
    /// Held while a channel is made, which waits for the disk; those who look a ledger up don't.
    joining: Mutex<()>,
    _lock: DirectoryLock,
}

impl LedgerProvider {
    /// Opens the directory and the channels in it; makes it where it does not exist. A channel that cannot be opened is left
    /// out, and the log says why.
    ///
    /// # Errors
    /// When another node has it open, when its format is not ours, or when the directory or a file of its own fails.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        make_dir(dir).map_err(|source| io("make the directory", dir, source))?;
        let lock = DirectoryLock::take(dir)?;
        let files = files(dir)?;
        check_format(dir, &files)?;
        let (mut ledgers, mut unopened) = (BTreeMap::new(), BTreeMap::new());
        for path in files {
            let channel = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => fs::remove_file(&path).map_err(|source| io("remove", &path, source))?,
                Some(DATABASE) => match Ledger::open(&path, channel) {
                    Ok(ledger) => drop(ledgers.insert(channel.to_owned(), Arc::new(ledger))),
                    Err(error) => {
                        tracing::error!("Failed to load ledger {channel}({error})");
                        unopened.insert(channel.to_owned(), error.to_string());
                    }
                },
                _ => {}
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            ledgers: Mutex::new(ledgers),
            couchdb: OnceLock::new(),
            unopened,
            private: OnceLock::new(),
            joining: Mutex::default(),
            _lock: lock,
        })
    }

    /// Has all ledgers, those of later channels too, keep private data. Once, and before any block is committed.
    pub fn keep_private_data(&self, support: PrivateDataSupport) {
        let support = self.private.get_or_init(|| Arc::new(support));
        for ledger in self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            ledger.private.get_or_init(|| Arc::clone(support));
        }
    }

    /// Joins a channel: makes its ledger with `genesis` as block 0, whose transactions are all valid.
    ///
    /// # Errors
    /// When the name is not one, the channel exists, the block is not a block 0, or the database fails. Blocks the thread
    /// until the disk has the channel.
    pub fn create(&self, channel: &str, genesis: &Block) -> Result<Arc<Ledger>, LedgerError> {
        if !is_channel_name(channel) {
            return Err(LedgerError::InvalidChannelId(channel.to_owned()));
        }
        let _joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        if self.get(channel).is_some() {
            return Err(LedgerError::LedgerExists);
        }
        if let Some(reason) = self.unopened.get(channel) {
            return Err(LedgerError::Unopened { channel: channel.to_owned(), reason: reason.clone() });
        }
        let unfinished = self.dir.join(UNFINISHED_LEDGER);
        // Not with_extension, which would take what follows a dot in the channel's name for one.
        let path = self.dir.join(format!("{channel}.{DATABASE}"));
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &unfinished, error)),
            _ => {}
        }
        let ledger = self.make(&unfinished, &path, channel, genesis).inspect_err(|_| {
            // Who is told that the channel was not joined must not find it at the next start, and the disk may be full.
            for file in [&unfinished, &path] {
                let _ = fs::remove_file(file);
            }
        })?;
        let ledger = Arc::new(ledger);
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.insert(channel.to_owned(), Arc::clone(&ledger));
        Ok(ledger)
    }

    fn make(&self, unfinished: &Path, path: &Path, channel: &str, genesis: &Block) -> Result<Ledger, LedgerError> {
        Ledger::create(unfinished, channel, genesis)?;
        fs::rename(unfinished, path).map_err(|source| io("rename", unfinished, source))?;
        sync_dir(&self.dir)?;
        let ledger = Ledger::open(path, channel)?;
        if let Some(support) = self.private.get() {
            ledger.private.get_or_init(|| Arc::clone(support));
        }
        if let Some(couchdb) = self.couchdb.get() {
            ledger.use_couchdb(couchdb)?;
        }
        Ok(ledger)
    }

    /// The ledger of a channel that was joined.
    pub fn get(&self, channel: &str) -> Option<Arc<Ledger>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// The channels on disk that could not be opened, and why.
    pub fn unopened(&self) -> &BTreeMap<String, String> {
        &self.unopened
    }

    /// What an operator has to see to: channels that could not be opened, and channels that are halted.
    pub fn failure(&self) -> Option<String> {
        let unopened = self.unopened.iter();
        let unopened = unopened.map(|(channel, reason)| format!("channel {channel} could not be opened: {reason}"));
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let halted = ledgers.iter().filter_map(|(channel, ledger)| Some((channel, ledger.halted()?)));
        let halted = halted.map(|(channel, reason)| format!("channel {channel} is halted: {reason}"));
        let failures: Vec<_> = unopened.chain(halted).collect();
        (!failures.is_empty()).then(|| failures.join("; "))
    }

    /// The names of all channels that are open, sorted.
    pub fn channels(&self) -> Vec<String> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// The sole right to a directory, until it is dropped.
///
/// Closing the file would not do: a child process that is just being made has it, too, until it runs its program, and whoever
/// opens the directory in that moment would be told of another node. So it is unlocked, which holds for all who have it.
#[derive(Debug)]
struct DirectoryLock(File);

impl DirectoryLock {
    fn take(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join(LOCK_FILE);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LedgerError::DirectoryInUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(io("lock", &path, source)),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing it, which comes next, is what is left where this fails.
        let _ = self.0.unlock();
    }
}

/// Makes a directory, and those above it, for the node's user alone, so that a crash does not take them with all that is in
/// them.
pub(super) fn make_dir(dir: &Path) -> std::io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if dir.is_dir() {
        return Ok(());
    }
    make_dir(parent)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if !dir.is_dir() => Err(std::io::ErrorKind::NotADirectory.into()),
        _ => File::open(parent)?.sync_all(),
    }
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    let entries = fs::read_dir(dir).map_err(|source| io("list", dir, source))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(|source| io("list", dir, source))).collect()
}

fn check_format(dir: &Path, files: &[PathBuf]) -> Result<(), LedgerError> {
    let path = dir.join(FORMAT_FILE);
    let found = match fs::read_to_string(&path) {
        Ok(found) => found.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if !files.iter().any(|file| file.extension().is_some_and(|extension| extension == DATABASE)) {
                return write_format(dir, &path);
            }
            String::new()
        }
        Err(source) => return Err(io("read", &path, source)),
    };
    if found == FORMAT {
        return Ok(());
    }
    Err(LedgerError::UnknownFormat { dir: dir.to_owned(), found, supported: FORMAT })
}

fn write_format(dir: &Path, path: &Path) -> Result<(), LedgerError> {
    // Through a rename: a crash may not leave an empty file, which would be an unknown format.
    let new = dir.join(format!("{FORMAT_FILE}.new"));
    let write = || {
        fs::write(&new, format!("{FORMAT}\n"))?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| io("write", path, source))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| io("sync", dir, source))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> LedgerError {
    LedgerError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ledger::block;

    fn genesis() -> Block {
        block::new_block(0, Bytes::new(), vec![])
    }

    #[test]
    fn a_second_node_on_the_directory_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let first = LedgerProvider::open(dir.path()).unwrap();
        assert!(matches!(LedgerProvider::open(dir.path()), Err(LedgerError::DirectoryInUse(_))));
        drop(first);
        LedgerProvider::open(dir.path()).unwrap();
    }

    #[test]
    fn a_process_that_is_being_made_does_not_keep_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = LedgerProvider::open(dir.path()).unwrap();
        // What a child has between fork and exec: not the file opened again, but this very one.
        let _childs = first._lock.0.try_clone().unwrap();
        drop(first);
        LedgerProvider::open(dir.path()).unwrap();
    }

    #[test]
    fn a_format_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        LedgerProvider::open(dir.path()).unwrap();
        fs::write(dir.path().join(FORMAT_FILE), "7\n").unwrap();
        let error = LedgerProvider::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("has format \"7\", this version reads format \"2\""), "{error}");
        fs::remove_file(dir.path().join(FORMAT_FILE)).unwrap();
        fs::write(dir.path().join("mychannel.redb"), "").unwrap();
        assert!(matches!(LedgerProvider::open(dir.path()), Err(LedgerError::UnknownFormat { .. })));
    }

    #[test]
    fn a_damaged_channel_is_left_out_and_the_others_open() {
        let dir = tempfile::tempdir().unwrap();
        let provider = LedgerProvider::open(dir.path()).unwrap();
        provider.create("good", &genesis()).unwrap();
        provider.create("bad", &genesis()).unwrap();
        assert_eq!(provider.failure(), None);
        drop(provider);
        let whole = fs::read(dir.path().join("bad.redb")).unwrap();
        let with = |at: usize, bytes: &[u8]| {
            let mut damaged = whole.clone();
            damaged[at..at + bytes.len()].copy_from_slice(bytes);
            damaged
        };
        let magic = "Not a redb database: magic number mismatch";
        for (content, reason) in [
            (Vec::new(), "Database file is empty and creating a new database was not requested"),
            (b"redb\x1a".to_vec(), magic),
            (with(0, b"x"), magic),
            (whole[..whole.len() / 2].to_vec(), ""),
            (whole[..4096].to_vec(), ""),
            (with(64, &[0xff; 256]), ""),
            (with(4096, &vec![0xff; whole.len() - 4096]), ""),
            (vec![0x55; whole.len()], magic),
        ] {
            fs::write(dir.path().join("bad.redb"), content).unwrap();
            let provider = LedgerProvider::open(dir.path()).unwrap();
            assert_eq!(provider.channels(), ["good"], "{reason}");
            let said = provider.unopened().get("bad").expect("it is named");
            assert!(said.starts_with("the ledger's database is damaged: ") && said.contains(reason), "{said}");
            assert_eq!(provider.failure(), Some(format!("channel bad could not be opened: {said}")));
            let refused = provider.create("bad", &genesis()).unwrap_err().to_string();
            assert_eq!(refused, format!("the ledger of channel bad could not be opened: {said}"));
        }
        fs::write(dir.path().join("bad.redb"), whole).unwrap();
        assert_eq!(LedgerProvider::open(dir.path()).unwrap().channels(), ["bad", "good"]);
    }

    #[test]
    fn what_is_made_is_for_the_nodes_user_alone() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let ledgers = dir.path().join("data/ledgers");
        LedgerProvider::open(&ledgers).unwrap().create("mychannel", &genesis()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("data")), 0o700);
        assert_eq!(mode(&ledgers), 0o700);
        assert_eq!(mode(&ledgers.join("mychannel.redb")), 0o600);
    }

    /// Whatever a kill leaves of a channel that is being made: every moment is a prefix of its unfinished file, or the whole
    /// file under its final name.
    #[test]
    fn a_channel_whose_making_was_interrupted_is_not_there_or_whole() {
        let dir = tempfile::tempdir().unwrap();
        LedgerProvider::open(dir.path()).unwrap().create("whole", &genesis()).unwrap();
        let whole = fs::read(dir.path().join("whole.redb")).unwrap();
        for length in [0, 1, 320, 4096, whole.len() / 2, whole.len()] {
            fs::write(dir.path().join("half.unfinished"), &whole[..length]).unwrap();
            let provider = LedgerProvider::open(dir.path()).unwrap();
            assert_eq!(provider.channels(), ["whole"], "{length} bytes");
            assert!(!dir.path().join("half.unfinished").exists());
            // Left behind while the node runs, too.
            fs::write(dir.path().join(UNFINISHED_LEDGER), &whole[..length]).unwrap();
            provider.create("half", &genesis()).unwrap();
            drop(provider);
            fs::remove_file(dir.path().join("half.redb")).unwrap();
        }
        fs::rename(dir.path().join("whole.redb"), dir.path().join("other.redb")).unwrap();
        let provider = LedgerProvider::open(dir.path()).unwrap();
        assert_eq!(provider.get("other").unwrap().height().unwrap(), 1);
    }

    #[test]
    fn a_channel_that_cannot_be_made_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let provider = LedgerProvider::open(dir.path()).unwrap();
        let before = files(dir.path()).unwrap().len();
        let refused = provider.create("mychannel", &block::new_block(1, Bytes::new(), vec![])).unwrap_err();
        assert!(refused.to_string().contains("the next block is number 0"), "{refused}");
        assert_eq!(files(dir.path()).unwrap().len(), before);
        provider.create("mychannel", &genesis()).unwrap();
    }

    #[test]
    fn a_channel_is_joined_once_and_found_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let provider = LedgerProvider::open(dir.path()).unwrap();
        provider.create("my.channel", &genesis()).unwrap();
        assert!(matches!(provider.create("my.channel", &genesis()), Err(LedgerError::LedgerExists)));
        for name in ["", "../up", "Upper", "1st", "a/b", &"a".repeat(250)] {
            assert!(matches!(provider.create(name, &genesis()), Err(LedgerError::InvalidChannelId(_))), "{name}");
        }
        drop(provider);
        fs::write(dir.path().join("half.unfinished"), "").unwrap();
        let provider = LedgerProvider::open(dir.path()).unwrap();
        assert_eq!(provider.channels(), ["my.channel"]);
        assert_eq!(provider.get("my.channel").unwrap().height().unwrap(), 1);
        assert!(!dir.path().join("half.unfinished").exists());
    }
}
