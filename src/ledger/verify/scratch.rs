//! A database that nobody needs afterwards.
//!
//! Invariant: its file has no name, so that nothing is left of it, and the disk is never waited for.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

use crate::ledger::LedgerError;
use crate::ledger::channel_ledger::CACHE_BYTES;
use crate::ledger::guard::GuardedDatabase;

/// Makes one, in a folder with room for it.
pub(super) fn database(folder: &Path) -> Result<GuardedDatabase, LedgerError> {
    let path = folder.join(format!("verify-{}.unfinished", uuid::Uuid::new_v4()));
    let io = |action| {
        let path = path.clone();
        move |source| LedgerError::Io { action, path, source }
    };
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(io("make"))?;
    fs::remove_file(&path).map_err(io("remove"))?;
    let unsynced = Unsynced(FileBackend::new(file)?);
    let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(unsynced)?;
    Ok(GuardedDatabase::new(database))
}

#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
