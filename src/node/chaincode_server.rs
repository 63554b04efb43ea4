//! Where chaincode registers, and where it is told to (Fabric: `peer/node.createChaincodeServer`, `computeChaincodeEndpoint`).
//!
//! Invariant: the port is taken before anything is told about it, and is closed until the node serves.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use super::listeners::cannot_listen;
use crate::chaincode::Authenticator;
use crate::config::{ChaincodeMode, Config, PeerConfig};
use crate::tls::{Ca, ClientAuth, ServerTls, TlsError};

/// Where chaincode registers without a setting (Fabric: `defaultChaincodePort`).
const PORT: u16 = 7052;

/// Connections that wait to be accepted, as in tokio's listeners.
const BACKLOG: u32 = 1024;

/// The listener of chaincode before it listens.
pub(super) struct ChaincodeServer {
    socket: TcpSocket,
    /// What chaincode is told.
    pub(super) endpoint: String,
    /// With TLS: whose certificates are let in.
    pub(super) authenticator: Option<Arc<Authenticator>>,
    tls: Option<ServerTls>,
}

impl ChaincodeServer {
    /// Takes the port, and makes an authority for its TLS.
    ///
    /// # Errors
    /// When the port is taken, or chaincode could not connect to what it would be told.
    pub(super) async fn prepare(config: &Config) -> anyhow::Result<Self> {
        let dev = config.chaincode.mode == ChaincodeMode::Dev;
        let told = match endpoint(&config.peer) {
            Err(error) if dev => {
                let address = format!("0.0.0.0:{PORT}");
                tracing::warn!("use {address} as chaincode endpoint because of: {error}");
                address
            }
            told => told?,
        };
        let listen = listen_address(&config.peer);
        let socket = reserve(&listen).await.with_context(|| cannot_listen("peer.chaincodeListenAddress", &listen))?;
        let (host, port) = split(&told);
        let port = match port {
            "0" => socket.local_addr()?.port().to_string(),
            port => port.to_owned(),
        };
        let endpoint = join(host, &port);
        let (authenticator, tls) = match config.peer.tls.enabled {
            true => {
                let (authenticator, tls) = with_tls(host).with_context(|| {
                    format!("chaincode cannot register with TLS at what it is told, {endpoint} (peer.chaincodeAddress)")
                })?;
                (Some(Arc::new(authenticator)), Some(tls))
            }
            false => (None, None),
        };
        if dev && config.peer.tls.enabled {
            tracing::warn!(
                "chaincode.mode is dev and peer.tls.enabled is true: a chaincode that is started by hand has no certificate of \
                 this node's and cannot register; set peer.tls.enabled to false to start chaincode by hand"
            );
        }
        Ok(Self { socket, endpoint, authenticator, tls })
    }

    /// Opens the port.
    ///
    /// # Errors
    /// When somebody else has opened it since.
    pub(super) fn listen(self) -> io::Result<(TcpListener, Option<ServerTls>)> {
        Ok((self.socket.listen(BACKLOG)?, self.tls))
    }
}

/// An authority, and the listener's side of TLS at this host.
fn with_tls(host: &str) -> Result<(Authenticator, ServerTls), TlsError> {
    let ca = Ca::new("chaincode CA")?;
    let tls = ServerTls::new(&ca.server(host)?, ClientAuth::Required(ca.roots()))?;
    Ok((Authenticator::new(ca), tls))
}

/// What chaincode is told cannot be connected to. The first words are Fabric's.
#[derive(Debug, Error)]
#[error(
    "invalid endpoint for chaincode to connect: {key} is {address}, which is every address of this machine and none to \
     connect to; set peer.chaincodeAddress to where chaincode reaches this node"
)]
struct InvalidEndpoint {
    key: &'static str,
    address: String,
}

/// The address that chaincode is told, by the first of the settings that says one: `peer.chaincodeAddress`,
/// `peer.chaincodeListenAddress`, `peer.address`. Port 0 in it is that of the listener.
fn endpoint(peer: &PeerConfig) -> Result<String, InvalidEndpoint> {
    let reachable = |key: &'static str, address: &str| match is_unspecified(split(address).0) {
        true => Err(InvalidEndpoint { key, address: address.to_owned() }),
        false => Ok(()),
    };
    let with_peers_host = |port: &str| {
        reachable("peer.address", &peer.address)?;
        Ok(join(split(&peer.address).0, port))
    };
    match (&peer.chaincode_address, &peer.chaincode_listen_address) {
        (Some(address), _) => reachable("peer.chaincodeAddress", address).map(|()| address.clone()),
        (None, Some(listen)) => match split(listen) {
            (host, port) if is_unspecified(host) => with_peers_host(port),
            _ => Ok(listen.clone()),
        },
        (None, None) => with_peers_host(&PORT.to_string()),
    }
}

fn listen_address(peer: &PeerConfig) -> String {
    let of_peer = || join(split(&peer.address).0, &PORT.to_string());
    peer.chaincode_listen_address.clone().unwrap_or_else(of_peer)
}

/// The host, without the brackets of IPv6, and the port of an address that the configuration has checked.
fn split(address: &str) -> (&str, &str) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
}

fn join(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn is_unspecified(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// A socket that is bound and does not listen.
async fn reserve(address: &str) -> io::Result<TcpSocket> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "there is no such host");
    for address in lookup_host(address).await? {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // As tokio's listeners: a node that starts anew finds connections of its predecessor's that are ending.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn peer(settings: &[(&str, &str)]) -> PeerConfig {
        let variables = settings.iter().map(|(key, value)| (format!("CORE_PEER_{key}"), (*value).to_owned()));
        let environment = Environment { variables: variables.collect(), ..Environment::default() };
        Config::load(&environment).expect("settings").peer
    }

    #[test]
    fn chaincode_is_told_the_first_address_that_is_set() {
        const LISTEN: &str = "CHAINCODELISTENADDRESS";
        const TOLD: &str = "CHAINCODEADDRESS";
        let peer0 = ("ADDRESS", "peer0.example.com:7051");
        let table = [
            (vec![], "127.0.0.1:7052", "127.0.0.1:7052"),
            (vec![peer0], "peer0.example.com:7052", "peer0.example.com:7052"),
            (vec![peer0, (TOLD, "cc.example.com:9999")], "peer0.example.com:7052", "cc.example.com:9999"),
            (vec![peer0, (LISTEN, "10.0.0.1:8052")], "10.0.0.1:8052", "10.0.0.1:8052"),
            (vec![peer0, (LISTEN, "0.0.0.0:8052")], "0.0.0.0:8052", "peer0.example.com:8052"),
            (vec![peer0, (LISTEN, "[::]:8052")], "[::]:8052", "peer0.example.com:8052"),
            (vec![("ADDRESS", "[::1]:7051"), (LISTEN, "0.0.0.0:8052")], "0.0.0.0:8052", "[::1]:8052"),
            (vec![("ADDRESS", "[::1]:7051")], "[::1]:7052", "[::1]:7052"),
            (vec![(LISTEN, "0.0.0.0:8052"), (TOLD, "10.0.0.2:7000")], "0.0.0.0:8052", "10.0.0.2:7000"),
            (vec![("LISTENADDRESS", "0.0.0.0:7051")], "127.0.0.1:7052", "127.0.0.1:7052"),
        ];
        for (settings, listen, told) in table {
            let peer = peer(&settings);
            assert_eq!(listen_address(&peer), listen, "{settings:?}");
            assert_eq!(endpoint(&peer).expect("an endpoint"), told, "{settings:?}");
        }
    }

    #[test]
    fn what_nobody_can_connect_to_is_told_to_nobody() {
        let everywhere = ("ADDRESS", "0.0.0.0:7051");
        let table = [
            (vec![("CHAINCODEADDRESS", "0.0.0.0:7052")], "peer.chaincodeAddress is 0.0.0.0:7052"),
            (vec![("CHAINCODEADDRESS", "[::]:7052")], "peer.chaincodeAddress is [::]:7052"),
            (vec![everywhere], "peer.address is 0.0.0.0:7051"),
            (vec![everywhere, ("CHAINCODELISTENADDRESS", "0.0.0.0:7052")], "peer.address is 0.0.0.0:7051"),
        ];
        for (settings, says) in table {
            let text = endpoint(&peer(&settings)).expect_err("no endpoint").to_string();
            let expected = format!("invalid endpoint for chaincode to connect: {says}, which is every address");
            assert!(text.starts_with(&expected), "{text}");
        }
    }

    #[tokio::test]
    async fn a_port_that_the_system_chooses_is_told_and_opens_with_the_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |told: &str| {
            let settings = [("CHAINCODELISTENADDRESS", "127.0.0.1:0"), ("CHAINCODEADDRESS", told)];
            let variables = settings.iter().map(|(key, value)| (format!("CORE_PEER_{key}"), (*value).to_owned()));
            let directory = folder.path().to_owned();
            Config::load(&Environment { variables: variables.collect(), directory, executable: None })
                .expect("settings")
        };
        for (setting, host) in [("", "127.0.0.1"), ("localhost:0", "localhost")] {
            let server = ChaincodeServer::prepare(&told(setting)).await.expect("a free port");
            let endpoint = server.endpoint.clone();
            let (name, port) = split(&endpoint);
            assert_eq!(name, host);
            let address = format!("127.0.0.1:{port}");
            let refused = tokio::net::TcpStream::connect(&address).await.expect_err("nobody listens yet");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let (listener, tls) = server.listen().expect("still free");
            assert!(tls.is_none());
            tokio::net::TcpStream::connect(&address).await.expect("is open");
            drop(listener);
        }
    }
}
