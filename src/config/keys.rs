//! Every key that core.yaml may hold: ours with their defaults, and Fabric's that this version does not use.
//!
//! Paths are written as Fabric writes them and compared without case, as viper does. Invariant: a default parses and
//! passes its own check (a test reads an empty file), and `docs/core.yaml` names every key (another test).

/// Where the map of enabled system chaincodes stands.
pub(super) const SYSTEM: &str = "chaincode.system";
/// Where the list of plug-in system chaincodes stands.
pub(super) const PLUGINS: &str = "chaincode.systemPlugins";

/// Keys that hold a list of texts, empty where the file does not say.
pub(super) const LISTS: &[&str] = &[
    "peer.tls.clientRootCAs.files",
    "vm.docker.hostConfig.CapAdd",
    "vm.docker.hostConfig.CapDrop",
    "vm.docker.hostConfig.Dns",
    "vm.docker.hostConfig.DnsSearch",
    "vm.docker.hostConfig.ExtraHosts",
    "vm.docker.hostConfig.SecurityOpt",
];

/// Texts by name.
type TextMap = &'static [(&'static str, &'static str)];

/// Keys that hold a map of texts, and that map where the file does not say.
pub(super) const MAPS: &[(&str, TextMap)] =
    &[("vm.docker.hostConfig.LogConfig.Config", &[("max-size", "50m"), ("max-file", "5")])];

/// Keys with one value each, and that value where the file does not say. An empty default means "see the comment in
/// `docs/core.yaml`": another setting, the machine or the package decides.
pub(super) const SCALARS: &[(&str, &str)] = &[
    ("peer.id", "peer0"),
    ("peer.networkId", "dev"),
    ("peer.listenAddress", "127.0.0.1:7051"),
    ("peer.address", ""),
    ("peer.chaincodeListenAddress", ""),
    ("peer.chaincodeAddress", ""),
    ("peer.fileSystemPath", "/var/hyperledger/production"),
    ("peer.mspConfigPath", ""),
    ("peer.localMspId", "SampleOrg"),
    ("peer.limits.concurrency.endorserService", "2500"),
    ("peer.limits.concurrency.deliverService", "2500"),
    ("peer.authentication.timewindow", "15m"),
    ("peer.gossip.pvtData.transientstoreMaxBlockRetention", "1000"),
    ("peer.tls.enabled", "false"),
    ("peer.tls.clientAuthRequired", "false"),
    ("peer.tls.cert.file", ""),
    ("peer.tls.key.file", ""),
    ("peer.tls.rootcert.file", ""),
    ("peer.tls.clientCert.file", ""),
    ("peer.tls.clientKey.file", ""),
    ("peer.tls.serverhostoverride", ""),
    ("chaincode.mode", "net"),
    ("chaincode.builder", "$(DOCKER_NS)/fabric-ccenv:$(TWO_DIGIT_VERSION)"),
    ("chaincode.pull", "false"),
    ("chaincode.golang.runtime", "$(BASE_DOCKER_NS)/fabric-baseos:$(ARCH)-$(BASE_VERSION)"),
    ("chaincode.golang.dynamicLink", "false"),
    ("chaincode.node.runtime", "$(BASE_DOCKER_NS)/fabric-baseimage:$(ARCH)-$(BASE_VERSION)"),
    ("chaincode.java.runtime", "$(DOCKER_NS)/fabric-javaenv:$(TWO_DIGIT_VERSION)"),
    ("chaincode.rust.builder", "rust:1-alpine"),
    ("chaincode.rust.runtime", "scratch"),
    ("chaincode.startuptimeout", "300s"),
    ("chaincode.executetimeout", "30s"),
    ("chaincode.installTimeout", "300s"),
    ("chaincode.keepalive", "0"),
    ("chaincode.logging.level", "info"),
    ("chaincode.logging.shim", "warning"),
    (
        "chaincode.logging.format",
        "%{color}%{time:2006-01-02 15:04:05.000 MST} [%{module}] %{shortfunc} -> %{level:.4s} %{id:03x}%{color:reset} %{message}",
    ),
    ("chaincode.runtimeParams.useWriteBatch", "true"),
    ("chaincode.runtimeParams.maxSizeWriteBatch", "1000"),
    ("chaincode.runtimeParams.useGetMultipleKeys", "true"),
    ("chaincode.runtimeParams.maxSizeGetMultipleKeys", "1000"),
    ("chaincode.ccaas.redial.minDelay", "250ms"),
    ("chaincode.ccaas.redial.maxDelay", "30s"),
    ("chaincode.ccaas.redial.giveUpAfter", "1h"),
    ("chaincode.wasm.systemPath", ""),
    ("chaincode.wasm.systemVersion", ""),
    ("chaincode.wasm.cachePath", ""),
    ("chaincode.wasm.cacheSize", "1 GiB"),
    ("chaincode.wasm.workers", "0"),
    ("chaincode.wasm.instances", "256"),
    ("chaincode.wasm.initInstances", "16"),
    ("chaincode.wasm.limits.memory", "64 MiB"),
    ("chaincode.wasm.limits.tables", "20000"),
    ("chaincode.wasm.limits.stack", "512 KiB"),
    ("chaincode.wasm.limits.time", "5s"),
    ("chaincode.wasm.limits.fuel", "0"),
    ("chaincode.wasm.limits.value", "64 MiB"),
    ("chaincode.wasm.limits.hostCallBytes", "4 MiB"),
    ("chaincode.wasm.limits.hostMemory", "256 MiB"),
    ("chaincode.wasm.limits.logLine", "8 KiB"),
    ("chaincode.wasm.limits.logLines", "1000"),
    ("chaincode.wasm.limits.callDepth", "8"),
    ("vm.endpoint", "unix:///var/run/docker.sock"),
    ("vm.docker.tls.enabled", "false"),
    ("vm.docker.tls.ca.file", "docker/ca.crt"),
    ("vm.docker.tls.cert.file", "docker/tls.crt"),
    ("vm.docker.tls.key.file", "docker/tls.key"),
    ("vm.docker.attachStdout", "false"),
    ("vm.docker.hostConfig.NetworkMode", "host"),
    ("vm.docker.hostConfig.IpcMode", ""),
    ("vm.docker.hostConfig.PidMode", ""),
    ("vm.docker.hostConfig.UTSMode", ""),
    ("vm.docker.hostConfig.LogConfig.Type", "json-file"),
    ("vm.docker.hostConfig.ReadonlyRootfs", "false"),
    ("vm.docker.hostConfig.CgroupParent", ""),
    ("vm.docker.hostConfig.Memory", "2147483648"),
    ("vm.docker.hostConfig.MemorySwap", "0"),
    ("vm.docker.hostConfig.MemorySwappiness", "0"),
    ("vm.docker.hostConfig.OomKillDisable", "false"),
    ("vm.docker.hostConfig.CpuShares", "0"),
    ("vm.docker.hostConfig.CpuQuota", "0"),
    ("vm.docker.hostConfig.CpuPeriod", "0"),
    ("vm.docker.hostConfig.Cpuset", ""),
    ("vm.docker.hostConfig.CpusetCPUs", ""),
    ("vm.docker.hostConfig.CpusetMEMs", ""),
    ("vm.docker.hostConfig.BlkioWeight", "0"),
    ("ledger.state.stateDatabase", "goleveldb"),
    ("ledger.state.totalQueryLimit", "100000"),
    ("ledger.history.enableHistoryDatabase", "true"),
    ("operations.listenAddress", "127.0.0.1:9443"),
    ("operations.tls.enabled", "false"),
    ("network.development.channel", "mychannel"),
    ("network.development.consortium", "SampleConsortium"),
    ("network.development.batchTimeout", "200ms"),
    ("network.development.maxMessageCount", "500"),
    ("network.development.absoluteMaxBytes", "10 MiB"),
    ("network.development.preferredMaxBytes", "2 MiB"),
];

/// Keys and sections of Fabric's core.yaml (1.4 to 3.x) that this version reads past.
const UNUSED: &[&str] = &[
    "chaincode.car",
    "chaincode.externalBuilders",
    "chaincode.id",
    "ledger.blockchain",
    "ledger.pvtdataStore",
    "ledger.snapshots",
    "ledger.state.couchDBConfig",
    "ledger.state.type",
    "logging",
    "metrics",
    "operations.tls",
    "peer.BCCSP",
    "peer.addressAutoDetect",
    "peer.adminService",
    "peer.client",
    "peer.deliveryclient",
    "peer.discovery",
    "peer.events",
    "peer.gateway",
    "peer.gomaxprocs",
    "peer.gossip",
    "peer.handlers",
    "peer.keepalive",
    "peer.limits.concurrency.gatewayService",
    "peer.localMspType",
    "peer.maxRecvMsgSize",
    "peer.maxSendMsgSize",
    "peer.profile",
    "peer.tls.serverRootCAs",
    "peer.validatorPoolSize",
];

/// Keys that are read and checked, and do nothing yet.
pub(super) const NOT_YET: &[&str] = &["ledger.history.enableHistoryDatabase"];

/// What stands under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One value; carries the path as Fabric writes it.
    Scalar(&'static str),
    /// One of [`LISTS`].
    List(&'static str),
    /// One of [`MAPS`].
    Map(&'static str),
    /// [`SYSTEM`].
    System,
    /// [`PLUGINS`].
    Plugins,
    /// Further keys.
    Section,
    /// A key of Fabric's without an effect here.
    Unused,
    /// Nothing that we or Fabric know.
    Unknown,
}

/// Tells what stands under `path`, in any case.
pub(super) fn classify(path: &str) -> Kind {
    if let Some((key, _)) = SCALARS.iter().find(|(key, _)| key.eq_ignore_ascii_case(path)) {
        Kind::Scalar(key)
    } else if let Some(key) = LISTS.iter().find(|key| key.eq_ignore_ascii_case(path)) {
        Kind::List(key)
    } else if let Some((key, _)) = MAPS.iter().find(|(key, _)| key.eq_ignore_ascii_case(path)) {
        Kind::Map(key)
    } else if SYSTEM.eq_ignore_ascii_case(path) {
        Kind::System
    } else if PLUGINS.eq_ignore_ascii_case(path) {
        Kind::Plugins
    } else if known().any(|key| is_below(key, path)) {
        Kind::Section
    } else if UNUSED.iter().any(|key| key.eq_ignore_ascii_case(path) || is_below(path, key)) {
        Kind::Unused
    } else {
        Kind::Unknown
    }
}

/// The environment variable that overrides `key`, as viper names it.
pub(super) fn variable(key: &str) -> String {
    format!("CORE_{}", key.replace('.', "_").to_ascii_uppercase())
}

/// Tells what an environment variable named `CORE_...` overrides.
pub(super) fn classify_variable(name: &str) -> Kind {
    if let Some((key, _)) = SCALARS.iter().find(|(key, _)| variable(key) == name) {
        Kind::Scalar(key)
    } else if let Some(key) = LISTS.iter().find(|key| variable(key) == name) {
        Kind::List(key)
    } else if name == variable(SYSTEM) {
        Kind::System
    } else if UNUSED
        .iter()
        .map(|key| variable(key))
        .any(|unused| name == unused || name.starts_with(&format!("{unused}_")))
    {
        Kind::Unused
    } else {
        Kind::Unknown
    }
}

/// The known key that `path` was most likely meant to be.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let last = path.rsplit('.').next().unwrap_or_default();
    known()
        .map(|key| {
            let lower = key.to_ascii_lowercase();
            // The right name in the wrong section is as near as one wrong letter.
            let moved = lower.rsplit('.').next() == Some(last);
            (if moved { 1 } else { edit_distance(&path, &lower) }, key)
        })
        .filter(|(distance, key)| *distance * 3 <= key.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

/// Every key that has an effect.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    let lists = LISTS.iter().copied().chain(MAPS.iter().map(|(key, _)| *key));
    SCALARS.iter().map(|(key, _)| *key).chain(lists).chain([SYSTEM, PLUGINS])
}

fn is_below(key: &str, section: &str) -> bool {
    key.len() > section.len()
        && key.as_bytes()[section.len()] == b'.'
        && key.as_bytes()[..section.len()].eq_ignore_ascii_case(section.as_bytes())
}

/// How many letters have to be put in, taken out or replaced to turn `a` into `b` (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_classified_without_regard_to_case() {
        assert_eq!(classify("PEER.listenaddress"), Kind::Scalar("peer.listenAddress"));
        assert_eq!(classify("peer"), Kind::Section);
        assert_eq!(classify("chaincode.wasm.limits"), Kind::Section);
        assert_eq!(classify("Chaincode.SystemPlugins"), Kind::Plugins);
        assert_eq!(classify("peer.gossip.bootstrap"), Kind::Unused);
        assert_eq!(classify("peer.tls"), Kind::Section);
        assert_eq!(classify("peer.tls.serverRootCAs.files"), Kind::Unused);
        assert_eq!(classify("peer.tls.clientrootcas.files"), Kind::List("peer.tls.clientRootCAs.files"));
        assert_eq!(classify("peer.gossipy"), Kind::Unknown);
    }

    #[test]
    fn a_variable_is_the_key_in_capitals_with_underscores() {
        assert_eq!(variable("peer.limits.concurrency.endorserService"), "CORE_PEER_LIMITS_CONCURRENCY_ENDORSERSERVICE");
        assert_eq!(classify_variable("CORE_PEER_LISTENADDRESS"), Kind::Scalar("peer.listenAddress"));
        assert_eq!(classify_variable("CORE_VM_DOCKER_ATTACHSTDOUT"), Kind::Scalar("vm.docker.attachStdout"));
        assert_eq!(classify_variable("CORE_PEER_LISTENADRESS"), Kind::Unknown);
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        let table = [
            ("peer.listenAdress", Some("peer.listenAddress")),
            ("peer.filesystempaht", Some("peer.fileSystemPath")),
            ("chaincode.limits.memory", Some("chaincode.wasm.limits.memory")),
            ("chaincode.systemPlugin", Some("chaincode.systemPlugins")),
            ("something.else.entirely.different", None),
        ];
        for (written, meant) in table {
            assert_eq!(nearest(written), meant, "{written}");
        }
    }

    #[test]
    fn no_key_is_both_used_and_unused() {
        for key in UNUSED {
            assert!(!known().any(|known| known.eq_ignore_ascii_case(key)), "{key}");
        }
        assert!(NOT_YET.iter().all(|key| matches!(classify(key), Kind::Scalar(_))));
    }
}
