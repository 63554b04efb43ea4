//! How large the cache of compiled modules becomes: beyond its limit, the entries that were not used for longest go.
//!
//! When an entry was used last is its file's time of modification, so the order outlives the node. Looked at when the cache
//! is opened, and after each entry that is stored. Invariants: the entry of a module that is loaded stays, even above the
//! limit, while this process has it loaded (a restart, and other processes, know nothing of it), and removing any other
//! costs no more than compiling it again; an entry that cannot be removed keeps no other where it is; and who begins or ends
//! a use waits for no more than one removal.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Of entries' files.
pub(super) const EXTENSION: &str = "cwasm";

/// Of files that are being written.
const UNFINISHED: &str = "new";

/// Writing an entry takes seconds; what is older than this was left behind by a node that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// How many modules in this process have the entry.
type Uses = Arc<Mutex<HashMap<PathBuf, usize>>>;

/// The entries of a folder.
pub(super) struct Entries {
    /// In bytes, all together.
    limit: u64,
    uses: Uses,
}

/// Keeps an entry where it is until this is dropped.
pub(in super::super) struct InUse {
    path: PathBuf,
    uses: Uses,
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut uses = lock(&self.uses);
        if let Some(count) = uses.get_mut(&self.path) {
            *count -= 1;
            if *count == 0 {
                uses.remove(&self.path);
            }
        }
    }
}

struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

#[derive(PartialEq, Eq)]
enum Removed {
    /// By whomever.
    Yes,
    /// Somebody has begun to use it.
    InUse,
}

/// Of many steps, none of which keeps the others from being taken.
#[derive(Default)]
struct FirstError(Option<io::Error>);

impl FirstError {
    /// What came of a step; none for an error, which is kept if it is the first.
    fn keep<T>(&mut self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) => {
                self.0.get_or_insert_with(|| io::Error::new(error.kind(), format!("{}: {error}", path.display())));
                None
            }
        }
    }
}

impl Entries {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, uses: Uses::default() }
    }

    pub(super) fn hold(&self, path: PathBuf) -> InUse {
        *lock(&self.uses).entry(path.clone()).or_default() += 1;
        InUse { path, uses: self.uses.clone() }
    }

    /// Removes what is too much. A cache that stays too large is no reason to fail.
    pub(super) fn shrink(&self, folder: &Path) {
        if let Err(error) = self.remove_least_recently_used(folder) {
            tracing::warn!(
                "the cache of compiled modules {} may stay above its limit (chaincode.wasm.cacheSize): {error}",
                folder.display()
            );
        }
    }

    fn remove_least_recently_used(&self, folder: &Path) -> io::Result<()> {
        let mut first_error = FirstError::default();
        let entries = list(folder, &mut first_error)?;
        self.make_room(entries, &mut first_error);
        first_error.0.map_or(Ok(()), Err)
    }

    fn make_room(&self, mut entries: Vec<Entry>, first_error: &mut FirstError) {
        let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
        if total <= self.limit {
            return;
        }
        entries.sort_by_key(|entry| entry.used);
        let mut removed = 0;
        for Entry { path, size, .. } in entries {
            if self.is_in_use(&path) {
                // What is in use is used now, however long ago it was loaded.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            } else if total > self.limit && first_error.keep(&path, self.remove_unused(&path)) == Some(Removed::Yes) {
                total -= size;
                removed += 1;
            }
        }
        if removed > 0 {
            let limit = self.limit;
            tracing::info!(
                "{removed} compiled modules that were not in use were removed: the cache had more than {limit} bytes \
                 (chaincode.wasm.cacheSize)"
            );
        }
    }

    fn is_in_use(&self, path: &Path) -> bool {
        lock(&self.uses).contains_key(path)
    }

    fn remove_unused(&self, path: &Path) -> io::Result<Removed> {
        // Held to the end, so that nobody begins to use what is on its way out.
        let uses = lock(&self.uses);
        if uses.contains_key(path) {
            return Ok(Removed::InUse);
        }
        remove(path).map(|()| Removed::Yes)
    }
}

/// The folder's entries. What was never finished is removed on the way.
fn list(folder: &Path, first_error: &mut FirstError) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder)? {
        let Some(file) = first_error.keep(folder, file) else { continue };
        let path = file.path();
        let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else { continue };
        if extension != EXTENSION && extension != UNFINISHED {
            continue;
        }
        let metadata = match fs::symlink_metadata(&path) {
            // Another node of the same cache was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.and_then(|metadata| Ok((metadata.modified()?, metadata))),
        };
        let Some((used, metadata)) = first_error.keep(&path, metadata) else { continue };
        if !metadata.is_file() {
            continue;
        }
        if extension == EXTENSION {
            entries.push(Entry { path, size: metadata.len(), used });
        } else if used.elapsed().is_ok_and(|age| age > ABANDONED) {
            first_error.keep(&path, remove(&path));
        }
    }
    Ok(entries)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn lock(uses: &Uses) -> MutexGuard<'_, HashMap<PathBuf, usize>> {
    uses.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// An entry of ten bytes that was used so many seconds ago.
    fn entry(folder: &Path, name: &str, age: u64) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, [0; 10]).unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn the_least_recently_used_goes_first_and_nothing_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let oldest = entry(folder, "a.cwasm", 400);
        for (name, age) in [("b.cwasm", 300), ("c.cwasm", 200), ("d.cwasm", 100), ("key", 500)] {
            entry(folder, name, age);
        }
        let entries = Entries::new(30);
        let (once, twice) = (entries.hold(oldest.clone()), entries.hold(oldest));
        entries.shrink(folder);
        assert_eq!(names(folder), ["a.cwasm", "c.cwasm", "d.cwasm", "key"], "b is the oldest that nobody has");
        entries.shrink(folder);
        assert_eq!(names(folder).len(), 4, "there is room for three");

        drop(once);
        let strict = Entries { limit: 0, uses: entries.uses.clone() };
        strict.shrink(folder);
        assert_eq!(names(folder), ["a.cwasm", "key"], "in use, above the limit");
        entry(folder, "e.cwasm", 50);
        drop(twice);
        Entries { limit: 10, uses: entries.uses.clone() }.shrink(folder);
        assert_eq!(names(folder), ["a.cwasm", "key"], "it was in use later than the other");
        strict.shrink(folder);
        assert_eq!(names(folder), ["key"]);
    }

    #[test]
    fn what_a_killed_node_left_unfinished_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        entry(folder.path(), "a.12-0.new", 2 * ABANDONED.as_secs());
        entry(folder.path(), "b.13-0.new", 10);
        entry(folder.path(), "other", 2 * ABANDONED.as_secs());
        Entries::new(0).shrink(folder.path());
        assert_eq!(names(folder.path()), ["b.13-0.new", "other"]);
    }

    #[test]
    fn what_cannot_be_removed_is_told_and_keeps_no_other_entry_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = |name, age| {
            let path = entry(folder, name, age);
            Entry { path, size: 10, used: SystemTime::now() - Duration::from_secs(age) }
        };
        let mut entries: Vec<_> = [("a.cwasm", 400), ("b.cwasm", 300), ("c.cwasm", 200), ("d.cwasm", 100)]
            .map(|(name, age)| file(name, age))
            .into();
        // What is not a file cannot be removed as one, whoever the tests run as.
        for stubborn in &entries[..2] {
            fs::remove_file(&stubborn.path).unwrap();
            fs::create_dir(&stubborn.path).unwrap();
        }
        entries.reverse();
        let mut first_error = FirstError::default();
        Entries::new(30).make_room(entries, &mut first_error);
        assert_eq!(names(folder), ["a.cwasm", "b.cwasm", "d.cwasm"], "c is the oldest that can go");
        let error = first_error.0.unwrap().to_string();
        assert!(error.contains("a.cwasm: "), "{error}");
    }

    #[test]
    fn what_is_no_file_is_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["a.cwasm", "b.12-0.new"] {
            fs::create_dir(folder.join(name)).unwrap();
            let ago = SystemTime::now() - 2 * ABANDONED;
            File::open(folder.join(name)).unwrap().set_modified(ago).unwrap();
        }
        entry(folder, "c.cwasm", 10);
        Entries::new(0).remove_least_recently_used(folder).unwrap();
        assert_eq!(names(folder), ["a.cwasm", "b.12-0.new"]);
    }

    #[test]
    fn who_begins_or_ends_a_use_does_not_wait_for_the_folder_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        entry(&path, "a.cwasm", 10);
        let entries = Entries::new(10);
        let uses = entries.uses.clone();
        let beginning = lock(&uses);
        let (done, looked) = mpsc::channel();
        let looking = thread::spawn(move || {
            entries.shrink(&path);
            done.send(()).unwrap();
        });
        looked.recv_timeout(Duration::from_secs(60)).expect("it looks without them, and nothing is too much");
        drop(beginning);
        looking.join().unwrap();
    }
}
