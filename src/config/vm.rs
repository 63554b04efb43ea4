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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ConfigError, Environment, document};
    use super::*;

    /// That of a core.yaml in `/etc/fabric`, or what is wrong with it.
    fn load(text: &str, variables: &[(&str, &str)]) -> Result<VmConfig, Vec<String>> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment = Environment { variables, ..Environment::default() };
        let document = document::parse(text).unwrap();
        match Config::build(&environment, Some("/etc/fabric/core.yaml".into()), &document) {
            Ok(config) => Ok(config.vm),
            Err(ConfigError::Invalid(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_not_set_is_fabrics() {
        let vm = load("", &[]).unwrap();
        assert_eq!(vm.endpoint, Some(DockerEndpoint::Unix("/var/run/docker.sock".into())));
        assert!(!vm.endpoint_is_set && !vm.attach_stdout && vm.tls.is_none());
        assert_eq!((vm.host_config.network_mode.as_str(), vm.host_config.memory), ("host", ByteSize::mib(2048)));
        let options = [("max-file", "5"), ("max-size", "50m")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((vm.host_config.log_type.as_str(), vm.host_config.log_options), ("json-file", options.into()));
    }

    #[test]
    fn a_host_config_of_fabrics_is_read_whole() {
        let text = "vm:\n  docker:\n    attachStdout: true\n    hostConfig:\n      NetworkMode:\n      Dns: [192.168.0.1]\n      \
                    ExtraHosts: ['orderer:10.0.0.1']\n      LogConfig: {Type: syslog, Config: {tag: cc}}\n      Memory: 64 MiB\n      \
                    MemorySwap: -1\n      OomKillDisable: yes\n      Cpuset: 0-2\n      UTSMode: host\n";
        let variables = [("CORE_VM_DOCKER_HOSTCONFIG_CAPDROP", "NET_RAW MKNOD"), ("CORE_VM_ENDPOINT", "tcp://h:2375/")];
        let vm = load(text, &variables).unwrap();
        assert_eq!(vm.endpoint, Some(DockerEndpoint::Tcp("h:2375".into())));
        assert!(vm.endpoint_is_set && vm.attach_stdout);
        let host = vm.host_config;
        assert_eq!(
            (host.network_mode.as_str(), host.uts_mode.as_str(), host.cpuset_cpus.as_str()),
            ("host", "host", "0-2")
        );
        assert_eq!((host.dns, host.extra_hosts), (vec!["192.168.0.1".to_owned()], vec!["orderer:10.0.0.1".to_owned()]));
        assert_eq!(host.cap_drop, ["NET_RAW", "MKNOD"]);
        assert_eq!((host.memory, host.memory_swap, host.oom_kill_disable), (ByteSize::mib(64), -1, true));
        assert_eq!(
            (host.log_type.as_str(), host.log_options),
            ("syslog", [("tag".to_owned(), "cc".to_owned())].into())
        );
    }

    #[test]
    fn tls_takes_its_files_from_the_folder_of_the_configuration() {
        let text = "vm: {endpoint: 'https://engine:2376', docker: {tls: {enabled: true, ca: {file: /ca.pem}}}}";
        let tls = load(text, &[]).unwrap().tls.unwrap();
        assert_eq!(tls.ca_file, Path::new("/ca.pem"));
        assert_eq!(tls.key_file, Path::new("/etc/fabric/docker/tls.key"));
        let socket = load("vm: {docker: {tls: {enabled: true}}}", &[]).unwrap();
        assert_eq!(socket.tls, None, "a socket of this machine has no TLS");
    }

    #[test]
    fn what_no_engine_takes_is_refused_with_what_to_write() {
        let table = [
            ("vm: {endpoint: 'engine:2375'}", "unix:///var/run/docker.sock"),
            ("vm: {endpoint: 'tcp://engine'}", "tcp://host:2375"),
            ("vm: {endpoint: 'https://engine:2376'}", "vm.docker.tls.enabled"),
            ("vm: {docker: {hostConfig: {Memory: 1024}}}", "6 MiB"),
            ("vm: {docker: {hostConfig: {MemorySwappiness: 101}}}", "100"),
            ("vm: {docker: {hostConfig: {CpuShares: many}}}", "whole number"),
            ("vm: {docker: {tls: {enabled: true, key: {file: ''}}}, endpoint: 'tcp://h:1'}", "vm.docker.tls.key.file"),
        ];
        for (text, expected) in table {
            let problems = load(text, &[]).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
        assert_eq!(load("vm: {endpoint: ''}", &[]).unwrap().endpoint, None);
    }
}
