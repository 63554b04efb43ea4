//! Chaincode in WebAssembly, inside the peer (Fabric: `container/inproccontroller`, with a wall through it).
//!
//! [`WasmVm`] keeps two registries, as Fabric's does: modules that may be started, and containers that run. System
//! chaincode is registered; a chaincode of users comes with its code when it is started, and its module is gone with its
//! container. What happens in a container is told in `container.rs`; one transaction of it in `instance.rs`.

mod bindings;
mod cache;
mod capability;
mod component;
mod componentize;
mod config;
mod container;
mod engine;
mod exchange;
mod host;
mod inspect;
mod instance;
mod meter;
mod output;
mod permits;
mod process;
mod transaction;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub use self::bindings::selvedge::peer as peer_bindings;
use self::cache::ModuleCache;
pub use self::capability::Capability;
pub use self::component::{LoadError, ModuleOwner, ModuleSpec, WasmModule};
pub use self::componentize::{ComponentizeError, MAX_MODULE_SIZE, ModuleKind, componentize};
pub use self::config::{LimitError, Limits, WasmConfig};
use self::container::{HostChannel, WasmContainer};
use self::engine::WasmEngine;
pub use self::host::{History, Messages, Results, wait_for_guests};
pub use self::inspect::{InspectedImport, Inspection, inspect};
pub use self::instance::{Blob, InstanceState};
use self::permits::Permits;
pub use self::transaction::Transaction;
use super::{
    Ccid, ChaincodeStream, ContainerStatus, LogLines, LogRequest, StartContainer, StopContainer, StreamAcceptor, Vm,
    VmError,
};
use crate::platforms::CodePackage;

/// The wasm VM of a node.
pub struct WasmVm {
    loader: Arc<Loader>,
    shared: Arc<Shared>,
    work: Handle,
    /// Who gives new streams their handlers; none before [`WasmVm::set_acceptor`] and after [`WasmVm::close`].
    acceptor: Mutex<Option<Arc<dyn StreamAcceptor>>>,
    /// Modules of the node's own chaincodes.
    modules: Mutex<HashMap<Ccid, Arc<WasmModule>>>,
    containers: Mutex<HashMap<Ccid, Arc<WasmContainer>>>,
    /// Containers that [`WasmVm::start_on`] has made.
    served: AtomicU64,
}

/// What makes a module of a file.
struct Loader {
    engine: WasmEngine,
    cache: Option<ModuleCache>,
    capabilities: Vec<Arc<dyn Capability>>,
    /// Modules of users that are compiled at a time. One for each processor, and never one alone: a module of many
    /// megabytes is not to keep the others waiting.
    compiling: Arc<Semaphore>,
}

/// What all containers of a VM share.
struct Shared {
    permits: Permits,
    init_permits: Permits,
    ticks: Arc<AtomicU64>,
    limits: Arc<Limits>,
    roots: usize,
    instances: u32,
    init_places: usize,
}

impl Shared {
    fn no_place(&self) -> LimitError {
        LimitError::Places { roots: self.roots, instances: self.instances, call_depth: self.limits.call_depth }
    }

    fn no_init_place(&self) -> LimitError {
        LimitError::InitPlaces { places: self.init_places }
    }
}

impl WasmVm {
    /// A VM whose guests run on `work`, a runtime that serves no sockets: a guest that computes delays other
    /// transactions by a tick, and never the network.
    ///
    /// # Errors
    /// [`VmError::Other`] when the machine does not give the pool its address space.
    pub fn new(config: &WasmConfig, capabilities: Vec<Arc<dyn Capability>>, work: Handle) -> Result<Self, VmError> {
        let engine = WasmEngine::new(config).map_err(|error| {
            VmError::Other(format!(
                "the wasm engine cannot start with a pool of {} instances of {} bytes: {error:#}; lower \
                 chaincode.wasm.instances or chaincode.wasm.limits.memory",
                config.slots(),
                config.limits.memory
            ))
        })?;
        let cache = config.cache_path.as_deref().and_then(|path| {
            ModuleCache::open(path, config.cache_size)
                .inspect_err(|error| {
                    tracing::warn!("modules are compiled anew, as the cache {} fails: {error}", path.display());
                })
                .ok()
        });
        let init_places = usize::try_from(config.init_instances).unwrap_or(1).max(1);
        let shared = Arc::new(Shared {
            permits: Permits::new(config.roots()),
            init_permits: Permits::new(init_places),
            ticks: engine.ticks(),
            limits: Arc::new(config.limits.clone()),
            roots: config.roots(),
            instances: config.instances,
            init_places,
        });
        let processors = thread::available_parallelism().map_or(2, NonZeroUsize::get);
        let compiling = Arc::new(Semaphore::new(processors.max(2)));
        Ok(Self {
            loader: Arc::new(Loader { engine, cache, capabilities, compiling }),
            shared,
            work,
            acceptor: Mutex::default(),
            modules: Mutex::default(),
            containers: Mutex::default(),
            served: AtomicU64::new(0),
        })
    }

    /// Names who gives new streams their handlers. Once, before the first start.
    pub fn set_acceptor(&self, acceptor: Arc<dyn StreamAcceptor>) {
        *lock(&self.acceptor) = Some(acceptor);
    }

    /// Stops all containers and starts none any more. VM, handlers and their registry hold each other, so a VM that is not
    /// closed is never dropped, nor is its engine.
    pub fn close(&self) {
        let acceptor = lock(&self.acceptor).take();
        let containers = std::mem::take(&mut *lock(&self.containers));
        containers.values().for_each(|container| container.stop(0));
        drop(acceptor);
    }

    /// Reads, checks, compiles and links a module. It may take seconds: call it where a thread may block.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file.
    pub fn load(&self, spec: ModuleSpec) -> Result<WasmModule, LoadError> {
        let Loader { engine, cache, capabilities, .. } = &*self.loader;
        WasmModule::load(engine.engine(), cache.as_ref(), capabilities, spec)
    }

    /// Makes a module one that can be started, under its id (Fabric: `inproccontroller.Registry.Register`).
    ///
    /// # Errors
    /// [`VmError::AlreadyRegistered`] under a name that is taken.
    pub fn register(&self, module: WasmModule) -> Result<(), VmError> {
        let ccid = module.ccid().clone();
        let mut modules = lock(&self.modules);
        if modules.contains_key(&ccid) {
            return Err(VmError::AlreadyRegistered(ccid.container_name()));
        }
        modules.insert(ccid, Arc::new(module));
        Ok(())
    }

    /// A container of a registered module beside those that [`Vm::start`] makes, on a stream of its own: its peer's end is
    /// what `acceptor` makes. For chaincode that is served to peers elsewhere, each of which has its own turn where
    /// transactions wait for a place.
    ///
    /// # Errors
    /// [`VmError::NotRegistered`] for a module that is not.
    pub fn start_on(&self, ccid: &Ccid, acceptor: &dyn StreamAcceptor) -> Result<ServedContainer, VmError> {
        let name = ccid.container_name();
        let module = self.registered(ccid)?;
        let number = self.served.fetch_add(1, Ordering::Relaxed);
        let turn = format!("{name} {number}");
        let container = WasmContainer::new(module, Arc::clone(&self.shared), self.work.clone(), turn);
        container.connect(acceptor.accept(Arc::new(HostChannel(Arc::clone(&container)))));
        Ok(ServedContainer(container))
    }

    fn registered(&self, ccid: &Ccid) -> Result<Arc<WasmModule>, VmError> {
        lock(&self.modules).get(ccid).cloned().ok_or_else(|| VmError::NotRegistered(ccid.container_name()))
    }

    /// The module of a chaincode of users, compiled on a thread that may block. Dropping the future leaves a compilation
    /// that has begun running, to no effect.
    async fn unpack(&self, ccid: &Ccid, code: CodePackage) -> Result<Arc<WasmModule>, VmError> {
        let failed = |cause| VmError::Instantiate { ccid: ccid.container_name(), cause };
        if lock(&self.modules).keys().any(|registered| registered.name == ccid.name) {
            return Err(failed(format!("{} is the name of a system chaincode", ccid.name)));
        }
        let turn = Arc::clone(&self.loader.compiling).acquire_owned().await;
        let (loader, of) = (Arc::clone(&self.loader), ccid.clone());
        let compiled = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Loader { engine, cache, capabilities, .. } = &*loader;
            WasmModule::unpack(engine.engine(), cache.as_ref(), capabilities, &of, &code.bytes)
        });
        match compiled.await {
            Ok(Ok(module)) => Ok(Arc::new(module)),
            Ok(Err(cause)) => Err(failed(cause.to_string())),
            Err(_) => Err(failed("the peer failed while it compiled the module; its log has the reason".to_owned())),
        }
    }
}

/// A container that [`WasmVm::start_on`] made. Dropping it does not stop it.
pub struct ServedContainer(Arc<WasmContainer>);

impl ServedContainer {
    /// The chaincode's end of its stream.
    pub fn stream(&self) -> Arc<dyn ChaincodeStream> {
        Arc::new(HostChannel(Arc::clone(&self.0)))
    }

    /// Stops it and closes its stream. Executions that run are the caller's to drop.
    pub fn stop(&self) {
        self.0.stop(0);
    }
}

#[async_trait]
impl Vm for WasmVm {
    async fn start(&self, ccid: &Ccid, request: StartContainer) -> Result<(), VmError> {
        let module = match request.code {
            None => self.registered(ccid)?,
            Some(code) => self.unpack(ccid, code).await?,
        };
        let acceptor = lock(&self.acceptor).clone().ok_or_else(|| VmError::Instantiate {
            ccid: ccid.container_name(),
            cause: "the VM is closed, or was not told who accepts streams".to_owned(),
        })?;
        let container = WasmContainer::new(module, Arc::clone(&self.shared), self.work.clone(), ccid.name.clone());
        {
            let mut containers = lock(&self.containers);
            if containers.get(ccid).is_some_and(|current| current.exit().borrow().is_none()) {
                return Err(VmError::AlreadyRunning(ccid.container_name()));
            }
            containers.insert(ccid.clone(), Arc::clone(&container));
        }
        container.connect(acceptor.accept(Arc::new(HostChannel(Arc::clone(&container)))));
        Ok(())
    }

    async fn stop(&self, ccid: &Ccid, _: StopContainer) -> Result<(), VmError> {
        let container = lock(&self.containers).remove(ccid);
        let Some(container) = container else {
            self.registered(ccid)?;
            return Err(VmError::NotFound(ccid.container_name()));
        };
        container.stop(0);
        Ok(())
    }

    async fn wait(&self, ccid: &Ccid) -> Result<i32, VmError> {
        let container = lock(&self.containers).get(ccid).cloned();
        let container = container.ok_or_else(|| VmError::NotFound(ccid.container_name()))?;
        let mut exit = container.exit();
        drop(container);
        let code = exit.wait_for(Option::is_some).await.ok().and_then(|code| *code).unwrap_or(0);
        // A container that ended by itself makes room for the next start.
        let mut containers = lock(&self.containers);
        if containers.get(ccid).is_some_and(|current| current.exit().borrow().is_some()) {
            containers.remove(ccid);
        }
        Ok(code)
    }

    async fn health_check(&self) -> Result<(), VmError> {
        Ok(())
    }

    async fn containers(&self) -> Result<Vec<ContainerStatus>, VmError> {
        Ok(lock(&self.containers).values().map(|container| container.status()).collect())
    }

    async fn logs(&self, ccid: &Ccid, request: LogRequest) -> Result<LogLines, VmError> {
        let container = lock(&self.containers).get(ccid).cloned();
        let container = container.ok_or_else(|| VmError::NotFound(ccid.container_name()))?;
        if request.previous {
            return Err(VmError::Other(format!("chaincode {ccid} runs in the sandbox: no earlier run is remembered")));
        }
        Ok(container.module().log().read(request))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
