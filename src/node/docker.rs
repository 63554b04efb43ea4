//! The node's Docker VM: from its settings to a VM that has been tried, and what operators hear of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use prometheus_client::registry::Registry;

use crate::config::{Config, DockerEndpoint, HostConfig as Settings, VmConfig};
use crate::container::Vm;
use crate::container::docker::{
    AttachStdout, DockerConfig, DockerError, DockerMetrics, DockerVm, Endpoint, HostConfig, HostConfigLogConfig, Names,
    Owner, Planner, Pull,
};
use crate::operations::{HealthCheck, HealthChecks};
use crate::platforms::{self, BuildSettings};
use crate::tls::{ClientTls, Identity, NamedFile, Roots};

/// How long the engine may hold up the node's start, and its stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// The node's Docker VM; its containers end with the node.
pub(super) struct Docker {
    pub(super) vm: Arc<DockerVm>,
    /// Whether operators expect an engine: they named it, or it was there at the start.
    expected: bool,
}

impl Docker {
    /// Makes the VM, and removes what an earlier run left at the engine. Without an engine the node starts all the same.
    /// `told` is the address that chaincode is told to register at.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub(super) async fn open(config: &Config, told: &str, metrics: &mut Registry) -> anyhow::Result<Self> {
        let VmConfig { attach_stdout, host_config, endpoint_is_set, .. } = &config.vm;
        let data = &config.peer.file_system_path;
        let docker = DockerConfig {
            endpoint: endpoint(&config.vm)?,
            names: Names { network_id: config.peer.network_id.clone(), peer_id: config.peer.id.clone() },
            owner: Owner::of_peer(data)
                .with_context(|| format!("the key of this node's containers in {} cannot be used", data.display()))?,
            host: host(host_config),
            attach_stdout: if *attach_stdout { AttachStdout::Yes } else { AttachStdout::No },
            pull: if config.chaincode.build.pull { Pull::Always } else { Pull::Missing },
            planner: planner(config.chaincode.build.clone()),
        };
        let endpoint = docker.endpoint.clone();
        if let Some(warning) = unreachable(&host_config.network_mode, told) {
            tracing::warn!("{warning}");
        }
        let vm = Arc::new(DockerVm::new(docker, DockerMetrics::register(metrics)));
        let opened = tokio::time::timeout(PATIENCE, vm.open()).await;
        let mut expected = *endpoint_is_set;
        match opened {
            Ok(Ok(removed)) => {
                expected = true;
                tracing::info!("Docker chaincode runs at {endpoint}; {removed} containers of an earlier run removed");
            }
            Ok(Err(DockerError::Off)) => {
                expected = false;
                tracing::info!("Docker chaincode is off: vm.endpoint is empty");
            }
            Ok(Err(error)) if expected => tracing::warn!("Docker chaincode is off until an engine is there: {error}"),
            Ok(Err(error)) => tracing::info!("Docker chaincode is off until an engine is there: {error}"),
            Err(_) => tracing::warn!(
                "Docker chaincode may not work: the engine at {endpoint} did not answer within {} s",
                PATIENCE.as_secs()
            ),
        }
        Ok(Self { vm, expected })
    }

    /// Makes the engine a component that `/healthz` asks, where operators expect one.
    pub(super) fn register(&self, health: &mut HealthChecks) {
        if self.expected {
            health.register("docker", Box::new(EngineAnswers(Arc::clone(&self.vm))));
        }
    }

    /// Stops and removes the node's containers.
    pub(super) async fn close(self) {
        match tokio::time::timeout(PATIENCE, self.vm.close()).await {
            Ok(Ok(0) | Err(DockerError::Off | DockerError::Connect { .. } | DockerError::Unusable { .. })) => {}
            Ok(Ok(stopped)) => tracing::info!("{stopped} chaincode containers stopped"),
            Ok(Err(error)) => tracing::warn!("chaincode containers are left for the next start to remove: {error}"),
            Err(_) => tracing::warn!(
                "chaincode containers are left for the next start to remove: the engine took longer than {} s",
                PATIENCE.as_secs()
            ),
        }
    }
}

struct EngineAnswers(Arc<DockerVm>);

#[async_trait]
impl HealthCheck for EngineAnswers {
    async fn check(&self) -> Result<(), String> {
        self.0.health_check().await.map_err(|error| error.to_string())
    }
}

/// What the platforms say about the build of a package.
fn planner(settings: BuildSettings) -> Planner {
    Arc::new(move |code, ccid| platforms::plan(code, ccid, &settings).map_err(|error| error.to_string()))
}

fn endpoint(vm: &VmConfig) -> anyhow::Result<Endpoint> {
    let address = match &vm.endpoint {
        None => return Ok(Endpoint::Off),
        Some(DockerEndpoint::Unix(path)) => return Ok(Endpoint::Unix(path.clone())),
        Some(DockerEndpoint::Tcp(address)) => address.clone(),
    };
    let Some(files) = &vm.tls else { return Ok(Endpoint::Tcp(address)) };
    let unusable = || "TLS to the Docker engine (vm.docker.tls.enabled) is not possible";
    let (ca, cert, key) = ("vm.docker.tls.ca.file", "vm.docker.tls.cert.file", "vm.docker.tls.key.file");
    let roots = Roots::load(ca, &[NamedFile::new(ca, &files.ca_file)]).with_context(unusable)?;
    let identity = Identity::load(&NamedFile::new(cert, &files.cert_file), &NamedFile::new(key, &files.key_file));
    let tls = ClientTls::new(roots, Some(&identity.with_context(unusable)?)).with_context(unusable)?;
    Ok(Endpoint::Tls(address, Box::new(tls.http1())))
}

/// An empty value leaves the choice to the engine.
fn host(settings: &Settings) -> HostConfig {
    let settings = settings.clone();
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let list = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    let number = |number: i64| Some(number).filter(|number| *number != 0);
    HostConfig {
        cap_add: list(settings.cap_add),
        cap_drop: list(settings.cap_drop),
        dns: list(settings.dns),
        dns_search: list(settings.dns_search),
        extra_hosts: list(settings.extra_hosts),
        network_mode: text(settings.network_mode),
        ipc_mode: text(settings.ipc_mode),
        pid_mode: text(settings.pid_mode),
        uts_mode: text(settings.uts_mode),
        log_config: text(settings.log_type).map(|driver| HostConfigLogConfig {
            typ: Some(driver),
            config: Some(settings.log_options.into_iter().collect()),
        }),
        readonly_rootfs: settings.readonly_rootfs.then_some(true),
        security_opt: list(settings.security_opt),
        cgroup_parent: text(settings.cgroup_parent),
        memory: number(i64::try_from(settings.memory.as_u64()).unwrap_or(i64::MAX)),
        memory_swap: number(settings.memory_swap),
        memory_swappiness: number(settings.memory_swappiness),
        oom_kill_disable: settings.oom_kill_disable.then_some(true),
        cpu_shares: number(settings.cpu_shares),
        cpu_quota: number(settings.cpu_quota),
        cpu_period: number(settings.cpu_period),
        cpuset_cpus: text(settings.cpuset_cpus),
        cpuset_mems: text(settings.cpuset_mems),
        blkio_weight: Some(settings.blkio_weight).filter(|weight| *weight != 0),
        ..HostConfig::default()
    }
}

/// What to tell an operator whose chaincode would look for the node in its own container.
fn unreachable(network_mode: &str, told: &str) -> Option<String> {
    let host = told.rsplit_once(':').map_or(told, |(host, _)| host).trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|host| host.is_loopback());
    (network_mode != "host" && loopback).then(|| {
        format!(
            "vm.docker.hostConfig.NetworkMode is {network_mode} and chaincode is told to register at {told}, which is its own \
             container there; set peer.chaincodeListenAddress and peer.chaincodeAddress to an address of this machine that \
             containers reach"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_cannot_reach_the_node_is_told_of() {
        assert_eq!(unreachable("host", "127.0.0.1:7052"), None);
        assert_eq!(unreachable("bridge", "172.17.0.1:7052"), None);
        assert_eq!(unreachable("fabric_test", "peer0.org1.example.com:7052"), None);
        for told in ["127.0.0.1:7052", "[::1]:7052", "localhost:7052"] {
            assert!(unreachable("bridge", told).is_some_and(|warning| warning.contains(told)), "{told}");
        }
    }
}
