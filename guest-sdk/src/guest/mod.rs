//! The WebAssembly side: bindings, allocator, panic hook. Reached through [`export!`](crate::export) only.

#[cfg(feature = "allocator")]
mod allocator;
#[cfg(feature = "peer")]
mod channels;
pub(crate) mod imports;
#[cfg(feature = "peer")]
mod packages;
mod panics;
#[cfg(feature = "peer")]
mod policies;

use crate::{Payload, Response, Stub};

/// Generated from `wit/`. A module's component imports what it calls, not all of the world.
#[allow(unsafe_code, missing_docs, unreachable_pub)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/chaincode", "../wit/peer"],
        world: "selvedge:peer/system-chaincode",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "selvedge_sdk::guest::bindings",
    });
}

/// Runs one INIT or TRANSACTION.
pub fn run(body: impl FnOnce(&Stub) -> Response) -> bindings::Response {
    panics::report_in_one_line();
    let Response { status, message, payload } = body(&Stub { peer: imports::Imports });
    let payload = match payload {
        Payload::Bytes(bytes) => bindings::Payload::Bytes(bytes),
        Payload::Blob(blob) => bindings::Payload::Blob(blob.handle),
    };
    bindings::Response { status, message, payload }
}
