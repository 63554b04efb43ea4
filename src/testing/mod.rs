//! What tests of this crate, and of chaincode that runs on it, build upon: a node in the process, a client of its
//! services, a recorder of chaincode streams, and certificates. Nothing here stands in for a part of the node.

mod chaincode_process;
mod channels;
mod client;
mod command_line;
mod definitions;
mod docker;
mod golden;
mod launched;
mod lifecycle;
mod memory;
mod native_chaincode;
mod node_chaincode;
mod package;
mod peer;
mod played;
mod process;
mod recorder;
mod rust_shim;
mod service_connection;
mod setting;
mod small_guest;
mod tls;
mod unendorsed;

use std::pin::Pin;

pub use client::Client;
pub use command_line::{CommandLine, Ended};
pub use definitions::define;
pub use docker::{Code, DockerEngine, DockerPeer, DockerSetting, Listed, PrivateEngine, docker_engine, node_image};
pub use golden::{
    GOLDEN_CHANNEL, Golden, GoldenPeer, GoldenSccs, base64_at, from_the_orderer, outside_the_ledger, text_at,
};
pub use launched::{Launched, ProcessVm, Program, tls_settings};
pub use lifecycle::Deployment;
pub use memory::PeakMemory;
pub use native_chaincode::{NativeChaincode, static_program};
pub use node_chaincode::{NodeChaincode, node_chaincode_folder, node_with_packages_of};
pub use package::{chaincode_package, service_package, targz, wasm_package};
pub use peer::TestPeer;
pub use played::Played;
pub use process::{NodeFolder, NodeProcess};
pub use recorder::{Direction, Recorded, Recorder, transcript};
pub use rust_shim::{RustShim, connection_package};
pub use service_connection::{Service, connect_service, serve_sandboxed};
pub use setting::{Invokable, Plugin, config, core_yaml, guest_path};
pub use small_guest::{CONTRACT, PAYLOAD, SmallGuest};
pub use tls::{TlsAuthority, TlsPair, TlsPurpose};
#[cfg(test)]
pub(crate) use unendorsed::envelope;
pub use unendorsed::{commit_unendorsed, endorser_transaction};

/// A future whose code is made once, in this crate. An `async fn` is compiled anew into every test program that awaits
/// it, with all that it awaits in its turn: half a minute for a whole node.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
