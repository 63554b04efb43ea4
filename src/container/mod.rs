//! Where chaincode runs (Fabric: `core/container`).
//!
//! A [`Vm`] starts and stops containers; the chaincode in a container talks to the peer over a [`ChaincodeStream`]. This
//! module knows nothing of handlers, ledgers or proposals.

mod budget;
mod ccid;
mod controller;
pub mod docker;
pub(crate) mod grpc;
mod recent;
pub mod server;
mod status;
mod stream;
mod vm;
pub mod wasm;

pub use budget::Budget;
pub use ccid::Ccid;
pub use controller::VmController;
pub use status::{ContainerState, ContainerStatus, LogLines, LogRequest};
pub use stream::{ChaincodeStream, EndStream, PeerEnd, Pending, StreamAcceptor, StreamError};
pub use vm::{StartContainer, StopContainer, Vm, VmError, VmType};
