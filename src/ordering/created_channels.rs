//! Channels that this node's orderer has made and that its peer has not joined yet (Fabric: a channel's ledger at the
//! orderer, which is there before any peer joins).
//!
//! Of such a channel there is block 0, in a file of its own. When the peer joins, the channel's ledger has the block and the
//! file is removed. Invariant: a channel is here once its file has its final name and is durable; a crash leaves a whole
//! file or none.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::Block;
use thiserror::Error;

use crate::channel::{Bundle, GenesisBlock};
use crate::ledger::block::header_hash;

const BLOCK: &str = "block";
const UNFINISHED: &str = "unfinished";

/// Why the channels that were made here cannot be read or kept.
#[derive(Debug, Error)]
#[error("cannot {action} {path}: {source}")]
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
        Ok(Self { dir: dir.to_owned(), channels: RwLock::new(channels) })
    }

    /// A channel that was made here. It may have been joined since.
    pub fn get(&self, channel: &str) -> Option<Arc<CreatedChannel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    /// Keeps a channel, whose name there must not be yet. Blocks the thread until the disk has it.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing is kept then.
    pub fn add(&self, block: Block, bundle: Bundle) -> Result<(), CreatedChannelsError> {
        let channel = bundle.channel().to_owned();
        let unfinished = self.dir.join(format!("{channel}.{UNFINISHED}"));
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
    let mut file = File::create(path)?;
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
