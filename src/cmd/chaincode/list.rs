//! The chaincodes of a peer or of a channel, as the peer's lscc tells them (Fabric: `peer/chaincode/list.go`).

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeInfo, ChaincodeQueryResponse};

use super::invoke::Session;
use crate::client::NewProposal;
use crate::cmd::services::Peer;

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// The packages that are installed on the peer.
    Installed,
    /// The chaincodes of this channel.
    Instantiated(String),
}

impl Listing {
    pub(super) fn of_flags(installed: bool, instantiated: bool, channel: Option<&str>) -> anyhow::Result<Self> {
        let channel = channel.filter(|channel| !channel.is_empty());
        if instantiated && channel.is_none() {
            bail!("The required parameter 'channelID' is empty. Rerun the command with -C flag");
        }
        match (installed, channel) {
            (true, _) if !instantiated => Ok(Self::Installed),
            (false, Some(channel)) if instantiated => Ok(Self::Instantiated(channel.to_owned())),
            _ => bail!("Must explicitly specify \"--installed\" or \"--instantiated\""),
        }
    }

    fn header(&self) -> String {
        match self {
            Self::Installed => "Get installed chaincodes on peer:".to_owned(),
            Self::Instantiated(channel) => format!("Get instantiated chaincodes on channel {channel}:"),
        }
    }

    /// The header, and one line for each chaincode.
    pub(super) fn text(&self, chaincodes: &[ChaincodeInfo]) -> String {
        std::iter::once(self.header()).chain(chaincodes.iter().map(line)).collect::<Vec<_>>().join("\n")
    }
}

/// What is not empty, in the order of the message's fields.
fn line(chaincode: &ChaincodeInfo) -> String {
    let id = hex::encode(&chaincode.id);
    let fields = [
        ("Name", &chaincode.name),
        ("Version", &chaincode.version),
        ("Path", &chaincode.path),
        ("Input", &chaincode.input),
        ("Escc", &chaincode.escc),
        ("Vscc", &chaincode.vscc),
        ("Id", &id),
    ];
    let set = fields.into_iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

impl Session {
    pub(super) async fn list(&self, listing: &Listing) -> anyhow::Result<Vec<ChaincodeInfo>> {
        let (channel, function) = match listing {
            Listing::Installed => ("", "getinstalledchaincodes"),
            Listing::Instantiated(channel) => (channel.as_str(), "getchaincodes"),
        };
        let peer = Peer(self.connector.peer("endorser").await.context("error getting endorser client for list")?);
        let tls_cert_hash = peer.0.tls_cert_hash.clone();
        let args = vec![Bytes::from_static(function.as_bytes())];
        let proposal = NewProposal { args, tls_cert_hash, ..NewProposal::new(channel, "lscc") };
        let created = proposal.sign(&self.signer).context("Error creating signed proposal  chaincode")?;
        let answer =
            peer.endorse(created.signed).await.map_err(|error| anyhow!("Error endorsing chaincode: {error}"))?;
        let response = answer.response.context("Proposal response had nil 'response'")?;
        if response.status != 200 {
            bail!("Bad response: {} - {}", response.status, response.message);
        }
        let answer = ChaincodeQueryResponse::decode(response.payload).context("cannot read lscc's answer")?;
        Ok(answer.chaincodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_lists_has_to_be_asked_for() {
        let neither = "Must explicitly specify \"--installed\" or \"--instantiated\"";
        let no_channel = "The required parameter 'channelID' is empty. Rerun the command with -C flag";
        let table = [
            (true, false, None, Ok(Listing::Installed)),
            (true, false, Some("ch"), Ok(Listing::Installed)),
            (false, true, Some("ch"), Ok(Listing::Instantiated("ch".to_owned()))),
            (false, true, None, Err(no_channel)),
            (false, true, Some(""), Err(no_channel)),
            (true, true, None, Err(no_channel)),
            (true, true, Some("ch"), Err(neither)),
            (false, false, None, Err(neither)),
            (false, false, Some("ch"), Err(neither)),
        ];
        for (installed, instantiated, channel, expected) in table {
            let listing = Listing::of_flags(installed, instantiated, channel).map_err(|error| error.to_string());
            assert_eq!(listing, expected.map_err(str::to_owned), "{installed} {instantiated} {channel:?}");
        }
    }

    #[test]
    fn a_line_has_what_is_not_empty() {
        let full = ChaincodeInfo {
            name: "kv".into(),
            version: "1".into(),
            path: "example/kv".into(),
            input: "<nil>".into(),
            escc: "escc".into(),
            vscc: "vscc".into(),
            id: Bytes::from_static(&[0x0a, 0xff]),
        };
        let bare = ChaincodeInfo { name: "kv".into(), version: "1".into(), ..ChaincodeInfo::default() };
        assert_eq!(
            Listing::Installed.text(&[full, bare]),
            "Get installed chaincodes on peer:\nName: kv, Version: 1, Path: example/kv, Input: <nil>, Escc: escc, Vscc: \
             vscc, Id: 0aff\nName: kv, Version: 1"
        );
        assert_eq!(Listing::Instantiated("ch".into()).text(&[]), "Get instantiated chaincodes on channel ch:");
    }
}
