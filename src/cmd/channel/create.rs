//! Creating a channel and fetching its first block (Fabric: `peer/channel/create.go`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use selvedge_proto::common::{Block, Envelope};
use selvedge_proto::orderer::seek_info::SeekErrorResponse;
use tokio::time::Instant;
use tracing::info;

use super::fetch::Source;
use super::{Session, update};
use crate::channel::creation::creation_update;
use crate::client::{BlockPosition, create_config_update};
use crate::cmd::services::Orderer;
use crate::config::Config;
use crate::msp::Signer;

/// Between two looks for block 0.
const PAUSE: Duration = Duration::from_millis(200);

/// The transaction to send: that of the file, else one for the organisation that this configuration names.
pub(super) fn transaction(
    file: Option<&Path>,
    channel: &str,
    config: &Config,
    signer: &dyn Signer,
) -> anyhow::Result<Envelope> {
    let envelope = match file {
        Some(file) => update::read(file)?,
        None => {
            let organisations = [config.peer.local_msp_id.as_str()];
            let update = creation_update(channel, &config.development.consortium, &organisations);
            create_config_update(&update, &[], signer).context("error signing")?
        }
    };
    update::sign(&envelope, channel, signer)
}

/// Where block 0 is written.
pub(super) fn output(channel: &str, named: Option<&PathBuf>) -> PathBuf {
    named.filter(|path| !path.as_os_str().is_empty()).cloned().unwrap_or_else(|| format!("{channel}.block").into())
}

impl Session {
    /// Has the orderer create the channel, and waits for its block 0.
    pub(super) async fn create(
        &self,
        channel: &str,
        transaction: Envelope,
        timeout: Duration,
    ) -> anyhow::Result<Block> {
        let orderer = Orderer(self.connector.orderer().await.context("error getting broadcast client")?);
        info!(target: "channelCmd", "Endorser and orderer connections initialized");
        orderer.broadcast(transaction).await?;
        let source = Source::Orderer(orderer);
        let deadline = Instant::now() + timeout;
        loop {
            let block = self.block(&source, channel, BlockPosition::Number(0), SeekErrorResponse::Strict);
            let problem = match tokio::time::timeout_at(deadline, block).await {
                Ok(Ok(block)) => return Ok(block),
                Ok(Err(problem)) => format!("{problem:#}"),
                Err(_) => "the orderer does not answer".to_owned(),
            };
            if Instant::now() + PAUSE >= deadline {
                bail!(
                    "timeout waiting for channel creation ({problem}); the orderer took the transaction, so `selvedge channel \
                     fetch 0 -c {channel} -o HOST:PORT` may find the channel later; -t waits longer"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_named_after_the_channel_unless_it_is_named() {
        assert_eq!(output("ch", None), PathBuf::from("ch.block"));
        assert_eq!(output("ch", Some(&PathBuf::new())), PathBuf::from("ch.block"));
        assert_eq!(output("ch", Some(&PathBuf::from("other"))), PathBuf::from("other"));
    }
}
