//! Fabric's chaincode shim for Rust: a [`Chaincode`] answers `init` and `invoke` through a [`Stub`], and
//! [`export!`] makes a WebAssembly module of it that Selvedge runs in a sandbox.
//!
//! ```
//! use selvedge_sdk::{Chaincode, Error, Response, Stub};
//!
//! struct Greeter;
//!
//! impl Chaincode for Greeter {
//!     fn invoke(&self, stub: &Stub) -> Response {
//!         let greet = || -> Result<String, Error> {
//!             let (name, _) = stub.function_and_parameters()?;
//!             stub.put_state("last", &name)?;
//!             Ok(format!("Hello, {name}"))
//!         };
//!         greet().into()
//!     }
//! }
//!
//! selvedge_sdk::export!(Greeter);
//! # let peer = selvedge_sdk::mock::MockStub::new(Greeter);
//! # assert_eq!(peer.invoke(&["Ada"]).payload_bytes(), b"Hello, Ada");
//! ```
//!
//! The counterpart is `core/chaincode/shim` (Go): names, rules and error texts are its own, in Rust's form. What differs:
//!
//! * Each INIT and TRANSACTION runs in a fresh instance: a static holds nothing from one to the next.
//! * A failed `invoke_chaincode` is an [`Error`]; Go's shim hides its text in a payload.
//! * Queries are iterators that close themselves.
//! * Nothing depends on the machine: clocks show the proposal's time, randomness is a function of channel and
//!   transaction, and there are no files, sockets or environment variables.
//!
//! A panic ends the transaction, and the client sees its message with file and line.
//!
//! On the host target the same code runs against [`mock::MockStub`], so unit tests are plain `cargo test`; and with the
//! feature `native` as a process of its own that speaks with any Fabric peer over gRPC (module `native`).
//!
//! # Unsafe code
//!
//! There is some in `guest::allocator` (a global allocator can't do without) and in the bindings that `wit-bindgen`
//! generates. The wall around a chaincode is the sandbox, not this crate.

#[cfg(feature = "peer")]
mod access_control;
mod blob;
#[cfg(all(feature = "peer", not(target_family = "wasm")))]
mod capabilities;
mod chaincode;
#[cfg(feature = "peer")]
mod channels;
pub mod composite_key;
mod error;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
#[cfg(feature = "peer")]
mod ledger;
#[cfg(not(target_family = "wasm"))]
pub mod mock;
#[cfg(all(feature = "native", not(target_family = "wasm")))]
pub mod native;
#[cfg(feature = "peer")]
mod packages;
mod peer;
#[cfg(feature = "peer")]
mod policies;
mod response;
mod rows;
mod stub;

#[cfg(feature = "peer")]
pub use access_control::{AccessQuery, LocalPolicy};
pub use blob::Blob;
pub use chaincode::Chaincode;
#[cfg(feature = "peer")]
pub use channels::{ChannelError, ChannelQuery, JoinError};
pub use error::Error;
#[cfg(feature = "peer")]
pub use ledger::{Ledger, LedgerError, LedgerQuery};
#[cfg(feature = "peer")]
pub use packages::{
    ChaincodePackage, InstallError, InstalledPackage, PackageDefinition, PackageDescription, PackageError, PackageForm,
    Packages,
};
#[cfg(feature = "peer")]
pub use policies::{ChannelCapabilities, CollectionsError, Policies};
pub use response::{Payload, Response, status};
pub use rows::{KeyModification, KeyValue, Page, Rows};
pub use stub::{Level, SignedProposal, Stub, Timestamp};

/// Makes the crate's module a chaincode: `export!(Asset)` exports `init` and `invoke` of the value `Asset`, which is made
/// anew for each. Once in a crate of type `cdylib`; on other targets than WebAssembly it does nothing.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export {
    ($chaincode:expr) => {
        #[allow(unsafe_code)]
        const _: () = {
            struct Exported;
            impl $crate::guest::bindings::Guest for Exported {
                fn init() -> $crate::guest::bindings::Response {
                    $crate::guest::run(|stub| $crate::Chaincode::init(&$chaincode, stub))
                }
                fn invoke() -> $crate::guest::bindings::Response {
                    $crate::guest::run(|stub| $crate::Chaincode::invoke(&$chaincode, stub))
                }
            }
    $crate::guest::bindings::export!(Exported with_types_in $crate::guest::bindings);
        };
    };
}

/// Makes the crate's module a chaincode: `export!(Asset)` exports `init` and `invoke` of the value `Asset`, which is made
/// anew for each. Once in a crate of type `cdylib`; on other targets than WebAssembly it does nothing.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export {
    ($chaincode:expr) => {
        const _: fn() = || {
            fn is_chaincode(_: impl $crate::Chaincode) {}
            is_chaincode($chaincode);
        };
    };
}
