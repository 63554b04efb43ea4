//! Having the peer join a channel (Fabric: `peer/channel/join.go`).

use std::path::Path;

use anyhow::{anyhow, bail};
use bytes::Bytes;
use selvedge_proto::common::HeaderType;
use tracing::info;

use super::Session;

/// The file as it is: the peer looks at what is in it.
pub(super) fn read_block(path: &Path) -> anyhow::Result<Bytes> {
    let block = std::fs::read(path).map_err(|e| anyhow!("genesis block file not found {}: {e}", path.display()))?;
    Ok(block.into())
}

impl Session {
    pub(super) async fn join(&self, block: Bytes) -> anyhow::Result<()> {
        let args = vec![Bytes::from_static(b"JoinChain"), block];
        let refused = |error| anyhow!("proposal failed (err: {error})");
        let response = self.ask("cscc", args, HeaderType::Config, refused).await?;
        if !matches!(response.status, 0 | 200) {
            bail!("proposal failed (err: bad proposal response {}: {})", response.status, response.message);
        }
        info!(target: "channelCmd", "Successfully submitted proposal to join channel");
        Ok(())
    }
}
