//! Loads a component that was compiled ahead of time.
//!
//! wasmtime marks the load as unsafe because it maps the bytes as machine code without checking them. This crate holds
//! that one call so that every other crate can forbid unsafe code. The caller vouches for the bytes: Selvedge's cache
//! verifies a keyed hash over them first (`container/wasm/cache.rs`).

#![deny(missing_docs)]

use wasmtime::component::Component;
use wasmtime::{Engine, Result};

/// Bytes that the caller has verified to come from `Component::serialize` of a wasmtime it trusts.
///
/// Making one is a promise: machine code in the bytes runs with the rights of this process.
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// Declares `bytes` to be the unaltered output of `Component::serialize`.
    pub fn promise(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

/// Turns verified bytes into a component.
///
/// # Errors
/// wasmtime's, when its version or the engine's settings differ from those that made the bytes.
pub fn load(engine: &Engine, bytes: &Verified<'_>) -> Result<Component> {
    // SAFETY: `Verified` is the caller's promise that the bytes are what `Component::serialize` wrote.
    unsafe { Component::deserialize(engine, bytes.0) }
}
