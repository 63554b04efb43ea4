//! A disk in memory that keeps apart what was synced and what was not, and that fails when it is told to.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What a test asks of the disk. Operations count from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Work,
    /// The machine stops at this write, change of length or sync: it and all after it do not happen.
    Crash(u64),
    /// This operation, a read too, fails with the error (of the system's numbers). The next ones work.
    FailOnce(u64, i32),
    /// From this operation on, writes and changes of length fail: the disk is full.
    Full(u64),
}

/// What of the unsynced writes a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// All of them are lost.
    All,
    /// None: the process died, and the system went on.
    Nothing,
    /// The last one is there up to this many thousandths of it, those before it are whole.
    Torn(usize),
    /// Any sectors of any of them are there, by a generator with this seed.
    Random(u64),
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug)]
struct Content {
    /// What is on the platter.
    synced: Vec<u8>,
    /// What was asked for since.
    unsynced: Vec<Change>,
    /// What a reader sees.
    current: Vec<u8>,
    plan: Plan,
    /// Writes, changes of length and syncs so far.
    changes: u64,
    /// These and reads.
    operations: u64,
}

/// Clones are handles of one disk.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<Content>>);

impl Disk {
    pub(super) fn new(content: Vec<u8>, plan: Plan) -> Self {
        let current = content.clone();
        let content = Content { synced: content, unsynced: Vec::new(), current, plan, changes: 0, operations: 0 };
        Self(Arc::new(Mutex::new(content)))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes, changes of length and syncs so far.
    pub(super) fn changes(&self) -> u64 {
        self.content().changes
    }

    /// All operations so far, reads too.
    pub(super) fn operations(&self) -> u64 {
        self.content().operations
    }

    /// What is there after the crash.
    pub(super) fn after(&self, loss: Loss) -> Vec<u8> {
        let content = self.content();
        let mut left = content.synced.clone();
        let mut random = match loss {
            Loss::Random(seed) => Random(seed),
            _ => Random(0),
        };
        for (index, change) in content.unsynced.iter().enumerate() {
            let last = index + 1 == content.unsynced.len();
            match (change, loss) {
                (_, Loss::All) => {}
                (Change::Write(offset, data), Loss::Torn(thousandths)) if last => {
                    write(&mut left, *offset, &data[..data.len() * thousandths / 1000]);
                }
                (Change::Write(offset, data), Loss::Random(_)) => {
                    for (sector, data) in data.chunks(SECTOR).enumerate() {
                        if random.coin() {
                            write(&mut left, offset + sector * SECTOR, data);
                        }
                    }
                }
                (Change::Length(length), Loss::Random(_)) => {
                    if random.coin() {
                        left.resize(*length, 0);
                    }
                }
                (change, _) => apply(&mut left, change),
            }
        }
        left
    }
}

/// SplitMix64: the tests are repeatable without anybody keeping seeds.
struct Random(u64);

impl Random {
    fn coin(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => write(content, *offset, data),
        Change::Length(length) => content.resize(*length, 0),
    }
}

impl Content {
    fn counted(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.plan {
            Plan::FailOnce(at, error) if self.operations == at => Err(io::Error::from_raw_os_error(error)),
            Plan::Crash(at) if self.changes >= at => Err(io::Error::other("the machine has stopped")),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.changes += 1;
        self.counted()?;
        if let Plan::Full(from) = self.plan
            && self.operations >= from
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        apply(&mut self.current, &change);
        self.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let mut content = self.content();
        content.counted()?;
        Ok(content.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut content = self.content();
        content.counted()?;
        let offset = offset as usize;
        let found = content.current.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.content().change(Change::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.content();
        content.changes += 1;
        content.counted()?;
        let content = &mut *content;
        for change in content.unsynced.drain(..) {
            apply(&mut content.synced, &change);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.content().change(Change::Write(offset as usize, data.to_vec()))
    }
}
