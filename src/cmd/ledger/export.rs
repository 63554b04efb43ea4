//! A block as JSON.

use anyhow::{Context, bail};
use bytes::Bytes;
use prost::Message;

use crate::cmd::channel::{Session, Target};
use crate::cmd::connect::OrdererFlags;
use crate::operations::LogControl;
use crate::protolator;

/// The JSON of the block that `block` means.
pub(super) fn text(block: &str, channel: Option<&str>, orderer: &OrdererFlags) -> anyhow::Result<String> {
    let bytes = match Target::parse(Some(block)) {
        Ok(target) => fetch(target, channel, orderer)?,
        Err(_) => read(block)?,
    };
    let json = protolator::to_json("common.Block", &bytes).with_context(|| format!("cannot read {block}"))?;
    Ok(protolator::text(&json))
}

fn fetch(target: Target, channel: Option<&str>, orderer: &OrdererFlags) -> anyhow::Result<Bytes> {
    let Some(channel) = channel.filter(|channel| !channel.is_empty()) else { bail!("Must supply channel ID") };
    let config = crate::cmd::load_config()?;
    LogControl::install(&config.logging_spec)?;
    let session = Session::new(&config, orderer)?;
    let block = crate::cmd::block_on(session.fetch(channel, target, false))?;
    Ok(block.encode_to_vec().into())
}

fn read(path: &str) -> anyhow::Result<Bytes> {
    let bytes = std::fs::read(path).with_context(|| {
        format!("cannot read block file {path}; write a file, or newest, oldest, config or a number with -c")
    })?;
    Ok(bytes.into())
}
