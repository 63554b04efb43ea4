//! Loads a component that was compiled ahead of time.
//!
//! wasmtime marks the load as unsafe because it maps the bytes as machine code without checking them. This crate holds
//! that one call so that every other crate can forbid unsafe code. The caller vouches for the bytes: Selvedge's cache
//! verifies a keyed hash over them first (`container/wasm/cache.rs`).

#![deny(missing_docs)]

use std::io::{self, Write};
use std::os::fd::AsRawFd;

use memfd::{FileSeal, Memfd, MemfdOptions};
use wasmtime::component::Component;
use wasmtime::{Engine, Result};

/// A compiled component on its way to [`load`], in a file in memory. wasmtime maps a file in a quarter of the time that
/// it takes to copy bytes.
pub struct Staged(Memfd);

impl Staged {
    /// An empty one.
    ///
    /// # Errors
    /// The system's, when it has no such files or no memory.
    pub fn new() -> io::Result<Self> {
        MemfdOptions::default()
            .allow_sealing(true)
            .close_on_exec(true)
            .create("component")
            .map(Self)
            .map_err(io::Error::other)
    }

    /// Declares what was written to be the unaltered output of `Component::serialize` of a wasmtime that the caller
    /// trusts, and seals it: nobody can alter it any more.
    ///
    /// This is a promise: machine code in it runs with the rights of this process.
    ///
    /// # Errors
    /// The system's, when it refuses the seals.
    pub fn promise_verified(self) -> io::Result<Verified> {
        let seals = [FileSeal::SealWrite, FileSeal::SealShrink, FileSeal::SealGrow, FileSeal::SealSeal];
        self.0.add_seals(&seals).map_err(io::Error::other)?;
        Ok(Verified(self.0))
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A compiled component that the caller has vouched for, sealed.
pub struct Verified(Memfd);

/// Turns verified bytes into a component.
///
/// # Errors
/// wasmtime's, when its version or the engine's settings differ from those that made the bytes.
pub fn load(engine: &Engine, verified: &Verified) -> Result<Component> {
    let path = format!("/proc/self/fd/{}", verified.0.as_raw_fd());
    // SAFETY: `Verified` is the caller's promise that the bytes are what `Component::serialize` wrote, and they were
    // sealed against writing before wasmtime maps them.
    unsafe { Component::deserialize_file(engine, path) }
}
