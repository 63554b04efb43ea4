//! Signing and sending updates of a channel's configuration (Fabric: `peer/channel/{signconfigtx,update}.go`).

use std::path::Path;

use anyhow::{Context, anyhow};
use prost::Message;
use selvedge_proto::common::Envelope;
use tracing::info;

use super::Session;
use crate::client::add_config_signature;
use crate::cmd::services::Orderer;
use crate::msp::Signer;

pub(super) fn read(path: &Path) -> anyhow::Result<Envelope> {
    let bytes = std::fs::read(path)
        .map_err(|e| anyhow!("channel create configuration tx file not found {}: {e}", path.display()))?;
    Envelope::decode(bytes.as_slice()).with_context(|| format!("error unmarshaling Envelope: {}", path.display()))
}

pub(super) fn write(path: &Path, update: &Envelope) -> anyhow::Result<()> {
    std::fs::write(path, update.encode_to_vec())
        .with_context(|| format!("cannot write the update to {}", path.display()))
}

/// With one signature more; `channel` as for [`add_config_signature`].
pub(super) fn sign(update: &Envelope, channel: &str, signer: &dyn Signer) -> anyhow::Result<Envelope> {
    Ok(add_config_signature(update, channel, signer)?)
}

impl Session {
    pub(super) async fn update(&self, channel: &str, update: &Envelope) -> anyhow::Result<()> {
        let signed = sign(update, channel, &self.signer)?;
        let orderer = Orderer(self.connector.orderer().await.context("Error getting broadcast client")?);
        info!(target: "channelCmd", "Endorser and orderer connections initialized");
        orderer.broadcast(signed).await?;
        info!(target: "channelCmd", "Successfully submitted channel update");
        Ok(())
    }
}
