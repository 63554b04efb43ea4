//! Makes a component of what an author built: a component is taken as it is, a core module for wasm32-wasip1 is wrapped.
//!
//! What Rust's standard library asks of preview 1 is answered by an adapter of ours (`adapter.wat`), which maps it to
//! the interface `process`; the general adapter costs ten microseconds a transaction. Invariant: input is outside data;
//! no module, however broken, gets further than an error.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use thiserror::Error;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The largest module that is looked at: 64 MiB.
pub const MAX_MODULE_SIZE: usize = 64 << 20;

const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const ADAPTER: &str = include_str!("adapter.wat");
const CONTRACT: &str = include_str!("../../../wit/chaincode/chaincode.wit");

/// What the bytes of a module are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A component.
    Component,
    /// A core module, as `cargo build --target wasm32-wasip1` makes it.
    CoreModule,
}

impl fmt::Display for ModuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::CoreModule => "core module for wasm32-wasip1",
        })
    }
}

/// Why a file is no chaincode.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComponentizeError {
    /// Neither a component nor a core module.
    #[error("the file is no WebAssembly module: it starts with {0:02x?}, not with \\0asm")]
    NotWasm(Vec<u8>),
    /// Too large.
    #[error("the module has {size} bytes, the limit is {MAX_MODULE_SIZE}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A core module that cannot be wrapped.
    #[error(
        "the core module cannot be made a component: {0}. Build it with selvedge-sdk (which adds the contract's \
         metadata) for wasm32-wasip1, as a cdylib"
    )]
    Encode(String),
}

/// Tells a component from a core module by its first eight bytes.
///
/// # Errors
/// [`ComponentizeError::NotWasm`] for anything else.
pub(super) fn kind(module: &[u8]) -> Result<ModuleKind, ComponentizeError> {
    match module.get(..8) {
        Some(COMPONENT) => Ok(ModuleKind::Component),
        Some(CORE_MODULE) => Ok(ModuleKind::CoreModule),
        _ => Err(ComponentizeError::NotWasm(module.iter().take(8).copied().collect())),
    }
}

/// The component in, or made of, a module.
///
/// # Errors
/// [`ComponentizeError`], when the module is none of both kinds, too large, or lacks the contract's metadata.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    if module.len() > MAX_MODULE_SIZE {
        return Err(ComponentizeError::TooLarge { size: module.len() });
    }
    match kind(module)? {
        ModuleKind::Component => Ok(module.to_vec()),
        // The encoder is written for modules of honest compilers: a panic in it is this module's fault, not ours.
        ModuleKind::CoreModule => catch_unwind(AssertUnwindSafe(|| encode(module)))
            .unwrap_or_else(|_| Err("the module confuses the encoder".to_owned()))
            .map_err(ComponentizeError::Encode),
    }
}

fn encode(module: &[u8]) -> Result<Vec<u8>, String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    ComponentEncoder::default()
        .module(module)
        .map_err(text)?
        .adapter("wasi_snapshot_preview1", adapter()?)
        .map_err(text)?
        .validate(true)
        .encode()
        .map_err(text)
}

/// What a core module is wrapped with: another version of any of it makes another component of the same module.
pub(super) fn wrapping() -> &'static [u8] {
    concat!(
        env!("CARGO_PKG_VERSION"),
        include_str!("adapter.wat"),
        include_str!("../../../wit/chaincode/chaincode.wit")
    )
    .as_bytes()
}

/// The adapter with the metadata of its world.
fn adapter() -> Result<&'static [u8], String> {
    static BYTES: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let made = BYTES.get_or_init(|| {
        let mut bytes = wat::parse_str(ADAPTER).map_err(|error| error.to_string())?;
        let mut resolve = Resolve::default();
        let package = resolve.push_str("chaincode.wit", CONTRACT).map_err(|error| format!("{error:#}"))?;
        let world = resolve.select_world(&[package], Some("adapter")).map_err(|error| format!("{error:#}"))?;
        embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8, false)
            .map_err(|error| format!("{error:#}"))?;
        Ok(bytes)
    });
    made.as_deref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adapter_is_valid() {
        adapter().unwrap();
    }

    #[test]
    fn what_is_no_chaincode_is_refused_with_the_reason() {
        let refused = |module: &[u8]| componentize(module).unwrap_err().to_string();
        assert!(refused(b"").contains("no WebAssembly module"));
        assert!(refused(b"#!/bin/sh\n").contains("no WebAssembly module"));
        assert!(refused(b"\0asm\x01\0\0\0\x01\xff\xff").contains("cannot be made a component"));
        let foreign = wat::parse_str(r#"(module (import "env" "open" (func)))"#).unwrap();
        assert!(refused(&foreign).contains("cannot be made a component"));
        assert!(refused(&vec![0; MAX_MODULE_SIZE + 1]).contains("the limit is 67108864"));
    }
}
