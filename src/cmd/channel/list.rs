//! The channels that the peer has joined (Fabric: `peer/channel/list.go`).

use anyhow::{anyhow, bail};
use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::HeaderType;
use selvedge_proto::protos::{ChannelInfo, ChannelQueryResponse};

use super::Session;

impl Session {
    pub(super) async fn list(&self) -> anyhow::Result<Vec<ChannelInfo>> {
        let args = vec![Bytes::from_static(b"GetChannels")];
        let refused = |error| anyhow!("Failed sending proposal, got {error}");
        let response = self.ask("cscc", args, HeaderType::EndorserTransaction, refused).await?;
        if response.status != 200 {
            bail!("Received bad response, status {}: {}", response.status, response.message);
        }
        let answer = ChannelQueryResponse::decode(response.payload);
        Ok(answer.map_err(|error| anyhow!("Cannot read channels list response, {error}"))?.channels)
    }
}

/// One line for each channel. The first line ends with a space, as Fabric's does.
pub(super) fn text(channels: &[ChannelInfo]) -> String {
    let names = channels.iter().map(|channel| channel.channel_id.as_str());
    std::iter::once("Channels peers has joined: ").chain(names).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_one_to_a_line() {
        let channel = |name: &str| ChannelInfo { channel_id: name.to_owned() };
        assert_eq!(text(&[]), "Channels peers has joined: ");
        assert_eq!(text(&[channel("a"), channel("b")]), "Channels peers has joined: \na\nb");
    }
}
