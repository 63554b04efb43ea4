//! A channel's height and newest hashes (Fabric: `peer/channel/getinfo.go`).

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{BlockchainInfo, HeaderType};

use super::Session;

impl Session {
    pub(super) async fn getinfo(&self, channel: &str) -> anyhow::Result<BlockchainInfo> {
        let args = vec![Bytes::from_static(b"GetChainInfo"), Bytes::copy_from_slice(channel.as_bytes())];
        let refused = |error| anyhow::Error::new(error).context("failed sending proposal");
        let response = self.ask("qscc", args, HeaderType::EndorserTransaction, refused).await?;
        if response.status != 200 {
            bail!("received bad response, status {}: {}", response.status, response.message);
        }
        BlockchainInfo::decode(response.payload).context("cannot read qscc response")
    }
}

/// The message as Go marshals it: fields in their order, empty ones left out, so a channel with one block has no
/// `previousBlockHash`.
pub(super) fn text(info: &BlockchainInfo) -> String {
    let mut fields = Vec::with_capacity(3);
    if info.height != 0 {
        fields.push(format!("\"height\":{}", info.height));
    }
    for (name, hash) in
        [("currentBlockHash", &info.current_block_hash), ("previousBlockHash", &info.previous_block_hash)]
    {
        if !hash.is_empty() {
            fields.push(format!("\"{name}\":\"{}\"", STANDARD.encode(hash)));
        }
    }
    format!("Blockchain info: {{{}}}", fields.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_reads_as_go_marshals_it() {
        let mut info = BlockchainInfo { height: 1, current_block_hash: vec![0xfb, 0xff].into(), ..Default::default() };
        assert_eq!(text(&info), r#"Blockchain info: {"height":1,"currentBlockHash":"+/8="}"#);
        info.previous_block_hash = vec![1, 2, 3].into();
        let whole = r#"Blockchain info: {"height":1,"currentBlockHash":"+/8=","previousBlockHash":"AQID"}"#;
        assert_eq!(text(&info), whole);
        assert_eq!(text(&BlockchainInfo::default()), "Blockchain info: {}");
    }
}
