//! Section `peer` of core.yaml.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tls::{self, TlsConfig};
use super::values::Values;

/// Where a node without a core.yaml keeps its data, under the current directory.
const BUILT_IN_DATA: &str = "selvedge-data";

const RETENTION: &str = "peer.gossip.pvtData.transientstoreMaxBlockRetention";
const DEFAULT_RETENTION: u64 = 1000;

/// `peer`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// `peer.id`
    pub id: String,
    /// `peer.networkId`
    pub network_id: String,
    /// `peer.listenAddress`: `host:port` of the client services.
    pub listen_address: String,
    /// `peer.address`: where clients reach the peer. Where it is not set: the listen address, with this machine's loopback in
    /// place of a wildcard.
    pub address: String,
    /// `peer.chaincodeListenAddress`: `host:port` that chaincode registers at; where it is not set, port 7052 of the host in
    /// `peer.address`.
    pub chaincode_listen_address: Option<String>,
    /// `peer.chaincodeAddress`: what chaincode is told instead of the listen address.
    pub chaincode_address: Option<String>,
    /// `peer.fileSystemPath`: everything that the node keeps.
    pub file_system_path: PathBuf,
    /// `peer.mspConfigPath`; none means the development identity under [`PeerConfig::development_path`].
    pub msp_config_path: Option<PathBuf>,
    /// `peer.localMspId`
    pub local_msp_id: String,
    /// `peer.limits.concurrency.endorserService`: proposals at a time; 0 is no limit.
    pub endorser_concurrency: usize,
    /// `peer.limits.concurrency.deliverService`: open streams of blocks; 0 is no limit.
    pub deliver_concurrency: usize,
    /// `peer.authentication.timewindow`: how far a client's clock may be off.
    pub authentication_timewindow: Duration,
    /// `peer.gossip.pvtData.transientstoreMaxBlockRetention`: blocks for which private data waits for its transaction; never
    /// 0.
    pub transient_store_retention: u64,
    /// `peer.tls`
    pub tls: TlsConfig,
}

impl PeerConfig {
    /// The identities that a node makes for itself when it has none: `peer`, `orderer`, `admin`, `user`.
    pub fn development_path(&self) -> PathBuf {
        self.file_system_path.join("development")
    }
}

pub(super) fn read(values: &mut Values<'_>, directory: &Path, has_file: bool) -> PeerConfig {
    let listen_address = values.address("peer.listenAddress");
    let file_system_path = match values.optional_path("peer.fileSystemPath") {
        Some(path) if has_file || values.is_set("peer.fileSystemPath") => path,
        _ => directory.join(BUILT_IN_DATA),
    };
    PeerConfig {
        id: values.name("peer.id"),
        network_id: values.text("peer.networkId"),
        address: values.optional_address("peer.address").unwrap_or_else(|| reachable(&listen_address)),
        listen_address,
        chaincode_listen_address: values.optional_address("peer.chaincodeListenAddress"),
        chaincode_address: values.optional_address("peer.chaincodeAddress"),
        file_system_path,
        msp_config_path: values.optional_path("peer.mspConfigPath"),
        local_msp_id: values.name("peer.localMspId"),
        endorser_concurrency: values.number("peer.limits.concurrency.endorserService", 0..=1_000_000),
        deliver_concurrency: values.number("peer.limits.concurrency.deliverService", 0..=1_000_000),
        authentication_timewindow: values
            .duration("peer.authentication.timewindow", Duration::from_secs(1)..=Duration::from_secs(24 * 3600)),
        transient_store_retention: match values.number(RETENTION, 0..=1_000_000_000) {
            // As in Fabric.
            0 => DEFAULT_RETENTION,
            blocks => blocks,
        },
        tls: tls::read(values),
    }
}

/// An address that a client on this machine can dial.
fn reachable(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => listen.to_owned(),
    }
}
