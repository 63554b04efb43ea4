//! Loads a component that was compiled ahead of time.
//!
//! wasmtime marks the load as unsafe because it maps the bytes as machine code without checking them. This crate holds
//! that one call so that every other crate can forbid unsafe code. The caller vouches for the bytes: Selvedge's cache
//! verifies a keyed hash over them first (`container/wasm/cache.rs`).

#![deny(missing_docs)]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use memfd::{FileSeal, MemfdOptions};
use wasmtime::component::Component;
use wasmtime::{Engine, Error, Result};

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
/// The bytes go through a sealed file in memory: wasmtime maps a file in a quarter of the time that it takes to copy
/// bytes, and nobody can alter a sealed one.
///
/// # Errors
/// wasmtime's, when its version or the engine's settings differ from those that made the bytes; the system's, when it
/// gives no memory.
pub fn load(engine: &Engine, bytes: &Verified<'_>) -> Result<Component> {
    let sealed = seal(bytes.0)?;
    let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
    // SAFETY: `Verified` is the caller's promise that the bytes are what `Component::serialize` wrote, and the file is
    // sealed against writing before wasmtime maps it.
    unsafe { Component::deserialize_file(engine, path) }
}

fn seal(bytes: &[u8]) -> Result<File> {
    let memory =
        MemfdOptions::default().allow_sealing(true).close_on_exec(true).create("component").map_err(Error::new)?;
    memory.as_file().write_all(bytes)?;
    memory
        .add_seals(&[FileSeal::SealWrite, FileSeal::SealShrink, FileSeal::SealGrow, FileSeal::SealSeal])
        .map_err(Error::new)?;
    Ok(memory.into_file())
}
