//! Looks at a module without running it, for `selvedge scc inspect`.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::capability;
use super::component::{LoadError, imported};
use super::componentize::{self, ModuleKind};
use crate::container::Ccid;

/// What is in a module.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: usize,
    /// Component or core module.
    pub kind: ModuleKind,
    /// What it imports.
    pub imports: Vec<InspectedImport>,
    /// What it exports.
    pub exports: Vec<String>,
}

/// One import of a module.
#[derive(Clone, Debug)]
pub struct InspectedImport {
    /// The interface, with its version.
    pub name: String,
    /// The capability that it needs; none for the contract that every chaincode has.
    pub capability: Option<String>,
}

/// Reads, checks and compiles a module, and says what it imports and exports.
///
/// # Errors
/// [`LoadError`] when the file is no chaincode.
pub fn inspect(path: &Path) -> Result<Inspection, LoadError> {
    let ccid = Ccid::new(path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default(), "");
    let bad = |cause| LoadError::Componentize { ccid: ccid.clone(), path: path.to_owned(), cause };
    let source =
        std::fs::read(path).map_err(|cause| LoadError::Read { ccid: ccid.clone(), path: path.to_owned(), cause })?;
    let kind = componentize::kind(&source).map_err(bad)?;
    let bytes = componentize::componentize(&source).map_err(bad)?;
    let engine = Engine::default();
    let component = Component::new(&engine, bytes).map_err(|cause| LoadError::Wasmtime {
        ccid: ccid.clone(),
        path: path.to_owned(),
        cause,
    })?;
    let imports = imported(&engine, &component)
        .into_iter()
        .map(|name| InspectedImport { capability: capability::capability_name(&name).map(str::to_owned), name })
        .collect();
    let exports = component.component_type().exports(&engine).map(|(export, _)| export.to_owned()).collect();
    Ok(Inspection { digest: hex::encode(Sha256::digest(&source)), size: source.len(), kind, imports, exports })
}
