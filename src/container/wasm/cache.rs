//! Compiled modules on disk.
//!
//! An entry's name is the hash of the module and of everything that its machine code depends on; its content starts with
//! a keyed hash over the rest, under a key that only this node's user can read. A stale, damaged or foreign entry is a
//! miss, never an error. What the key does not protect against is said in `docs/security.md`; what is removed again, in
//! `bound`.

mod bound;

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_lc_rs::{constant_time, hmac, rand};
use selvedge_aot::Staged;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use self::bound::Entries;
pub(super) use self::bound::InUse;
use super::componentize;

const KEY_FILE: &str = "key";
const KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 32;
/// What is read, hashed and staged at a time.
const CHUNK: usize = 64 << 10;

/// SHA-256 of a module as it came.
pub(super) type Digest256 = [u8; 32];

/// A folder of compiled modules, readable by this user alone.
pub(super) struct ModuleCache {
    folder: PathBuf,
    key: hmac::Key,
    entries: Entries,
}

impl ModuleCache {
    /// Opens the folder, making it and its key when missing. Its entries have `limit` bytes together, but for those that this
    /// process uses: none yet, so what is above the limit goes, whoever used it before.
    pub(super) fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Whoever can replace the key can have any machine code run in this process.
        if fs::metadata(folder)?.permissions().mode() & 0o022 != 0 {
            return Err(io::Error::other("others than its owner may write to it; chmod go-w it"));
        }
        let key = read_or_make_key(&folder.join(KEY_FILE))?;
        let entries = Entries::new(limit);
        entries.shrink(folder);
        Ok(Self { folder: folder.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key), entries })
    }

    /// Keeps the entry of this module, which there may or may not be, until this is dropped.
    pub(super) fn hold(&self, engine: &Engine, digest: &Digest256) -> InUse {
        self.entries.hold(self.path(engine, digest))
    }

    /// The component compiled from the module of this digest, if an intact entry for exactly this engine exists.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest256) -> Option<Component> {
        let mut entry = File::open(self.path(engine, digest)).ok()?;
        let mut tag = [0; TAG_LENGTH];
        entry.read_exact(&mut tag).ok()?;
        let mut hash = hmac::Context::with_key(&self.key);
        let mut staged = Staged::new().ok()?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = entry.read(&mut chunk).ok()?;
            if length == 0 {
                break;
            }
            hash.update(&chunk[..length]);
            staged.write_all(&chunk[..length]).ok()?;
        }
        constant_time::verify_slices_are_equal(hash.sign().as_ref(), &tag).ok()?;
        // When it was used last. A folder that cannot be written to grows no more, either.
        let _ = entry.set_modified(SystemTime::now());
        selvedge_aot::load(engine, &staged.promise_verified().ok()?).ok()
    }

    /// Keeps a compiled component, and makes room for it. Readers see the whole entry or none.
    pub(super) fn store(&self, engine: &Engine, digest: &Digest256, component: &Component) -> io::Result<()> {
        let compiled = component.serialize().map_err(io::Error::other)?;
        let tag = hmac::sign(&self.key, &compiled);
        let path = self.path(engine, digest);
        // A name of its own: the same module may be loaded twice at a time.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
        let write = || {
            let mut file = owner_only().create(true).truncate(true).open(&temporary)?;
            file.write_all(tag.as_ref())?;
            file.write_all(&compiled)?;
            fs::rename(&temporary, path)
        };
        // A full disk has no use for half a module.
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.entries.shrink(&self.folder);
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &Digest256) -> PathBuf {
        let mut settings = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut settings);
        let mut name = settings.0;
        // A core module becomes a component by what this host puts around it.
        name.update(Sha256::digest(componentize::wrapping()));
        name.update(digest);
        self.folder.join(format!("{}.{}", hex::encode(name.finalize()), bound::EXTENSION))
    }
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; KEY_LENGTH]> {
    let mut key = [0; KEY_LENGTH];
    if let Ok(bytes) = fs::read(path)
        && bytes.len() == KEY_LENGTH
    {
        key.copy_from_slice(&bytes);
        return Ok(key);
    }
    rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    owner_only().create(true).truncate(true).open(&temporary)?.write_all(&key)?;
    fs::rename(temporary, path)?;
    Ok(key)
}

/// Feeds wasmtime's compatibility hash, which speaks `Hash` only, into SHA-256.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0.clone().finalize()[..8]);
        u64::from_le_bytes(first)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &[u8] = br#"(component (core module (func (export "f"))))"#;
    const DIGEST: Digest256 = [1; 32];

    fn entry(folder: &Path) -> PathBuf {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap()
    }

    #[test]
    fn an_entry_is_used_only_whole_unaltered_and_under_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let component = Component::new(&engine, wat::parse_bytes(SOURCE).unwrap()).unwrap();
        let cache = ModuleCache::open(folder.path(), u64::MAX).unwrap();
        assert!(cache.load(&engine, &DIGEST).is_none(), "an empty cache is a miss");

        cache.store(&engine, &DIGEST, &component).unwrap();
        assert!(cache.load(&engine, &DIGEST).is_some());
        assert!(cache.load(&engine, &[2; 32]).is_none());
        assert!(
            ModuleCache::open(folder.path(), u64::MAX).unwrap().load(&engine, &DIGEST).is_some(),
            "the key is kept"
        );

        let path = entry(folder.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let intact = fs::read(&path).unwrap();
        for damage in [0, TAG_LENGTH, intact.len() / 2, intact.len() - 1] {
            let mut damaged = intact.clone();
            damaged[damage] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert!(cache.load(&engine, &DIGEST).is_none(), "byte {damage} altered");
        }
        fs::write(&path, &intact[..TAG_LENGTH - 1]).unwrap();
        assert!(cache.load(&engine, &DIGEST).is_none(), "cut short");

        fs::write(&path, &intact).unwrap();
        fs::write(folder.path().join(KEY_FILE), [7; KEY_LENGTH]).unwrap();
        assert!(ModuleCache::open(folder.path(), u64::MAX).unwrap().load(&engine, &DIGEST).is_none(), "another key");
    }

    #[test]
    fn an_entry_goes_for_room_when_it_is_not_in_use_and_can_be_stored_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let component = Component::new(&engine, wat::parse_bytes(SOURCE).unwrap()).unwrap();
        let (first, second, third): (Digest256, Digest256, Digest256) = ([1; 32], [2; 32], [3; 32]);
        let cache = ModuleCache::open(folder.path(), u64::MAX).unwrap();
        for digest in [&first, &second] {
            cache.store(&engine, digest, &component).unwrap();
            let entry = File::open(cache.path(&engine, digest)).unwrap();
            entry.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let size = fs::metadata(entry(folder.path())).unwrap().len();
        assert!(cache.load(&engine, &first).is_some(), "which uses it");

        let cache = ModuleCache::open(folder.path(), size).unwrap();
        assert!(cache.load(&engine, &second).is_none(), "unused for longest");
        let held = cache.hold(&engine, &first);
        let new = cache.hold(&engine, &third);
        cache.store(&engine, &third, &component).unwrap();
        assert!(cache.load(&engine, &first).is_some() && cache.load(&engine, &third).is_some(), "both are in use");
        ModuleCache::open(folder.path(), size).unwrap();
        assert!(cache.load(&engine, &first).is_none(), "a node that starts knows nothing of this one's");
        cache.store(&engine, &first, &component).unwrap();
        assert!(cache.load(&engine, &first).is_some() && cache.load(&engine, &third).is_some(), "both are in use");
        drop(held);
        cache.store(&engine, &third, &component).unwrap();
        assert!(cache.load(&engine, &first).is_none() && cache.load(&engine, &third).is_some());
        drop(new);
        cache.store(&engine, &first, &component).unwrap();
        assert_eq!(fs::metadata(entry(folder.path())).unwrap().len(), size, "one of them is there");
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = ModuleCache::open(folder.path(), u64::MAX).err().unwrap().to_string();
        assert!(error.contains("chmod go-w"), "{error}");
    }
}
