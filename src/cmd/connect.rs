//! Connections of commands to peers and orderers (Fabric: `peer/common/{peerclient,ordererclient,ordererenv}.go`).
//!
//! Peers are reached as `peer.tls` says, orderers as the flags `--tls`, `--cafile` and so on say. Differs from Fabric: a
//! relative path in a flag starts at the current directory, where Fabric takes those of orderer flags from core.yaml's
//! folder; and without `--orderer`, the first peer is the orderer too, because that is where an embedded one is.
//!
//! Invariant: every file is read, and everything about it that can be wrong is said, before anybody is connected to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::{ArgAction, Args};
use tonic::transport::Channel;

use super::connection_profile::{self, ProfilePeer, ProfileRoots, Scheme};
use crate::config::{Config, TlsConfig, parse_duration};
use crate::tls::{self, ClientTls, ConnectError, Identity, NamedFile, Roots};

/// Where transactions go, and how connections are made; on either side of the verb.
#[derive(Args, Debug, Default)]
pub(super) struct OrdererFlags {
    /// Ordering service; where this is left out, the first peer's: the one embedded in it, or its ledger to fetch from.
    #[arg(short, long, global = true, value_name = "HOST:PORT")]
    orderer: Option<String>,
    /// How long to wait for a connection.
    #[arg(long = "connTimeout", global = true, default_value = "3s", value_parser = duration, value_name = "DURATION")]
    conn_timeout: Duration,
    /// Use TLS to the orderer that --orderer names. (To peers: peer.tls.enabled, CORE_PEER_TLS_ENABLED.)
    #[arg(
        long, global = true, help_heading = "TLS",
        action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false,
        value_name = "true|false", hide_possible_values = true
    )]
    tls: bool,
    /// Show the orderer a certificate: --certfile and --keyfile.
    #[arg(
        long = "clientauth", global = true, help_heading = "TLS",
        action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false,
        value_name = "true|false", hide_possible_values = true
    )]
    client_auth: bool,
    /// The authorities of the orderer's certificate.
    #[arg(long = "cafile", global = true, value_name = "FILE", help_heading = "TLS")]
    ca_file: Option<PathBuf>,
    /// This client's certificate.
    #[arg(long = "certfile", global = true, value_name = "FILE", help_heading = "TLS")]
    cert_file: Option<PathBuf>,
    /// This client's key.
    #[arg(long = "keyfile", global = true, value_name = "FILE", help_heading = "TLS")]
    key_file: Option<PathBuf>,
    /// The name to expect in the orderer's certificate.
    #[arg(long = "ordererTLSHostnameOverride", global = true, value_name = "HOST", help_heading = "TLS")]
    host_override: Option<String>,
}

/// Which peers to ask.
#[derive(Args, Debug, Default)]
pub(super) struct PeerFlags {
    /// Peer to connect to, once for each; peer.address where it is left out.
    #[arg(long = "peerAddresses", value_name = "HOST:PORT")]
    pub(super) peer_addresses: Vec<String>,
    /// The authorities of the peers' certificates, one file for each of --peerAddresses, in their order.
    #[arg(long = "tlsRootCertFiles", value_name = "FILE", help_heading = "TLS")]
    pub(super) tls_root_cert_files: Vec<PathBuf>,
    /// Take the peers from a connection profile, in place of the two: those of the channel with `endorsingPeer: true`.
    #[arg(long = "connectionProfile", value_name = "FILE")]
    pub(super) connection_profile: Option<PathBuf>,
}

/// The peers that flags name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peers {
    /// By addresses and files of authorities; without an address, `peer.address`.
    Flags { addresses: Vec<String>, root_files: Vec<PathBuf> },
    /// By a connection profile; at least one.
    Profile(Vec<ProfilePeer>),
}

impl Default for Peers {
    /// `peer.address`.
    fn default() -> Self {
        Self::Flags { addresses: Vec::new(), root_files: Vec::new() }
    }
}

impl PeerFlags {
    /// The peers of an invocation, which may be several.
    pub(super) fn all(&self, channel: &str) -> anyhow::Result<Peers> {
        self.peers(Some(channel)).context(VALIDATING)
    }

    /// The peer of a verb that asks only one; `channel` is the one that it is about, if any.
    pub(super) fn one(&self, verb: &str, channel: Option<&str>) -> anyhow::Result<Peers> {
        let peers = self.peers(channel).context(VALIDATING)?;
        let (count, advice) = match &peers {
            Peers::Flags { addresses, .. } => (addresses.len(), ""),
            Peers::Profile(peers) => (
                peers.len(),
                ", which are those with endorsingPeer: true in the connection profile; leave it out, and name one with \
                 --peerAddresses",
            ),
        };
        if count > 1 {
            bail!("{VALIDATING}: '{verb}' command can only be executed against one peer. received {count}{advice}");
        }
        Ok(peers)
    }

    fn peers(&self, channel: Option<&str>) -> anyhow::Result<Peers> {
        let channel = channel.unwrap_or_default();
        if let Some(file) = &self.connection_profile {
            if let Some(peers) = connection_profile::endorsing_peers(file, channel)? {
                return Ok(Peers::Profile(peers));
            }
            // As in Fabric, where it is not said.
            let (file, instead) = (file.display(), "the peer of --peerAddresses or peer.address is asked");
            match channel {
                "" => tracing::warn!("{file} has peers by channel only, and no channel was named; {instead}"),
                _ => tracing::warn!("{file} has no peers for the channel (channels.{channel}.peers); {instead}"),
            }
        }
        Ok(Peers::Flags { addresses: self.peer_addresses.clone(), root_files: self.tls_root_cert_files.clone() })
    }
}

/// What errors about these flags begin with.
const VALIDATING: &str = "error validating peer connection parameters";

const PEER_SETTINGS: &str = "for peers: --tlsRootCertFiles, and of core.yaml or CORE_PEER_TLS_...: peer.tls.rootcert.file, \
                             serverhostoverride, clientAuthRequired with clientCert.file and clientKey.file";
const PROFILE_SETTINGS: &str = "for peers of a connection profile: their tlsCACerts and ssl-target-name-override, and of \
                                core.yaml or CORE_PEER_TLS_...: serverhostoverride, clientAuthRequired with clientCert.file \
                                and clientKey.file";
const ORDERER_SETTINGS: &str =
    "for orderers: --cafile, --ordererTLSHostnameOverride, --clientauth with --certfile and --keyfile";

/// Makes the connections of one command.
pub(super) struct Connector {
    timeout: Duration,
    peers: Vec<Endpoint>,
    /// None: the first peer.
    orderer: Option<Endpoint>,
}

struct Endpoint {
    address: String,
    tls: Option<ClientTls>,
    /// Where TLS is set up.
    settings: &'static str,
}

/// A connection, and what signed messages should say about it.
pub(super) struct Connection {
    pub(super) address: String,
    pub(super) channel: Channel,
    /// SHA-256 of the certificate that this client shows there; empty where it shows none.
    pub(super) tls_cert_hash: Bytes,
}

impl Connector {
    pub(super) fn new(config: &Config, peers: &Peers, orderer: &OrdererFlags) -> anyhow::Result<Self> {
        let peers = match peers {
            Peers::Flags { addresses, root_files } => peer_endpoints(config, addresses, root_files)?,
            Peers::Profile(peers) => profile_endpoints(config, peers)?,
        };
        Ok(Self {
            timeout: orderer.conn_timeout,
            peers,
            orderer: orderer.orderer.as_deref().map(|address| orderer_endpoint(address, orderer)).transpose()?,
        })
    }

    /// Connects to every peer.
    pub(super) async fn peers(&self) -> anyhow::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.peers.len());
        for peer in &self.peers {
            let connected = peer.connect(self.timeout).await;
            connections
                .push(connected.with_context(|| format!("endorser client failed to connect to {}", peer.address))?);
        }
        Ok(connections)
    }

    /// Connects to the first peer, as a client of its `service`.
    pub(super) async fn peer(&self, service: &str) -> anyhow::Result<Connection> {
        let endpoint = self.peers.first().context("there is no peer to ask")?;
        let connected = endpoint.connect(self.timeout).await;
        connected.with_context(|| format!("{service} client failed to connect to {}", endpoint.address))
    }

    /// Whether the flags name an orderer.
    pub(super) fn names_an_orderer(&self) -> bool {
        self.orderer.is_some()
    }

    /// Connects to the orderer.
    pub(super) async fn orderer(&self) -> anyhow::Result<Connection> {
        let endpoint = self.orderer.as_ref().or(self.peers.first()).context("there is no peer to ask")?;
        let connected = endpoint.connect(self.timeout).await;
        connected.with_context(|| format!("orderer client failed to connect to {}", endpoint.address))
    }
}

impl Endpoint {
    async fn connect(&self, timeout: Duration) -> anyhow::Result<Connection> {
        let channel = match tokio::time::timeout(timeout, tls::connect(&self.address, self.tls.as_ref())).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error @ ConnectError::Unreachable(_))) => bail!(
                "failed to create new connection: {error}; is a node running there? `selvedge node start` starts one; \
                 peer.address (CORE_PEER_ADDRESS), --orderer, and --peerAddresses of `chaincode` name another"
            ),
            Ok(Err(error @ ConnectError::Handshake { .. })) => {
                bail!("failed to create new connection: {error} ({})", self.settings)
            }
            Ok(Err(error)) => return Err(anyhow!(error).context("failed to create new connection")),
            Err(_) => bail!(
                "failed to create new connection: context deadline exceeded after {} ms; allow more with --connTimeout",
                timeout.as_millis()
            ),
        };
        let hash = self.tls.as_ref().and_then(ClientTls::certificate_hash);
        let tls_cert_hash = hash.map_or_else(Bytes::new, |hash| Bytes::copy_from_slice(&hash));
        Ok(Connection { address: self.address.clone(), channel, tls_cert_hash })
    }
}

/// Fabric: `peer/chaincode.validatePeerConnectionParameters`, `peer/common.NewPeerClientForAddress` and `-FromEnv`.
fn peer_endpoints(config: &Config, named: &[String], files: &[PathBuf]) -> anyhow::Result<Vec<Endpoint>> {
    let tls = &config.peer.tls;
    // As in Fabric, no flag is the same as one empty one.
    let (address_count, file_count) = (named.len().max(1), files.len().max(1));
    if file_count > address_count {
        tracing::warn!("received more TLS root cert files ({file_count}) than peer addresses ({address_count})");
    }
    let addresses = if named.is_empty() { std::slice::from_ref(&config.peer.address) } else { named };
    if !tls.enabled {
        let plain = |address: &String| Endpoint { address: address.clone(), tls: None, settings: PEER_SETTINGS };
        return Ok(addresses.iter().map(plain).collect());
    }
    if file_count != address_count {
        bail!(
            "{VALIDATING}: number of peer addresses ({address_count}) does not match the \
             number of TLS root cert files ({file_count}); give --tlsRootCertFiles once for each of --peerAddresses"
        );
    }
    let identity = tls.client_auth_required.then(|| client_identity(tls)).transpose()?;
    let endpoint = |(index, address): (usize, &String)| {
        let root = match (files.get(index), &tls.rootcert_file) {
            (Some(file), _) => NamedFile::new("--tlsRootCertFiles", file),
            (None, Some(file)) if named.is_empty() => NamedFile::new("peer.tls.rootcert.file", file),
            _ => bail!(
                "tls root cert file must be set: give --tlsRootCertFiles with --peerAddresses, or without both \
                 CORE_PEER_TLS_ROOTCERT_FILE"
            ),
        };
        let roots = Roots::load(&root.setting, std::slice::from_ref(&root));
        let roots = roots.context("unable to load TLS root cert file")?;
        let tls = ClientTls::new(roots, identity.as_ref())?.server_name(&tls.server_host_override);
        Ok(Endpoint { address: address.clone(), tls: Some(tls), settings: PEER_SETTINGS })
    };
    addresses.iter().enumerate().map(endpoint).collect()
}

/// The same for peers of a connection profile, whose entries have addresses and authorities.
fn profile_endpoints(config: &Config, peers: &[ProfilePeer]) -> anyhow::Result<Vec<Endpoint>> {
    let tls = &config.peer.tls;
    let identity = (tls.enabled && tls.client_auth_required).then(|| client_identity(tls)).transpose()?;
    let endpoint = |peer: &ProfilePeer| {
        let ProfilePeer { address, origin, .. } = peer;
        let address = address.clone();
        match (peer.scheme, tls.enabled) {
            (Scheme::Tls, false) => bail!(
                "{VALIDATING}: the url of {origin} begins with grpcs://, and peer.tls.enabled is false; set \
                 CORE_PEER_TLS_ENABLED=true, or write grpc:// if the peer has no TLS"
            ),
            (Scheme::Plain, true) => bail!(
                "{VALIDATING}: the url of {origin} begins with grpc://, and peer.tls.enabled is true; write grpcs://, or set \
                 CORE_PEER_TLS_ENABLED=false if the peer has no TLS"
            ),
            (_, false) => {
                if peer.roots.is_some() {
                    tracing::warn!(
                        "{origin} has tlsCACerts, and peer.tls.enabled is false: what is sent there is not encrypted; set \
                         CORE_PEER_TLS_ENABLED=true"
                    );
                }
                return Ok(Endpoint { address, tls: None, settings: PROFILE_SETTINGS });
            }
            (_, true) => {}
        }
        let roots = match &peer.roots {
            None => bail!("tls root cert file must be set: write tlsCACerts.path or tlsCACerts.pem into {origin}"),
            Some(ProfileRoots::Path(path)) => {
                let file = NamedFile::new(&format!("tlsCACerts.path of {origin}"), path);
                Roots::load(&file.setting, std::slice::from_ref(&file))
            }
            Some(ProfileRoots::Pem { profile, text }) => {
                Roots::from_pem(&NamedFile::new(&format!("tlsCACerts.pem of {origin}"), profile), text.as_bytes())
            }
        };
        let roots = roots.context("unable to load TLS root cert file")?;
        // The setting is for all peers; what the profile has, for this one.
        let name = Some(&peer.server_name).filter(|name| !name.is_empty()).unwrap_or(&tls.server_host_override);
        let tls = ClientTls::new(roots, identity.as_ref())?.server_name(name);
        Ok(Endpoint { address, tls: Some(tls), settings: PROFILE_SETTINGS })
    };
    peers.iter().map(endpoint).collect()
}

/// What this client shows to peers.
fn client_identity(tls: &TlsConfig) -> anyhow::Result<Identity> {
    let named = |key: &str, path: Option<&PathBuf>| {
        path.map(|path| NamedFile::new(key, path)).ok_or_else(|| {
            anyhow!(
                "unable to load {key}: peer.tls.clientAuthRequired is true and the file is not set; name it in core.yaml or \
                 in CORE_{}, or set CORE_PEER_TLS_CLIENTAUTHREQUIRED=false",
                key.replace('.', "_").to_ascii_uppercase()
            )
        })
    };
    let key = named("peer.tls.clientKey.file", tls.client_key_file.as_ref())?;
    let certificate = named("peer.tls.clientCert.file", tls.client_cert_file.as_ref())?;
    Identity::load(&certificate, &key).context("failed to load client certificate")
}

/// Fabric: `peer/common.NewOrdererClientFromEnv` behind `SetOrdererEnv`.
fn orderer_endpoint(address: &str, flags: &OrdererFlags) -> anyhow::Result<Endpoint> {
    let address = address.to_owned();
    if !flags.tls {
        return Ok(Endpoint { address, tls: None, settings: ORDERER_SETTINGS });
    }
    let named = |flag: &str, path: Option<&PathBuf>, because: &str| {
        path.map(|path| NamedFile::new(flag, path)).ok_or_else(|| anyhow!("{because} needs {flag}; give the file"))
    };
    let root = named("--cafile", flags.ca_file.as_ref(), "--tls")?;
    let roots = Roots::load("--cafile", &[root]).context("unable to load orderer.tls.rootcert.file")?;
    let identity = if flags.client_auth {
        let key = named("--keyfile", flags.key_file.as_ref(), "--clientauth")?;
        let certificate = named("--certfile", flags.cert_file.as_ref(), "--clientauth")?;
        Some(Identity::load(&certificate, &key).context("failed to load client certificate")?)
    } else {
        None
    };
    let tls = ClientTls::new(roots, identity.as_ref())?.server_name(flags.host_override.as_deref().unwrap_or_default());
    Ok(Endpoint { address, tls: Some(tls), settings: ORDERER_SETTINGS })
}

/// A flag's duration, in Go's form.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|reason| format!("{text:?} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::load(&Environment { variables, directory: "/nowhere".into(), executable: None }).expect("is valid")
    }

    #[test]
    fn the_peer_of_the_configuration_is_asked_where_none_is_named_and_is_the_orderer_too() {
        let config = config(&[("CORE_PEER_ADDRESS", "peer9:7051")]);
        let connector = Connector::new(&config, &Peers::default(), &OrdererFlags::default()).expect("is complete");
        let addresses: Vec<_> = connector.peers.iter().map(|peer| peer.address.as_str()).collect();
        assert_eq!(addresses, ["peer9:7051"]);
        assert!(connector.orderer.is_none() && connector.peers[0].tls.is_none());
    }

    #[test]
    fn flags_without_tls_ask_for_no_files() {
        let peers = PeerFlags {
            peer_addresses: vec!["a:1".to_owned(), "b:2".to_owned()],
            tls_root_cert_files: vec!["missing.pem".into()],
            ..PeerFlags::default()
        };
        let peers = peers.all("mychannel").expect("no profile is named");
        let orderer = OrdererFlags {
            orderer: Some("o:3".to_owned()),
            ca_file: Some("missing.pem".into()),
            ..OrdererFlags::default()
        };
        let connector = Connector::new(&config(&[]), &peers, &orderer).expect("is complete");
        let addresses: Vec<_> = connector.peers.iter().map(|peer| peer.address.as_str()).collect();
        assert_eq!(addresses, ["a:1", "b:2"]);
        assert!(connector.orderer.is_some_and(|orderer| orderer.address == "o:3" && orderer.tls.is_none()));
    }
}
