//! Channels that this node's orderer has made and that its peer has not joined yet (Fabric: a channel's ledger at the
//! orderer, which is there before any peer joins).
//!
//! Of such a channel there is block 0, in a file of its own. When the peer joins, the channel's ledger has the block and the
//! file is removed. Invariant: a channel is here once its file has its final name and is durable; a crash leaves a whole
//! file or none.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::Block;
use thiserror::Error;

use crate::channel::{Bundle, GenesisBlock};
use crate::ledger::block::header_hash;

const BLOCK: &str = "block";
const UNFINISHED: &str = "unfinished";
/// One at a time is written. Not named after its channel, whose name may be as long as a file's.
const UNFINISHED_BLOCK: &str = "creating.unfinished";

/// Why the channels that were made here cannot be read or kept.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct CreatedChannelsError {
    action: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// The channels that were made here, by name.
#[derive(Debug)]
pub struct CreatedChannels {
    dir: PathBuf,
    channels: RwLock<BTreeMap<String, Arc<CreatedChannel>>>,
    names: Mutex<()>,
}

/// The right to give a channel a name: nobody else creates or joins one meanwhile.
#[derive(Debug)]
pub struct Naming<'a> {
    _turn: MutexGuard<'a, ()>,
}

/// A channel that was made here.
#[derive(Debug)]
pub struct CreatedChannel {
    /// Block 0.
    pub block: Block,
    /// The configuration in it; none if the file is damaged, or holds what this version cannot use.
    pub bundle: Option<Bundle>,
    /// Where the block is kept.
    pub path: PathBuf,
}

impl CreatedChannel {
    /// Whether `other` is the channel's block 0.
    pub fn begins_with(&self, other: &Block) -> bool {
        let hash = |block: &Block| block.header.as_ref().map(header_hash);
        hash(&self.block) == hash(other)
    }
}

impl CreatedChannels {
    /// Opens the directory, and makes it where it does not exist. A channel that `is_joined` says is there needs its file
    /// no more.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn open(dir: &Path, is_joined: impl Fn(&str) -> bool) -> Result<Self, CreatedChannelsError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("make the directory", dir))?;
        let mut channels = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(io("list", dir))? {
            let path = entry.map_err(io("list", dir))?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => fs::remove_file(&path).map_err(io("remove", &path))?,
                Some(BLOCK) if is_joined(&name) => fs::remove_file(&path).map_err(io("remove", &path))?,
                Some(BLOCK) => {
                    channels.insert(name.clone(), Arc::new(read(&name, &path)?));
                }
                _ => {}
            }
        }
        Ok(Self { dir: dir.to_owned(), channels: RwLock::new(channels), names: Mutex::default() })
    }

    /// Held from the look at a name until the channel is there, by who creates a channel and by who joins one: of two
    /// channels of a name, one comes to be. Blocks the thread.
    pub fn naming(&self) -> Naming<'_> {
        Naming { _turn: self.names.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// A channel that was made here. It may have been joined since.
    pub fn get(&self, channel: &str) -> Option<Arc<CreatedChannel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// Keeps a channel, whose name there must not be yet. Blocks the thread until the disk has it.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing is kept then.
    pub fn add(&self, _naming: &Naming<'_>, block: Block, bundle: Bundle) -> Result<(), CreatedChannelsError> {
        let channel = bundle.channel().to_owned();
        let unfinished = self.dir.join(UNFINISHED_BLOCK);
        let path = self.path(&channel);
        let written = write(&unfinished, &block.encode_to_vec())
            .map_err(io("write", &unfinished))
            .and_then(|()| fs::rename(&unfinished, &path).map_err(io("rename", &unfinished)))
            .and_then(|()| sync(&self.dir));
        if written.is_err() {
            // Who is told that there is no channel must not find one at the next start, and the disk may be full.
            for file in [&unfinished, &path] {
                let _ = fs::remove_file(file);
            }
        }
        written?;
        let created = CreatedChannel { block, bundle: Some(bundle), path };
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(channel, Arc::new(created));
        Ok(())
    }

    /// Removes the file of a channel that the peer has joined. What is in memory stays until the node stops: whoever asked
    /// for the channel before it was joined may still look here.
    pub fn joined(&self, channel: &str) {
        let path = self.path(channel);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                // The next start tries again.
                tracing::warn!("[{channel}] cannot remove {}: {error}", path.display());
            }
            _ => {}
        }
    }

    /// Not [`Path::with_extension`], which would take what follows a dot in the channel's name for one.
    fn path(&self, channel: &str) -> PathBuf {
        self.dir.join(format!("{channel}.{BLOCK}"))
    }
}

fn read(channel: &str, path: &Path) -> Result<CreatedChannel, CreatedChannelsError> {
    let bytes = Bytes::from(fs::read(path).map_err(io("read", path))?);
    let path = path.to_owned();
    let usable = GenesisBlock::decode(&bytes).map_err(|error| error.to_string()).and_then(|genesis| {
        let bundle = Bundle::from_config(&genesis.channel, &genesis.config).map_err(|error| error.to_string())?;
        if bundle.channel() != channel {
            return Err(format!("it is that of channel {}", bundle.channel()));
        }
        Ok((genesis.block, bundle))
    });
    Ok(match usable {
        Ok((block, bundle)) => CreatedChannel { block, bundle: Some(bundle), path },
        Err(reason) => {
            tracing::error!(
                "[{channel}] its first block in {} cannot be used ({reason}); the channel has no other: remove the file, \
                 and create the channel anew",
                path.display()
            );
            CreatedChannel { block: Block::default(), bundle: None, path }
        }
    })
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(dir: &Path) -> Result<(), CreatedChannelsError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync", dir))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CreatedChannelsError {
    let path = path.to_owned();
    move |source| CreatedChannelsError { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GOLDEN_CHANNEL, Golden};

    fn recorded() -> (Block, Bundle) {
        let block = Golden::V1_4.block(0).expect("a block");
        let bundle = Bundle::from_config_block(&block).expect("a configuration");
        (block, bundle)
    }

    fn files(dir: &Path) -> Vec<String> {
        let files = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        files.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_channel_is_kept_until_it_is_joined() {
        let folder = tempfile::tempdir().expect("a directory");
        let dir = folder.path().join("orderer");
        let (block, bundle) = recorded();
        let created = CreatedChannels::open(&dir, |_| false).expect("made");
        assert!(created.get(GOLDEN_CHANNEL).is_none());
        created.add(&created.naming(), block.clone(), bundle).expect("kept");

        fs::write(dir.join("cut.unfinished"), b"what a crash left").expect("written");
        let again = CreatedChannels::open(&dir, |_| false).expect("read");
        assert_eq!(files(&dir), ["goldchan.block"]);
        let found = again.get(GOLDEN_CHANNEL).expect("kept");
        assert!(found.begins_with(&block) && found.block == block && found.bundle.is_some());
        assert!(!found.begins_with(&Golden::V1_4.block(1).expect("a block")));

        again.joined(GOLDEN_CHANNEL);
        again.joined(GOLDEN_CHANNEL);
        assert!(files(&dir).is_empty() && again.get(GOLDEN_CHANNEL).is_some(), "whoever asked before may still look");
    }

    #[test]
    fn a_join_that_a_crash_cut_short_is_finished_at_the_next_start() {
        let folder = tempfile::tempdir().expect("a directory");
        let (block, bundle) = recorded();
        let created = CreatedChannels::open(folder.path(), |_| false).expect("made");
        created.add(&created.naming(), block, bundle).expect("kept");
        let joined = CreatedChannels::open(folder.path(), |channel| channel == GOLDEN_CHANNEL).expect("read");
        assert!(joined.get(GOLDEN_CHANNEL).is_none() && files(folder.path()).is_empty());
    }

    #[test]
    fn a_damaged_file_keeps_its_name_and_stops_nobody() {
        let folder = tempfile::tempdir().expect("a directory");
        let (block, _) = recorded();
        fs::write(folder.path().join("cut.block"), b"no block").expect("written");
        fs::write(folder.path().join("other.block"), block.encode_to_vec()).expect("written");
        let created = CreatedChannels::open(folder.path(), |_| false).expect("read");
        for name in ["cut", "other"] {
            assert!(created.get(name).is_some_and(|channel| channel.bundle.is_none()), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_not_there() {
        let folder = tempfile::tempdir().expect("a directory");
        let (block, bundle) = recorded();
        let created = CreatedChannels::open(folder.path(), |_| false).expect("made");
        fs::remove_dir(folder.path()).expect("empty");
        let error = created.add(&created.naming(), block, bundle).expect_err("there is no directory").to_string();
        assert!(error.starts_with("cannot write ") && error.contains("creating.unfinished: No such file"), "{error}");
        assert!(created.get(GOLDEN_CHANNEL).is_none());
    }
}
