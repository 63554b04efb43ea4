//! The peers of a connection profile (Fabric: `peer/common/networkconfig.go`, and its use in
//! `peer/chaincode.validatePeerConnectionParameters`).
//!
//! A profile is a file for SDKs, in YAML or JSON. As in Fabric's tool, only the peers of one channel are taken from it:
//! those with `endorsingPeer: true`, which left out is false. Differs from Fabric: `grpc://` and `grpcs://` before an
//! address, `tlsCACerts.pem` and `ssl-target-name-override` count, and peers come in the order of their names instead of
//! an accidental one. Invariant: an error names the file, the key in it, and what to write there.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

/// A peer that the profile has for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProfilePeer {
    /// HOST:PORT
    pub(super) address: String,
    pub(super) scheme: Scheme,
    /// The authorities of its certificate.
    pub(super) roots: Option<ProfileRoots>,
    /// The name to expect in its certificate; empty: the address's host.
    pub(super) server_name: String,
    /// Where it stands: `peers.NAME of FILE`, for messages.
    pub(super) origin: String,
}

/// What a `url` says about TLS. Whether there is TLS `peer.tls.enabled` decides; the two must not contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `HOST:PORT`
    None,
    /// `grpc://`
    Plain,
    /// `grpcs://`
    Tls,
}

/// `tlsCACerts` of a peer; `path` wins where both are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProfileRoots {
    Path(PathBuf),
    Pem { profile: PathBuf, text: String },
}

/// The peers of `channel` in the profile that are to endorse, in the order of their names; none where it has no peers for
/// that channel, which is no error in Fabric's tool either.
pub(super) fn endorsing_peers(file: &Path, channel: &str) -> anyhow::Result<Option<Vec<ProfilePeer>>> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        anyhow!(
            "error reading connection profile: cannot read {}: {error}; --connectionProfile names a file in YAML or JSON",
            file.display()
        )
    })?;
    parse(file, &text, channel)
}

fn parse(file: &Path, text: &str, channel: &str) -> anyhow::Result<Option<Vec<ProfilePeer>>> {
    let profile: Value = serde_saphyr::from_str(text).map_err(|error| {
        // What follows the first line is a picture of the place.
        let error = error.to_string();
        let reason = error.lines().next().unwrap_or_default().trim_start_matches("error: ");
        anyhow!("error unmarshaling YAML: {}: {reason}", file.display())
    })?;
    let profile = Item { file, key: String::new(), value: &profile };
    let Some(names) = profile.path(&["channels", channel, "peers"])? else { return Ok(None) };
    let names = names.entries("names of peers, each with endorsingPeer: true or false below it")?;
    if names.is_empty() {
        return Ok(None);
    }
    let mut peers = Vec::new();
    for (name, roles) in &names {
        let endorses = roles.get("endorsingPeer")?.map(|flag| flag.boolean()).transpose()?.unwrap_or(false);
        if !endorses {
            continue;
        }
        let peer = profile.path(&["peers", name])?.with_context(|| {
            format!(
                "peer '{name}' is defined in the channel config but doesn't have associated peer config; write \
                 peers.{name} into {}, with its url and tlsCACerts",
                file.display()
            )
        })?;
        peers.push(peer.peer()?);
    }
    if peers.is_empty() {
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        bail!(
            "no peer of channels.{channel}.peers in {} is to endorse ({}); write endorsingPeer: true below those that are, \
             because what is left out is false here",
            file.display(),
            names.join(", ")
        );
    }
    Ok(Some(peers))
}

/// A value, and where it stands.
struct Item<'a> {
    file: &'a Path,
    key: String,
    value: &'a Value,
}

impl<'a> Item<'a> {
    /// The entry `name`, where it is there and has a value.
    fn get(&self, name: &str) -> anyhow::Result<Option<Self>> {
        let Value::Object(entries) = self.value else {
            return if self.value.is_null() { Ok(None) } else { Err(self.wrong("keys below it")) };
        };
        let value = entries.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| self.below(name, value)))
    }

    fn path(&self, names: &[&str]) -> anyhow::Result<Option<Self>> {
        let Some((first, rest)) = names.split_first() else {
            return Ok(Some(Item { file: self.file, key: self.key.clone(), value: self.value }));
        };
        match self.get(first)? {
            Some(item) => item.path(rest),
            None => Ok(None),
        }
    }

    /// By name.
    fn entries(&self, expected: &str) -> anyhow::Result<Vec<(&'a str, Self)>> {
        let Value::Object(entries) = self.value else { return Err(self.wrong(expected)) };
        let mut entries: Vec<_> =
            entries.iter().map(|(name, value)| (name.as_str(), self.below(name, value))).collect();
        entries.sort_by_key(|(name, _)| *name);
        Ok(entries)
    }

    fn below(&self, name: &str, value: &'a Value) -> Self {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        Item { file: self.file, key, value }
    }

    fn boolean(&self) -> anyhow::Result<bool> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            // What YAML 1.1 has besides, and with it Fabric's tool.
            Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "y") => {
                Ok(true)
            }
            Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "n") => {
                Ok(false)
            }
            _ => Err(self.wrong("true or false")),
        }
    }

    fn text(&self, expected: &str) -> anyhow::Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong(expected))
    }

    /// The text of an entry; what is empty is not there.
    fn text_of(&self, name: &str, expected: &str) -> anyhow::Result<Option<&'a str>> {
        let text = self.get(name)?.map(|item| item.text(expected)).transpose()?;
        Ok(text.filter(|text| !text.trim().is_empty()))
    }

    fn wrong(&self, expected: &str) -> anyhow::Error {
        let key = if self.key.is_empty() { "the file" } else { &self.key };
        // A certificate in the wrong place would fill the screen.
        let value: String = self.value.to_string().chars().take(80).collect();
        anyhow!("error unmarshaling YAML: {}: {key} is {value}; write {expected}", self.file.display())
    }

    /// An entry of `peers`.
    fn peer(&self) -> anyhow::Result<ProfilePeer> {
        const URL: &str = "HOST:PORT, grpc://HOST:PORT, or with TLS grpcs://HOST:PORT";
        let Some(url) = self.text_of("url", URL)? else {
            bail!("{} has no {}.url; write {URL}", self.file.display(), self.key);
        };
        let (scheme, address) = match url.split_once("://") {
            None => (Scheme::None, url),
            Some(("grpc", address)) => (Scheme::Plain, address),
            Some(("grpcs", address)) => (Scheme::Tls, address),
            Some(_) => bail!("{}.url in {} is {url:?}; write {URL}", self.key, self.file.display()),
        };
        let name = self.path(&["grpcOptions", "ssl-target-name-override"])?;
        let name = name.map(|name| name.text("the name in the peer's certificate")).transpose()?.unwrap_or_default();
        Ok(ProfilePeer {
            address: address.trim_end_matches('/').to_owned(),
            scheme,
            roots: self.get("tlsCACerts")?.map(|roots| roots.roots()).transpose()?.flatten(),
            server_name: name.to_owned(),
            origin: format!("{} of {}", self.key, self.file.display()),
        })
    }

    /// `tlsCACerts` of a peer.
    fn roots(&self) -> anyhow::Result<Option<ProfileRoots>> {
        if let Some(path) = self.text_of("path", "the file with the certificate of the peer's TLS authority")? {
            return Ok(Some(ProfileRoots::Path(path.into())));
        }
        let pem = self.text_of("pem", "the certificate of the peer's TLS authority, in PEM, as one text")?;
        Ok(pem.map(|text| ProfileRoots::Pem { profile: self.file.to_owned(), text: text.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "
name: trade
x-type: hlfv1
version: 1.0
client: {organization: Org1}
channels:
  trading:
    orderers: [orderer.example.com]
    peers:
      peer1.org2.example.com: {endorsingPeer: yes, chaincodeQuery: false}
      peer0.org1.example.com:
        endorsingPeer: true
        eventSource: true
      peer9.org1.example.com: {endorsingPeer: false}
      peer8.org1.example.com:
  empty:
    orderers: [orderer.example.com]
  nobody:
    peers: {peer8.org1.example.com: {}, peer9.org1.example.com: {endorsingPeer: false}}
  unknown:
    peers: {peer7.org1.example.com: {endorsingPeer: true}}
  listed:
    peers: [peer0.org1.example.com]
  bad:
    peers: {peer0.org1.example.com: {endorsingPeer: trueish}}
  bare: {peers: {none: {endorsingPeer: true}}}
  web: {peers: {web: {endorsingPeer: true}}}
  certified: {peers: {certified: {endorsingPeer: true}}}
peers:
  peer0.org1.example.com:
    url: grpcs://localhost:7051
    grpcOptions: {ssl-target-name-override: peer0.org1.example.com, keep-alive-time: 0s}
    tlsCACerts: {path: org1.pem, pem: ignored}
  peer1.org2.example.com:
    url: peer1.org2.example.com:7051
    tlsCACerts:
      pem: |
        -----BEGIN CERTIFICATE-----
  none: {tlsCACerts: {path: org1.pem}}
  web: {url: 'http://a:1'}
  certified: {url: 'a:1', tlsCACerts: {pem: [one, two]}}
";

    fn of(channel: &str) -> Result<Option<Vec<ProfilePeer>>, String> {
        parse(Path::new("net.yaml"), PROFILE, channel).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_endorsing_peers_of_a_channel_come_with_what_a_connection_needs() {
        let first = ProfilePeer {
            address: "localhost:7051".to_owned(),
            scheme: Scheme::Tls,
            roots: Some(ProfileRoots::Path("org1.pem".into())),
            server_name: "peer0.org1.example.com".to_owned(),
            origin: "peers.peer0.org1.example.com of net.yaml".to_owned(),
        };
        let text = "-----BEGIN CERTIFICATE-----\n".to_owned();
        let second = ProfilePeer {
            address: "peer1.org2.example.com:7051".to_owned(),
            scheme: Scheme::None,
            roots: Some(ProfileRoots::Pem { profile: "net.yaml".into(), text }),
            server_name: String::new(),
            origin: "peers.peer1.org2.example.com of net.yaml".to_owned(),
        };
        assert_eq!(of("trading"), Ok(Some(vec![first, second])));
    }

    #[test]
    fn the_profile_of_the_example_application_is_read_too() {
        let text = include_str!("../../examples/application/connection.json");
        let peers = parse(Path::new("connection.json"), text, "mychannel").expect("is whole").expect("has the channel");
        assert_eq!((peers.len(), peers[0].address.as_str(), peers[0].scheme), (1, "127.0.0.1:7051", Scheme::Plain));
    }

    #[test]
    fn a_channel_without_peers_is_none() {
        assert_eq!(of("empty"), Ok(None));
        assert_eq!(of("elsewhere"), Ok(None));
        for text in ["", "channels:", "name: x"] {
            assert!(parse(Path::new("f"), text, "c").expect("says nothing").is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_profile_is_said_with_file_and_key() {
        for (channel, expected) in [
            (
                "nobody",
                "no peer of channels.nobody.peers in net.yaml is to endorse (peer8.org1.example.com, \
                 peer9.org1.example.com); write endorsingPeer: true below those that are, because what is left out is false \
                 here",
            ),
            (
                "unknown",
                "peer 'peer7.org1.example.com' is defined in the channel config but doesn't have associated peer config; \
                 write peers.peer7.org1.example.com into net.yaml, with its url and tlsCACerts",
            ),
            (
                "listed",
                "error unmarshaling YAML: net.yaml: channels.listed.peers is [\"peer0.org1.example.com\"]; write names of \
                 peers, each with endorsingPeer: true or false below it",
            ),
            (
                "bad",
                "error unmarshaling YAML: net.yaml: channels.bad.peers.peer0.org1.example.com.endorsingPeer is \"trueish\"; \
                 write true or false",
            ),
            (
                "bare",
                "net.yaml has no peers.none.url; write HOST:PORT, grpc://HOST:PORT, or with TLS grpcs://HOST:PORT",
            ),
            (
                "web",
                "peers.web.url in net.yaml is \"http://a:1\"; write HOST:PORT, grpc://HOST:PORT, or with TLS \
                 grpcs://HOST:PORT",
            ),
            (
                "certified",
                "error unmarshaling YAML: net.yaml: peers.certified.tlsCACerts.pem is [\"one\",\"two\"]; write the \
                 certificate of the peer's TLS authority, in PEM, as one text",
            ),
        ] {
            assert_eq!(of(channel), Err(expected.to_owned()));
        }
        let whole = |text| parse(Path::new("f"), text, "c").expect_err("is no profile").to_string();
        assert_eq!(whole("text"), "error unmarshaling YAML: f: the file is \"text\"; write keys below it");
        let broken = whole("channels: {a: [}");
        assert_eq!(broken, "error unmarshaling YAML: f: line 1 column 15: mismatched bracket '[' closed by '}'");
    }
}
