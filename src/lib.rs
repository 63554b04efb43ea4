//! Selvedge: a WebAssembly-sandboxed chaincode host for Hyperledger Fabric.
//!
//! The modules carry the names of Fabric's packages; `docs/map.md` lists which is which.

#![forbid(unsafe_code)]

pub mod chaincode;
pub mod container;
pub mod ledger;
pub mod msp;
pub mod ordering;
pub mod scc;
