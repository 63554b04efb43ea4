//! A chaincode's module, checked, compiled and linked with what it was granted and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

use super::bindings::SystemChaincodePre;
use super::cache::{InUse, ModuleCache};
use super::capability::{self, Capability, Import};
use super::componentize::{self, ComponentizeError};
use super::instance::InstanceState;
use crate::container::Ccid;
use crate::container::recent::RecentLines;
use crate::platforms::{MAX_WASM_MODULE, PlatformError, WASM_MODULE, read_file};

/// What a node has to know of a chaincode to load it.
#[derive(Clone, Debug)]
pub struct ModuleSpec {
    /// Name and version.
    pub ccid: Ccid,
    /// The file: a component, or a core module for wasm32-wasip1. In the package, if it is a chaincode of users.
    pub path: PathBuf,
    /// Names of the capabilities granted in core.yaml.
    pub capabilities: BTreeSet<String>,
    /// The chaincode's own settings from core.yaml.
    pub config: BTreeMap<String, String>,
    /// Whose chaincode it is.
    pub owner: ModuleOwner,
}

/// Whose chaincode a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleOwner {
    /// The node's: core.yaml names it, and can grant it capabilities.
    Node,
    /// A channel's: it was installed and instantiated, and nothing can be granted to it.
    Users,
}

impl ModuleSpec {
    /// That of a chaincode of users: no capabilities, no settings.
    pub(super) fn of_users(ccid: Ccid) -> Self {
        let (capabilities, config) = Default::default();
        Self { ccid, path: PathBuf::from(WASM_MODULE), capabilities, config, owner: ModuleOwner::Users }
    }
}

/// A module ready to be instantiated.
pub struct WasmModule {
    ccid: Ccid,
    digest: [u8; 32],
    config: BTreeMap<String, String>,
    pre: SystemChaincodePre<InstanceState>,
    log: RecentLines,
    /// Its entry in the cache, which stays while it is loaded.
    _entry: Option<InUse>,
}

/// Why a module cannot be loaded. The text is complete: a chain of sources would say it twice.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("chaincode {ccid}: cannot read {}: {cause}", .path.display())]
    Read {
        /// The chaincode.
        ccid: Ccid,
        /// Its file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The module of a chaincode of users cannot be read.
    #[error("chaincode {ccid}: {cause}")]
    Package {
        /// The chaincode.
        ccid: Ccid,
        /// What is wrong with its package.
        cause: PlatformError,
    },
    /// The file is no chaincode.
    #[error("chaincode {ccid} ({}): {cause}", .path.display())]
    Componentize {
        /// The chaincode.
        ccid: Ccid,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        cause: ComponentizeError,
    },
    /// It asks for something that it may not have, or that does not exist here.
    #[error("chaincode {ccid} ({}): {reason}", .path.display())]
    Import {
        /// The chaincode.
        ccid: Ccid,
        /// Its file.
        path: PathBuf,
        /// The import, and what to do.
        reason: String,
    },
    /// wasmtime refuses it, perhaps because it asks for more than the limit under a key of core.yaml.
    #[error("chaincode {ccid} ({}): {cause:#}{}", .path.display(), limit_behind(.cause))]
    Wasmtime {
        /// The chaincode.
        ccid: Ccid,
        /// Its file.
        path: PathBuf,
        /// wasmtime's error.
        cause: wasmtime::Error,
    },
}

impl WasmModule {
    /// Reads, checks, compiles (or takes from the cache) and links a module. Compiling takes a tenth of a second for
    /// each 270 KB: call it on a thread that may block.
    ///
    /// # Errors
    /// [`LoadError`] says which of these failed and why.
    pub(super) fn load(
        engine: &Engine,
        cache: Option<&ModuleCache>,
        capabilities: &[Arc<dyn Capability>],
        spec: ModuleSpec,
    ) -> Result<Self, LoadError> {
        let source = std::fs::read(&spec.path).map_err(|cause| LoadError::Read {
            ccid: spec.ccid.clone(),
            path: spec.path.clone(),
            cause,
        })?;
        Self::of(engine, cache, capabilities, spec, &source)
    }

    /// The same of the code package of a chaincode of users.
    pub(super) fn unpack(
        engine: &Engine,
        cache: Option<&ModuleCache>,
        known: &[Arc<dyn Capability>],
        ccid: &Ccid,
        code: &[u8],
    ) -> Result<Self, LoadError> {
        let missing =
            PlatformError::Missing { name: WASM_MODULE, advice: "a package of type WASM holds one module there" };
        let source = read_file(code, WASM_MODULE, MAX_WASM_MODULE).and_then(|found| found.ok_or(missing));
        let source = source.map_err(|cause| LoadError::Package { ccid: ccid.clone(), cause })?;
        Self::of(engine, cache, known, ModuleSpec::of_users(ccid.clone()), &source)
    }

    fn of(
        engine: &Engine,
        cache: Option<&ModuleCache>,
        capabilities: &[Arc<dyn Capability>],
        spec: ModuleSpec,
        source: &[u8],
    ) -> Result<Self, LoadError> {
        let wasmtime = |cause| LoadError::Wasmtime { ccid: spec.ccid.clone(), path: spec.path.clone(), cause };
        let digest: [u8; 32] = Sha256::digest(source).into();
        let entry = cache.map(|cache| cache.hold(engine, &digest));
        let component = match cache.and_then(|cache| cache.load(engine, &digest)) {
            Some(component) => component,
            None => compile(engine, cache, source, &digest, &spec)?,
        };
        let granted: Vec<_> =
            capabilities.iter().filter(|capability| spec.capabilities.contains(capability.name())).cloned().collect();
        check_imports(engine, &component, &granted, capabilities, &spec)?;
        let linker = link(engine, &granted).map_err(wasmtime)?;
        let pre: InstancePre<InstanceState> = linker.instantiate_pre(&component).map_err(wasmtime)?;
        let pre = SystemChaincodePre::new(pre).map_err(wasmtime)?;
        Ok(Self { digest, ccid: spec.ccid, config: spec.config, pre, log: RecentLines::default(), _entry: entry })
    }

    /// Name and version.
    pub fn ccid(&self) -> &Ccid {
        &self.ccid
    }

    /// What its instances wrote last.
    pub(super) fn log(&self) -> &RecentLines {
        &self.log
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(super) fn name(&self) -> String {
        self.ccid.to_string()
    }

    pub(super) fn config(&self) -> &BTreeMap<String, String> {
        &self.config
    }

    pub(super) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    pub(super) fn pre(&self) -> &SystemChaincodePre<InstanceState> {
        &self.pre
    }
}

fn compile(
    engine: &Engine,
    cache: Option<&ModuleCache>,
    source: &[u8],
    digest: &[u8; 32],
    spec: &ModuleSpec,
) -> Result<Component, LoadError> {
    let (ccid, path) = (&spec.ccid, &spec.path);
    let bytes = componentize::componentize(source).map_err(|cause| LoadError::Componentize {
        ccid: ccid.clone(),
        path: path.clone(),
        cause,
    })?;
    let component = Component::new(engine, bytes).map_err(|cause| LoadError::Wasmtime {
        ccid: ccid.clone(),
        path: path.clone(),
        cause,
    })?;
    if let Some(cache) = cache
        && let Err(error) = cache.store(engine, digest, &component)
    {
        tracing::warn!(chaincode = %ccid, "the compiled module could not be cached: {error}");
    }
    Ok(component)
}

fn check_imports(
    engine: &Engine,
    component: &Component,
    granted: &[Arc<dyn Capability>],
    known: &[Arc<dyn Capability>],
    spec: &ModuleSpec,
) -> Result<(), LoadError> {
    for import in imported(engine, component) {
        let reason = match capability::classify(&import, known) {
            Import::Base => continue,
            Import::Capability(name) if granted.iter().any(|capability| capability.name() == name) => continue,
            Import::Capability(_) if spec.owner == ModuleOwner::Users => {
                format!("imports {import}, which is for system chaincode alone")
            }
            Import::Capability(name) => format!(
                "imports {import}, which needs the capability `{name}`; grant it with `capabilities: [{name}]` in the \
                 chaincode's entry under chaincode.systemPlugins"
            ),
            Import::OtherVersion { offered } => {
                format!("imports {import}, this host offers {offered}; rebuild it with the selvedge-sdk of this host")
            }
            Import::Unknown => format!("imports {import}, which this host does not offer to chaincode"),
        };
        return Err(LoadError::Import { ccid: spec.ccid.clone(), path: spec.path.clone(), reason });
    }
    Ok(())
}

/// The key to change, where the module asks for more from the start than an instance may have.
fn limit_behind(error: &wasmtime::Error) -> &'static str {
    let text = format!("{error:#}");
    // wasmtime has no types for these.
    if text.contains("memory has a minimum byte size") {
        " (chaincode.wasm.limits.memory)"
    } else if text.contains("minimum element size") {
        " (chaincode.wasm.limits.tables)"
    } else {
        ""
    }
}

/// The interfaces and functions that a component imports; types that it only names are left out.
pub(super) fn imported(engine: &Engine, component: &Component) -> Vec<String> {
    let imports = component.component_type();
    let imports = imports.imports(engine);
    let offered =
        imports.filter(|(_, import)| !matches!(import.ty, ComponentItem::Type(_) | ComponentItem::Resource(_)));
    offered.map(|(name, _)| name.to_owned()).collect()
}

fn link(engine: &Engine, granted: &[Arc<dyn Capability>]) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    super::host::link(&mut linker)?;
    for capability in granted {
        capability.link(&mut linker)?;
    }
    Ok(linker)
}
