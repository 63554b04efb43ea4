//! Selvedge: a WebAssembly-sandboxed chaincode host for Hyperledger Fabric.
//!
//! The modules carry the names of Fabric's packages; `docs/map.md` lists which is which.

#![forbid(unsafe_code)]

pub mod admin;
pub mod ccaas;
pub mod chaincode;
pub mod channel;
pub mod client;
pub mod cmd;
pub mod committer;
pub mod config;
pub mod container;
mod decode;
pub mod endorser;
pub mod ledger;
pub mod msp;
pub mod node;
pub mod operations;
pub mod ordering;
pub mod platforms;
pub mod policies;
pub mod private_data;
pub mod protolator;
pub mod scc;
pub mod testing;
pub mod tls;
pub mod validation;
