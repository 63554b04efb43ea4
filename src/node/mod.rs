//! The composition root: the one place that knows every part of a node (Fabric: `peer/node/start.go`).
//!
//! [`Node::start`] reads from top to bottom: runtimes, identity, channels, chaincode, ordering, listeners. Invariant: a
//! listener opens only when everything behind it works, so a node that answers `/healthz` endorses.

mod adapters;
mod chaincode_server;
mod chaincodes;
mod channels;
mod connections;
mod docker;
mod embedded_orderer;
mod listeners;
mod system_chaincodes;
mod tasks;
mod tls;
mod work;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry as Metrics;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::adapters::{Access, ChannelCapabilities, Directory, LedgersWork, OrderersWork};
use self::chaincode_server::ChaincodeServer;
pub(crate) use self::chaincodes::wasm_config;
use self::channels::{ChannelManager, Joiner};
use self::docker::Docker;
use self::embedded_orderer::EmbeddedOrderer;
use self::listeners::{Listeners, Services};
pub use self::system_chaincodes::system_chaincodes;
pub(crate) use self::work::WorkRuntime;
use crate::admin::ContainersService;
use crate::chaincode::packages::{InstallListener, Installer, PackageStore};
use crate::chaincode::{
    ChaincodeListener, ChaincodeMetrics, ChaincodeSupport, Environment, Ledgers, Lifecycle, Retirement,
};
use crate::channel::{AclChecker, Authenticator, Channels, Deployments};
use crate::config::Config;
use crate::container::server::ServerVm;
use crate::container::wasm::{Capability, Messages, WasmVm};
use crate::container::{StreamAcceptor, Vm, VmController, VmType};
use crate::endorser::{Endorser, EndorserMetrics, EndorserParts};
use crate::ledger::{LedgerProvider, PrivateDataSupport, StateDatabase, TransientStore};
use crate::msp::{Msp, Signer, SigningIdentity, development};
use crate::operations::{HealthChecks, LogControl, Operations};
use crate::ordering::{AtomicBroadcastService, CreatedChannels, DeliverConfig, DeliverMetrics, Deliverer, Orderers};
use crate::private_data::{CollectionStore, LocalDistributor, Membership, PrivateDataDelivery};
use crate::scc::{
    AccessControlCapability, ChannelAdminCapability, ChannelConfigCapability, Deployer, LedgerCapability,
    PackageAdminCapability, PackagesCapability, PoliciesCapability, Registry,
};
use crate::validation::TransactionValidator;

/// A running node.
pub struct Node {
    support: ChaincodeSupport,
    ledgers: Arc<LedgerProvider>,
    channels: Arc<ChannelManager>,
    listeners: Listeners,
    orderers: Arc<Orderers>,
    controller: Arc<VmController>,
    containers: Containers,
    docker: Docker,
    work: WorkRuntime,
}

/// The containers inside this process, and the connections to services; stopped when dropped, before the runtime that they
/// run on.
struct Containers {
    wasm: Arc<WasmVm>,
    server: Arc<ServerVm>,
}

impl Drop for Containers {
    fn drop(&mut self) {
        self.wasm.close();
        self.server.close();
    }
}

/// Puts something around an acceptor.
pub type WrapAcceptor = Box<dyn FnOnce(Arc<dyn StreamAcceptor>) -> Arc<dyn StreamAcceptor> + Send>;

/// What a test or a benchmark puts between the parts.
#[derive(Default)]
pub struct Hooks {
    /// Wraps the acceptor that the wasm VM gives its streams to.
    pub acceptor: Option<WrapAcceptor>,
    /// VMs in place of the node's own of the same type.
    pub vms: Vec<(VmType, Arc<dyn Vm>)>,
}

impl Node {
    /// Starts a node and returns when it serves.
    ///
    /// # Errors
    /// What keeps it from serving: a directory in use, a broken module, a port that is taken.
    pub async fn start(config: &Config, hooks: Hooks) -> anyhow::Result<Self> {
        let logging = LogControl::install(&config.logging_spec)?;
        tracing::info!(
            "selvedge {}, settings from {}, data in {}",
            env!("CARGO_PKG_VERSION"),
            config.file.as_ref().map_or("defaults (there is no core.yaml)".into(), |file| file.display().to_string()),
            config.peer.file_system_path.display()
        );
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        // Before anything is made on disk: a certificate that cannot be used is the operator's to correct.
        let server_tls = tls::server(&config.peer)?;
        let mut metrics = Metrics::default();
        let work = WorkRuntime::start(config.chaincode.wasm.workers)?;
        tasks::register(&mut metrics, &work);

        let data = &config.peer.file_system_path;
        let ledgers = Arc::new(LedgerProvider::open(&data.join("ledgers"))?);
        // After it: of two nodes with one configuration, the second is to hear of the directory first.
        let registrations = ChaincodeServer::prepare(config).await?;
        let transient = Arc::new(TransientStore::open(&data.join("transientStore"))?);
        let packages =
            Arc::new(PackageStore::open(&data.join("chaincodes")).context("the installed chaincode packages")?);
        match config.ledger.state_database {
            StateDatabase::CouchDb => ledgers.use_couchdb(packages.clone())?,
            StateDatabase::GoLevelDb => tell_of_idle_indexes(&ledgers),
        }

        let mspid = &config.peer.local_msp_id;
        let made = development::ensure(&config.peer.development_path(), mspid)
            .context("the development identities cannot be made")?;
        let msp_folder = config.peer.msp_config_path.as_deref().unwrap_or(&made.peer);
        let (local, signer) = own_identity(msp_folder, mspid)?;
        let orderer_signers = embedded_orderer::signers(config, &made)?;
        let created = CreatedChannels::open(&data.join("orderer"), |channel| ledgers.get(channel).is_some());
        let created = Arc::new(created.context("the channels that were created here")?);

        let version = config.chaincode.wasm.system_version.as_str();
        let registry = Arc::new(Registry::new(system_chaincodes(config), version));
        let channels = Arc::new(Channels::default());
        ledgers.keep_private_data(PrivateDataSupport {
            transient: Arc::clone(&transient),
            rules: Arc::new(Membership::new(Arc::clone(&channels), mspid, signer.serialize())),
            retention: config.peer.transient_store_retention,
        });
        let orderers = Arc::new(Orderers::default());
        let (replaced, out_of_use) = mpsc::unbounded_channel();
        let embedded = EmbeddedOrderer {
            orderers: Arc::clone(&orderers),
            channels: Arc::clone(&channels),
            signers: orderer_signers.clone(),
            created: Arc::clone(&created),
            validator: Arc::new(TransactionValidator::new(Arc::clone(&channels), registry.clone())),
            replaced,
            runtime: Handle::current(),
        };
        channels::make_development_channel(config, &ledgers, &made, &created)?;
        let orderer_signer = orderer_signers.into_iter().next().context("the embedded orderer has an identity")?;
        let (all, new) = (Arc::clone(&ledgers), Arc::clone(&created));
        let creation = Arc::new(embedded_orderer::creation(config, &made, orderer_signer, all, new)?);
        let manager = ChannelManager::new(Arc::clone(&ledgers), Arc::clone(&channels), embedded, work.handle());
        manager.open();
        let authenticator = Arc::new(Authenticator::new(Arc::clone(&channels), local));
        let acl = AclChecker::new(Arc::clone(&authenticator));
        let access = Arc::new(Access { acl: acl.clone(), channels: Arc::clone(&channels) });

        let as_ledgers: Arc<dyn Ledgers> = ledgers.clone();
        let joiner = Arc::new(Joiner(Arc::downgrade(&manager)));
        let indexes: Arc<dyn InstallListener> = ledgers.clone();
        let installer = Installer::new(packages.clone(), registry.clone(), [indexes]);
        let deployments = Deployments::new(Arc::clone(&authenticator));
        let capabilities: Vec<Arc<dyn Capability>> = vec![
            Arc::new(AccessControlCapability::new(acl.clone())),
            Arc::new(ChannelAdminCapability::new(joiner, access.clone())),
            Arc::new(ChannelConfigCapability::new(Arc::clone(&channels), Arc::clone(&as_ledgers), access.clone())),
            Arc::new(LedgerCapability::new(Arc::clone(&as_ledgers), access.clone())),
            Arc::new(Messages),
            Arc::new(PackageAdminCapability::new(installer, access.clone())),
            Arc::new(PackagesCapability::new(packages.clone(), access.clone(), deployments.clone())),
            Arc::new(PoliciesCapability::new(deployments)),
        ];
        let vm = Arc::new(WasmVm::new(&chaincodes::wasm_config(config), capabilities, work.handle())?);
        chaincodes::load(&registry, &vm).await?;
        let docker = Docker::open(config, &registrations.endpoint, &mut metrics).await?;
        let server = ServerVm::new(chaincodes::server_config(config), Handle::current(), work.handle());
        let server = Arc::new(server);
        let containers = Containers { wasm: Arc::clone(&vm), server: Arc::clone(&server) };
        let vms = [
            (VmType::System, Arc::clone(&vm) as Arc<dyn Vm>),
            (VmType::Docker, Arc::clone(&docker.vm) as Arc<dyn Vm>),
            (VmType::Server, Arc::clone(&server) as Arc<dyn Vm>),
        ];
        let controller = Arc::new(VmController::new(vms.into_iter().chain(hooks.vms)));
        let support_config = chaincodes::support_config(config, registrations.endpoint.clone());
        let lifecycle = Arc::new(Lifecycle::new(registry.clone(), packages.clone(), support_config.mode));
        let support = ChaincodeSupport::new(
            support_config,
            Arc::clone(&controller),
            Environment {
                ledgers: Arc::clone(&as_ledgers),
                definitions: lifecycle.clone(),
                system_chaincodes: registry.clone(),
                access: access.clone(),
                application: Arc::new(ChannelCapabilities(Arc::clone(&channels))),
                collections: Arc::new(CollectionStore::new(Arc::clone(&authenticator))),
                packages: Arc::new(packages.clone()),
                authenticator: registrations.authenticator.clone(),
            },
            Arc::new(ChaincodeMetrics::register(&mut metrics)),
        );
        let acceptor: Arc<dyn StreamAcceptor> = Arc::new(support.clone());
        server.set_acceptor(Arc::clone(&acceptor));
        vm.set_acceptor(match hooks.acceptor {
            Some(wrap) => wrap(Arc::clone(&acceptor)),
            None => Arc::clone(&acceptor),
        });
        work.handle().spawn(Retirement::new(support.clone(), Arc::clone(&ledgers)).run(out_of_use));
        manager.start(Deployer::new(registry.clone(), support.clone(), Arc::clone(&as_ledgers))).await?;

        let parts = EndorserParts {
            authenticator,
            acl: acl.clone(),
            system_chaincodes: registry.clone(),
            definitions: lifecycle,
            executor: Arc::new(support.clone()),
            ledgers: as_ledgers,
            private_data: Arc::new(LocalDistributor::new(transient)),
            signer,
            metrics: Arc::new(EndorserMetrics::register(&mut metrics)),
        };
        let endorser = Endorser::new(parts, chaincodes::slots(config.peer.endorser_concurrency), Some(work.handle()));
        let deliver = DeliverConfig {
            time_window: config.peer.authentication_timewindow,
            binding: tls::binding(&config.peer.tls),
            concurrency: chaincodes::slots(config.peer.deliver_concurrency),
        };
        let delivered = DeliverMetrics::register(&mut metrics);
        let deliverer = Deliverer::new(Arc::clone(&ledgers), access.clone(), deliver, delivered);
        let deliverer = Arc::new(deliverer.with_created(created));
        let private_data = Arc::new(PrivateDataDelivery::new(Arc::clone(&channels)));
        let mut health = HealthChecks::default();
        health.register("ledger", Box::new(LedgersWork(Arc::clone(&ledgers))));
        health.register("orderer", Box::new(OrderersWork(Arc::clone(&orderers))));
        docker.register(&mut health);
        let services = Services {
            endorser,
            broadcast: AtomicBroadcastService::new(
                Arc::clone(&orderers),
                Arc::new(Directory { ledgers: Arc::clone(&ledgers), channels, acl: acl.clone() }),
                Arc::clone(&deliverer),
            )
            .creating(creation),
            deliverer,
            private_data,
            containers: ContainersService::new(support.clone(), acl, config.peer.authentication_timewindow),
            chaincode: ChaincodeListener::new(acceptor, registry)
                .authenticate_with(registrations.authenticator.clone())
                .work_on(work.handle()),
            operations: Operations {
                health,
                metrics: Arc::new(metrics),
                logging,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
        };
        let listeners = Listeners::open(config, server_tls, registrations, services).await?;
        Ok(Self { support, ledgers, channels: manager, listeners, orderers, controller, containers, docker, work })
    }

    /// The address of the endorser, Deliver and Broadcast services.
    pub fn peer_address(&self) -> SocketAddr {
        self.listeners.peer
    }

    /// The address where chaincode registers.
    pub fn chaincode_address(&self) -> SocketAddr {
        self.listeners.chaincode
    }

    /// The address of `/healthz` and `/metrics`.
    pub fn operations_address(&self) -> SocketAddr {
        self.listeners.operations
    }

    /// The chaincode side of the node.
    pub fn support(&self) -> &ChaincodeSupport {
        &self.support
    }

    /// The runtime on which proposals are processed and guests run.
    pub fn work(&self) -> tokio::runtime::Handle {
        self.work.handle()
    }

    /// What starts and stops the node's containers.
    pub fn controller(&self) -> &Arc<VmController> {
        &self.controller
    }

    /// The channels' ledgers.
    pub fn ledgers(&self) -> &Arc<LedgerProvider> {
        &self.ledgers
    }

    /// Lets what is under way finish, commits what is ordered, and closes the ledgers.
    pub async fn stop(self) {
        self.listeners.close().await;
        self.docker.close().await;
        self.channels.close().await;
        self.orderers.shutdown().await;
        drop(self.containers);
        self.work.stop();
    }
}

/// Says which channels were kept for CouchDB before. Their indexes fall behind now, and are made anew for CouchDB.
fn tell_of_idle_indexes(ledgers: &LedgerProvider) {
    for ledger in ledgers.channels().iter().filter_map(|channel| ledgers.get(channel)) {
        let indexes = ledger.indexes();
        if !indexes.is_empty() {
            tracing::warn!(
                "[{}] has indexes for rich queries ({}), and ledger.state.stateDatabase is goleveldb: no rich query is \
                 answered, and the indexes are made anew when it is CouchDB again",
                ledger.channel_id(),
                indexes.join(", ")
            );
        }
    }
}

/// The node's own MSP, and who it is there. What a node signs whose certificate its own organisation does not vouch for,
/// nobody takes.
fn own_identity(folder: &Path, mspid: &str) -> anyhow::Result<(Arc<Msp>, Arc<dyn Signer>)> {
    let settings = "(peer.mspConfigPath, peer.localMspId)";
    let unusable = || format!("the node's own MSP cannot be used {settings}");
    let msp = Msp::load(folder, mspid).with_context(unusable)?;
    let signer = SigningIdentity::load(folder, mspid).with_context(unusable)?;
    msp.deserialize(&signer.serialize()).with_context(|| {
        let folder = folder.display();
        format!(
            "the certificate in {folder}/signcerts is not valid in the node's own MSP {settings}; enroll the node at one of \
             the MSP's authorities. `selvedge msp show {folder}` tells more"
        )
    })?;
    Ok((Arc::new(msp), Arc::new(signer)))
}

/// Runs a node until SIGINT or SIGTERM.
///
/// # Errors
/// What keeps it from starting.
pub async fn start(config: Config) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let node = Node::start(&config, Hooks::default()).await?;
    tracing::info!(
        "Started peer with ID=[{}], network ID=[{}], address=[{}]{}",
        config.peer.id,
        config.peer.network_id,
        node.peer_address(),
        tls::described(&config.peer.tls)
    );
    tracing::info!(
        "chaincode registers at {}{}; http://{}/ has healthz, metrics, logspec and version",
        node.chaincode_address(),
        if config.peer.tls.enabled { ", with TLS" } else { "" },
        node.operations_address()
    );
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("{name}: finishing what is under way");
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}
