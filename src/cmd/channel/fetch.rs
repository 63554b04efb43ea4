//! Writing a block to a file (Fabric: `peer/channel/fetch.go`, `peer/common.DeliverClient`).

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use prost::Message;
use selvedge_proto::common::{Block, Status};
use selvedge_proto::orderer::deliver_response::Type as FromOrderer;
use selvedge_proto::orderer::seek_info::SeekErrorResponse;
use selvedge_proto::protos::deliver_response::Type as FromPeer;
use tracing::info;

use super::Session;
use crate::client::{BlockPosition, create_fetch_envelope};
use crate::cmd::connect::Connection;
use crate::cmd::services::{Orderer, Peer, RpcError};
use crate::ledger::block::last_config_index;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cmd) enum Target {
    Block(BlockPosition),
    /// The newest block with a configuration.
    Config,
}

impl Target {
    pub(in crate::cmd) fn parse(text: Option<&str>) -> anyhow::Result<Self> {
        Ok(match text {
            None => bail!("fetch target required, oldest, newest, config, or a number"),
            Some("oldest") => Self::Block(BlockPosition::Oldest),
            Some("newest") => Self::Block(BlockPosition::Newest),
            Some("config") => Self::Config,
            Some(text) => match text.parse() {
                Ok(number) => Self::Block(BlockPosition::Number(number)),
                Err(_) => bail!("fetch target illegal: {text}; write newest, oldest, config, or a number"),
            },
        })
    }

    pub(super) fn default_file(self, channel: &str) -> PathBuf {
        let target = match self {
            Self::Block(BlockPosition::Oldest) => "oldest".to_owned(),
            Self::Block(BlockPosition::Newest) => "newest".to_owned(),
            Self::Block(BlockPosition::Number(number)) => number.to_string(),
            Self::Config => "config".to_owned(),
        };
        format!("{channel}_{target}.block").into()
    }
}

pub(super) fn write(path: &Path, block: &Block) -> anyhow::Result<()> {
    std::fs::write(path, block.encode_to_vec()).with_context(|| format!("cannot write the block to {}", path.display()))
}

impl Session {
    pub(in crate::cmd) async fn fetch(
        &self,
        channel: &str,
        target: Target,
        best_effort: bool,
    ) -> anyhow::Result<Block> {
        let errors = if best_effort { SeekErrorResponse::BestEffort } else { SeekErrorResponse::Strict };
        let source = if self.connector.names_an_orderer() {
            Source::Orderer(Orderer(self.connector.orderer().await.context("failed to create deliver client")?))
        } else {
            let peer = self.connector.peer("deliver").await;
            Source::Peer(Peer(
                peer.context("error getting deliver client for channel: failed to create deliver client")?,
            ))
        };
        info!(target: "channelCmd", "Endorser and orderer connections initialized");
        let block = |position| self.block(&source, channel, position, errors);
        match target {
            Target::Block(position) => block(position).await,
            Target::Config => {
                let newest = block(BlockPosition::Newest).await?;
                // A block that says nothing is a channel's first one.
                let last = last_config_index(&newest).unwrap_or(0);
                info!(target: "channelCmd", "Retrieving last config block: {last}");
                block(BlockPosition::Number(last)).await
            }
        }
    }

    /// One block, as soon as it is there.
    pub(super) async fn block(
        &self,
        source: &Source,
        channel: &str,
        position: BlockPosition,
        errors: SeekErrorResponse,
    ) -> anyhow::Result<Block> {
        let hash = source.connection().tls_cert_hash.clone();
        let envelope = create_fetch_envelope(channel, position, errors, &self.signer, hash).context("error signing")?;
        let request = tokio_stream::once(envelope);
        let answer = match source {
            Source::Peer(peer) => {
                let answers = peer.deliver().deliver(request).await.map_err(RpcError);
                let what = "error receiving: error receiving from peer deliver service";
                let answer = answers.context(what)?.into_inner().message().await.map_err(RpcError).context(what)?;
                answer.and_then(|answer| answer.r#type).map(Answer::from)
            }
            Source::Orderer(orderer) => {
                let answers = orderer.client().deliver(request).await.map_err(RpcError);
                let what = "error receiving";
                let answer = answers.context(what)?.into_inner().message().await.map_err(RpcError).context(what)?;
                answer.and_then(|answer| answer.r#type).map(Answer::from)
            }
        };
        let address = &source.connection().address;
        match answer {
            Some(Answer::Block(block)) => {
                let number = block.header.as_ref().context("response error: a block without a header")?.number;
                check_number(number, position, address)?;
                info!(target: "cli.common", "Received block: {number}");
                Ok(block)
            }
            Some(Answer::Status(code)) => {
                let status = Status::try_from(code);
                let name = status.map_or_else(|_| code.to_string(), |status| status.as_str_name().to_owned());
                bail!("can't read the block: &{{{name}}}{}", advice(status.ok(), address, channel, position))
            }
            Some(Answer::Other) => bail!("response error: {address} sent something other than a block"),
            None => bail!("error receiving: {address} ended the stream without a block"),
        }
    }
}

/// A file is named after the block that was asked for.
fn check_number(number: u64, position: BlockPosition, address: &str) -> anyhow::Result<()> {
    match position {
        BlockPosition::Number(asked) if asked != number => {
            bail!("response error: {address} sent block {number} and not {asked}")
        }
        _ => Ok(()),
    }
}

/// What can be done about a status, which is all that a Deliver service says.
fn advice(status: Option<Status>, address: &str, channel: &str, position: BlockPosition) -> String {
    match (status, position) {
        // There is no channel without block 0.
        (Some(Status::NotFound), BlockPosition::Number(number @ 1..)) => {
            format!("; {address} has no channel {channel}, or that channel has not come to block {number} yet")
        }
        (Some(Status::NotFound), _) => format!("; {address} has no channel {channel}"),
        (Some(Status::ServiceUnavailable), _) => format!(
            "; {address} is stopping, or channel {channel} is halted there, or was created there and is not joined yet; its \
             log says which"
        ),
        (Some(Status::Forbidden), _) => format!(
            "; this identity (CORE_PEER_MSPCONFIGPATH, CORE_PEER_LOCALMSPID) may not read channel {channel}; the log of \
             {address} says why"
        ),
        (Some(Status::BadRequest), _) => format!("; the log of {address} says why, which may be a clock that is wrong"),
        _ => String::new(),
    }
}

/// Where blocks come from.
pub(super) enum Source {
    Peer(Peer),
    Orderer(Orderer),
}

impl Source {
    fn connection(&self) -> &Connection {
        match self {
            Self::Peer(peer) => &peer.0,
            Self::Orderer(orderer) => &orderer.0,
        }
    }
}

/// What either service answers.
enum Answer {
    Block(Block),
    Status(i32),
    Other,
}

impl From<FromPeer> for Answer {
    fn from(answer: FromPeer) -> Self {
        match answer {
            FromPeer::Block(block) => Self::Block(block),
            FromPeer::Status(status) => Self::Status(status),
            FromPeer::FilteredBlock(_) | FromPeer::BlockAndPrivateData(_) => Self::Other,
        }
    }
}

impl From<FromOrderer> for Answer {
    fn from(answer: FromOrderer) -> Self {
        match answer {
            FromOrderer::Block(block) => Self::Block(block),
            FromOrderer::Status(status) => Self::Status(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_fabrics_names_and_files() {
        let table = [
            ("newest", Target::Block(BlockPosition::Newest), "ch_newest.block"),
            ("oldest", Target::Block(BlockPosition::Oldest), "ch_oldest.block"),
            ("config", Target::Config, "ch_config.block"),
            ("12", Target::Block(BlockPosition::Number(12)), "ch_12.block"),
        ];
        for (text, target, file) in table {
            assert_eq!(Target::parse(Some(text)).expect(text), target);
            assert_eq!(target.default_file("ch"), PathBuf::from(file));
        }
        for text in ["", "Newest", "-1", "1.5", "18446744073709551616"] {
            let refused = Target::parse(Some(text)).expect_err(text).to_string();
            assert!(refused.starts_with(&format!("fetch target illegal: {text}")), "{refused}");
        }
    }

    #[test]
    fn a_block_that_is_not_there_is_told_from_a_channel_that_is_not_there() {
        let advised = |position| advice(Some(Status::NotFound), "peer0:7051", "ch", position);
        for position in [BlockPosition::Number(0), BlockPosition::Newest, BlockPosition::Oldest] {
            assert_eq!(advised(position), "; peer0:7051 has no channel ch");
        }
        let either = "; peer0:7051 has no channel ch, or that channel has not come to block 5 yet";
        assert_eq!(advised(BlockPosition::Number(5)), either);
    }

    #[test]
    fn only_the_block_that_was_asked_for_is_taken() {
        for position in [BlockPosition::Number(7), BlockPosition::Newest, BlockPosition::Oldest] {
            check_number(7, position, "peer0:7051").expect("is what was asked for");
        }
        let refused = check_number(7, BlockPosition::Number(8), "peer0:7051").expect_err("is another").to_string();
        assert_eq!(refused, "response error: peer0:7051 sent block 7 and not 8");
    }
}
