//! Chaincode on crates.io's `fabric-shim` in a process of its own: it serves, and the node dials it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use bytes::Bytes;

use super::targz;
use crate::platforms::{CONNECTION, CodePackage, Platform};

/// The program of `tests/chaincode/rust-shim`.
const PROGRAM: &str = "rust-shim";

/// A running service; killed when dropped.
pub struct RustShim {
    process: Child,
    /// Where it serves, once it does: it does not say when.
    pub address: String,
}

impl RustShim {
    /// Starts it on a port that is free now.
    ///
    /// # Errors
    /// When it was not built.
    pub fn start(id: &str) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Self::start_at(id, &address.to_string())
    }

    /// Starts it there.
    ///
    /// # Errors
    /// When it was not built.
    pub fn start_at(id: &str, address: &str) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("the running program is unknown")?;
        let mut places = this.ancestors().skip(1).take(2).map(|folder| folder.join("chaincode").join(PROGRAM));
        let Some(path) = places.find_map(|folder| Some(folder.join(PROGRAM)).filter(|path| path.is_file())) else {
            bail!("chaincode {PROGRAM} was not built beside {}: run `cargo xtask rust-shim`", this.display());
        };
        let mut command = Command::new(path);
        command.env_clear().env("CHAINCODE_ID", id).env("CHAINCODE_SERVER_ADDRESS", address);
        // Its one panic is wanted.
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { process, address: address.to_owned() })
    }
}

impl Drop for RustShim {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The code of a chaincode as a service: a `connection.json` with this text.
///
/// # Errors
/// None that can be had.
pub fn connection_package(connection_json: &str) -> anyhow::Result<CodePackage> {
    let bytes = Bytes::from(targz(&[(CONNECTION, connection_json)])?);
    Ok(CodePackage { platform: Platform::Ccaas, path: String::new(), bytes })
}
