//! Section `vm` of core.yaml: the Docker engine, and what its containers may use (Fabric: `vm.docker.hostConfig`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::units::ByteSize;
use super::values::Values;

/// `vm`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmConfig {
    /// `vm.endpoint`; none switches Docker chaincode off.
    pub endpoint: Option<DockerEndpoint>,
    /// Whether the operator wrote `vm.endpoint`, and so expects an engine there.
    pub endpoint_is_set: bool,
    /// `vm.docker.tls`; none where it is not enabled.
    pub tls: Option<DockerTls>,
    /// `vm.docker.attachStdout`: what chaincode writes goes to the node's log.
    pub attach_stdout: bool,
    /// `vm.docker.hostConfig`
    pub host_config: HostConfig,
}

/// Where a Docker engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerEndpoint {
    /// `unix://` and the path of a socket.
    Unix(PathBuf),
    /// `tcp://`, `http://` or `https://` and `host:port`.
    Tcp(String),
}

/// `vm.docker.tls`: files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerTls {
    /// `ca.file`: the authority of the engine's certificate.
    pub ca_file: PathBuf,
    /// `cert.file`: what the node shows to the engine.
    pub cert_file: PathBuf,
    /// `key.file`
    pub key_file: PathBuf,
}

/// `vm.docker.hostConfig`. An empty text, an empty list and 0 leave the choice to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// `CapAdd`
    pub cap_add: Vec<String>,
    /// `CapDrop`
    pub cap_drop: Vec<String>,
    /// `Dns`
    pub dns: Vec<String>,
    /// `DnsSearch`
    pub dns_search: Vec<String>,
    /// `ExtraHosts`, as `host:address`.
    pub extra_hosts: Vec<String>,
    /// `NetworkMode`; `host` where it is empty.
    pub network_mode: String,
    /// `IpcMode`
    pub ipc_mode: String,
    /// `PidMode`
    pub pid_mode: String,
    /// `UTSMode`
    pub uts_mode: String,
    /// `LogConfig.Type`: the engine's logging driver.
    pub log_type: String,
    /// `LogConfig.Config`: that driver's options.
    pub log_options: BTreeMap<String, String>,
    /// `ReadonlyRootfs`
    pub readonly_rootfs: bool,
    /// `SecurityOpt`
    pub security_opt: Vec<String>,
    /// `CgroupParent`
    pub cgroup_parent: String,
    /// `Memory`
    pub memory: ByteSize,
    /// `MemorySwap`, in bytes, memory included; -1 is no limit.
    pub memory_swap: i64,
    /// `MemorySwappiness`, in per cent.
    pub memory_swappiness: i64,
    /// `OomKillDisable`
    pub oom_kill_disable: bool,
    /// `CpuShares`
    pub cpu_shares: i64,
    /// `CpuQuota`, in microseconds for each period; -1 is no limit.
    pub cpu_quota: i64,
    /// `CpuPeriod`, in microseconds.
    pub cpu_period: i64,
    /// `CpusetCPUs`; `Cpuset`, its old name, where it is empty.
    pub cpuset_cpus: String,
    /// `CpusetMEMs`
    pub cpuset_mems: String,
    /// `BlkioWeight`
    pub blkio_weight: u16,
}

const ENDPOINT: &str = "vm.endpoint";
const TLS: &str = "vm.docker.tls.enabled";

pub(super) fn read(values: &mut Values<'_>) -> VmConfig {
    let tls = values.flag(TLS);
    let endpoint = values.read(ENDPOINT, |text| endpoint(text, tls));
    let tls = match (&endpoint, tls) {
        (Some(DockerEndpoint::Unix(_)), true) => {
            values.warnings.push(format!("{TLS} is true without effect: {ENDPOINT} is a socket of this machine"));
            None
        }
        (Some(DockerEndpoint::Tcp(_)), true) => Some(DockerTls {
            ca_file: values.path("vm.docker.tls.ca.file"),
            cert_file: values.path("vm.docker.tls.cert.file"),
            key_file: values.path("vm.docker.tls.key.file"),
        }),
        _ => None,
    };
    VmConfig {
        endpoint_is_set: values.is_set(ENDPOINT),
        endpoint,
        tls,
        attach_stdout: values.flag("vm.docker.attachStdout"),
        host_config: host_config(values),
    }
}

fn endpoint(text: &str, tls: bool) -> Result<Option<DockerEndpoint>, String> {
    const SHAPE: &str = "is not an endpoint of a Docker engine; write unix:///var/run/docker.sock, tcp://host:2375, or with \
                         vm.docker.tls.enabled https://host:2376";
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.is_empty() { Ok(None) } else { Err(SHAPE.to_owned()) };
    };
    match (scheme, tls) {
        ("unix", _) if rest.starts_with('/') => return Ok(Some(DockerEndpoint::Unix(PathBuf::from(rest)))),
        ("https", false) => return Err(format!("asks for TLS; set {TLS} and the files beside it")),
        ("tcp" | "http", _) | ("https", true) => {}
        _ => return Err(SHAPE.to_owned()),
    }
    let address = rest.trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Some(DockerEndpoint::Tcp(address.to_owned())))
        }
        _ => Err(SHAPE.to_owned()),
    }
}

fn host_config(values: &mut Values<'_>) -> HostConfig {
    let key = |name: &str| format!("vm.docker.hostConfig.{name}");
    let cpus = Some(values.text(&key("CpusetCPUs"))).filter(|cpus| !cpus.is_empty());
    HostConfig {
        cap_add: values.list(&key("CapAdd")),
        cap_drop: values.list(&key("CapDrop")),
        dns: values.list(&key("Dns")),
        dns_search: values.list(&key("DnsSearch")),
        extra_hosts: values.list(&key("ExtraHosts")),
        network_mode: Some(values.text(&key("NetworkMode"))).filter(|mode| !mode.is_empty()).unwrap_or("host".into()),
        ipc_mode: values.text(&key("IpcMode")),
        pid_mode: values.text(&key("PidMode")),
        uts_mode: values.text(&key("UTSMode")),
        log_type: values.text(&key("LogConfig.Type")),
        log_options: values.map(&key("LogConfig.Config")),
        readonly_rootfs: values.flag(&key("ReadonlyRootfs")),
        security_opt: values.list(&key("SecurityOpt")),
        cgroup_parent: values.text(&key("CgroupParent")),
        memory: values.read(&key("Memory"), memory),
        memory_swap: values.number(&key("MemorySwap"), -1..=i64::MAX),
        memory_swappiness: values.number(&key("MemorySwappiness"), 0..=100),
        oom_kill_disable: values.flag(&key("OomKillDisable")),
        cpu_shares: values.number(&key("CpuShares"), 0..=262_144),
        cpu_quota: values.number(&key("CpuQuota"), -1..=i64::MAX),
        cpu_period: values.number(&key("CpuPeriod"), 0..=1_000_000),
        cpuset_cpus: cpus.unwrap_or_else(|| values.text(&key("Cpuset"))),
        cpuset_mems: values.text(&key("CpusetMEMs")),
        blkio_weight: values.number(&key("BlkioWeight"), 0..=1000),
    }
}

/// No engine starts a container with less.
const LEAST_MEMORY: ByteSize = ByteSize::mib(6);

fn memory(text: &str) -> Result<ByteSize, String> {
    match text.parse()? {
        size if size == ByteSize::default() || size >= LEAST_MEMORY => Ok(size),
        _ => Err(format!(
            "is below {LEAST_MEMORY}, with which no engine starts a container; write more, or 0 for no limit"
        )),
    }
}
